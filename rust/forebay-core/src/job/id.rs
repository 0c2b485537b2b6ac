//! Names that nobody can guess: of jobs and of leases.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Token(pub(super) [u8; 16]);

/// The beginning of a job's id as text.
const JOB: &str = "job_";
/// The beginning of a lease's id as text.
const LEASE: &str = "lease_";

impl Token {
    /// A new one, of the operating system's randomness.
    ///
    /// # Errors
    /// `StorageUnavailable`: the operating system gives none.
    pub(super) fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        let given = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        match given {
            Ok(16) => Ok(Self(bytes)),
            other => {
                let detail = format!("the operating system gives no random numbers for an id: {other:?}");
                Err(Error::new(ErrorKind::StorageUnavailable, detail))
            }
        }
    }

    /// Reads a job's id.
    ///
    /// # Errors
    /// `JobNotFound`: no job has ever had such an id.
    pub(super) fn job(text: &str) -> Result<Self> {
        Self::parse(JOB, text).ok_or_else(|| Error::new(ErrorKind::JobNotFound, format!("there is no job {text:?}")))
    }

    /// Reads a lease's id; `None` for what is none.
    pub(super) fn lease(text: &str) -> Option<Self> {
        Self::parse(LEASE, text)
    }

    fn parse(kind: &str, text: &str) -> Option<Self> {
        let digits = text.strip_prefix(kind)?;
        let is_hex = digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = is_hex.then(|| u128::from_str_radix(digits, 16).ok()).flatten()?;
        Some(Self(number.to_be_bytes()))
    }

    pub(super) fn job_text(self) -> String {
        format!("{JOB}{self}")
    }

    pub(super) fn lease_text(self) -> String {
        format!("{LEASE}{self}")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_come_back_and_nothing_else_is_one() {
        let token = Token::random().unwrap();
        assert_ne!(token, Token::random().unwrap());
        assert_eq!(Token::job(&token.job_text()).unwrap(), token);
        assert_eq!(Token::lease(&token.lease_text()), Some(token));
        assert_eq!(Token::lease(&token.job_text()), None);
        for wrong in
            ["", "job_", "job_1", "job_+0000000000000000000000000000001", "job_0000000000000000000000000000000G"]
        {
            assert_eq!(Token::job(wrong).unwrap_err().kind(), ErrorKind::JobNotFound, "{wrong}");
        }
    }
}
