use std::fmt;
use std::io;

/// The reason why a load could not run at all.
#[derive(Debug)]
pub enum LoadError {
    /// An option is missing or out of its range; the text names it and the range.
    Invalid(String),
    /// The server could not be reached before the load began.
    Unreachable { address: String, source: io::Error },
    /// The operating system refused what the generator needs (a poller, a timer, memory for a socket).
    System { what: &'static str, source: io::Error },
}

impl LoadError {
    pub(crate) fn system(what: &'static str) -> impl Fn(rustix::io::Errno) -> LoadError {
        move |errno| LoadError::System { what, source: errno.into() }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Invalid(text) => f.write_str(text),
            LoadError::Unreachable { address, source } => {
                write!(f, "no connection to {address}: {source}; start the server first")
            }
            LoadError::System { what, source } => write!(f, "{what} failed: {source}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Invalid(_) => None,
            LoadError::Unreachable { source, .. } | LoadError::System { source, .. } => Some(source),
        }
    }
}
