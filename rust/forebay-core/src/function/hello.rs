use serde::Deserialize;

/// The protocol that this release speaks.
const PROTOCOL: u32 = 1;

/// The first frame of a worker process.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Hello {
    protocol: u32,
    pub(super) functions: Vec<String>,
    #[serde(default)]
    error: Option<String>,
}

impl Hello {
    /// Reads it.
    ///
    /// # Errors
    /// Says why the process runs no functions.
    pub(super) fn read(frame: &[u8]) -> Result<Self, String> {
        let hello: Self = serde_json::from_slice(frame)
            .map_err(|error| format!("what its process says first cannot be read: {error}"))?;
        if hello.protocol != PROTOCOL {
            return Err(format!("its process speaks protocol {}, not {PROTOCOL}", hello.protocol));
        }
        match hello.error {
            Some(error) => Err(error),
            None => Ok(hello),
        }
    }
}
