use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use forebay_core::{Account, AllowedKeys};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

/// A token of ours has 47 bytes; what is longer than this is none and need not be hashed.
const MAX_AUTHORIZATION_BYTES: usize = 256;
const BEARER: &[u8] = b"bearer ";

/// What one token may do on the ingest routes.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// The scope of its idempotency keys: the token's digest, empty without authentication.
    pub scope: Vec<u8>,
    /// The only projects that it may write; `None` for all.
    pub allowed: Option<AllowedKeys>,
    /// What its events are charged to.
    pub account: Option<Arc<Account>>,
}

type ByDigest = HashMap<[u8; 32], Arc<Grant>>;

/// Who may ingest: every token with the role, by its SHA-256; or everybody.
///
/// The look-up is by the digest, so that its time tells nothing of a secret.
pub struct Grants(RwLock<Table>);

enum Table {
    Everybody(Arc<Grant>),
    Tokens(ByDigest),
}

impl Default for Grants {
    /// Nobody.
    fn default() -> Self {
        Self(RwLock::new(Table::Tokens(HashMap::new())))
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").finish_non_exhaustive()
    }
}

impl Grants {
    /// Authentication is off.
    pub fn let_everybody_in(&self) {
        *self.0.write() = Table::Everybody(Arc::default());
    }

    /// Only these, from now on. A digest that has not 32 bytes is nobody's.
    pub fn set(&self, tokens: impl IntoIterator<Item = Grant>) {
        let by_digest = |grant: Grant| Some((<[u8; 32]>::try_from(&grant.scope[..]).ok()?, Arc::new(grant)));
        *self.0.write() = Table::Tokens(tokens.into_iter().filter_map(by_digest).collect());
    }

    /// The grant that a request's `Authorization` header stands for; `None` when there is none.
    pub(crate) fn find(&self, authorization: Option<&[u8]>) -> Option<Arc<Grant>> {
        match &*self.0.read() {
            Table::Everybody(grant) => Some(Arc::clone(grant)),
            Table::Tokens(tokens) => {
                let given = authorization.filter(|given| given.len() <= MAX_AUTHORIZATION_BYTES)?;
                let digest: [u8; 32] = Sha256::digest(secret(given)).into();
                tokens.get(&digest).cloned()
            }
        }
    }
}

fn secret(given: &[u8]) -> &[u8] {
    match given.split_at_checked(BEARER.len()) {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case(BEARER) => secret.trim_ascii(),
        _ => given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(secret: &str) -> Grant {
        Grant { scope: Sha256::digest(secret).to_vec(), ..Grant::default() }
    }

    #[test]
    fn a_token_is_found_with_and_without_its_scheme() {
        let grants = Grants::default();
        assert!(grants.find(Some(b"one")).is_none());
        grants.set([token("one"), token("two"), Grant { scope: b"short".to_vec(), ..Grant::default() }]);
        for header in ["one", "Bearer one", "bearer  one ", "BEARER two"] {
            assert!(grants.find(Some(header.as_bytes())).is_some(), "{header}");
        }
        for header in ["", "three", "Basic one", "Bearer", "Bearer ", "on", "oneone"] {
            assert!(grants.find(Some(header.as_bytes())).is_none(), "{header}");
        }
        assert!(grants.find(None).is_none());
        assert!(grants.find(Some(format!("Bearer {}one", " ".repeat(300)).as_bytes())).is_none());
        grants.set([]);
        assert!(grants.find(Some(b"one")).is_none());
    }

    #[test]
    fn without_authentication_everybody_has_one_scope() {
        let grants = Grants::default();
        grants.let_everybody_in();
        assert!(grants.find(None).is_some_and(|grant| grant.scope.is_empty()));
        assert!(grants.find(Some(b"anything")).is_some());
    }
}
