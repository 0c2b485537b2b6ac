use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use forebay_core::{AllowedKeys, RateLimiter};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

/// The longest `Authorization` header that is hashed. A token has 47 bytes, so a longer header holds none.
const MAX_AUTHORIZATION_BYTES: usize = 256;
const BEARER: &[u8] = b"bearer ";

/// The rights of one token on the ingest routes.
#[derive(Clone, Debug, Default)]
pub struct Principal {
    /// The scope of its idempotency keys: the token's digest, empty without authentication.
    pub scope: Vec<u8>,
    /// The only projects that the token may write to; `None` for all.
    pub allowed: Option<AllowedKeys>,
    /// The rate limiter that its events are charged to.
    pub limiter: Option<Arc<RateLimiter>>,
}

type ByDigest = HashMap<[u8; 32], Arc<Principal>>;

/// The principals that may ingest: every token with the role, by its SHA-256, or everybody.
///
/// The look-up is by the digest, so that its time reveals nothing about a secret.
pub struct Principals(RwLock<Table>);

enum Table {
    Everybody(Arc<Principal>),
    Tokens(ByDigest),
}

impl Default for Principals {
    /// Lets nobody in.
    fn default() -> Self {
        Self(RwLock::new(Table::Tokens(HashMap::new())))
    }
}

impl fmt::Debug for Principals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principals").finish_non_exhaustive()
    }
}

impl Principals {
    /// Turns authentication off.
    pub fn let_everybody_in(&self) {
        *self.0.write() = Table::Everybody(Arc::default());
    }

    /// Lets in only these tokens from now on. One whose digest does not have 32 bytes is left out.
    pub fn set(&self, tokens: impl IntoIterator<Item = Principal>) {
        let by_digest =
            |principal: Principal| Some((<[u8; 32]>::try_from(&principal.scope[..]).ok()?, Arc::new(principal)));
        *self.0.write() = Table::Tokens(tokens.into_iter().filter_map(by_digest).collect());
    }

    /// Returns the principal of an `Authorization` header; `None` when there is none.
    pub(crate) fn find(&self, authorization: Option<&[u8]>) -> Option<Arc<Principal>> {
        match &*self.0.read() {
            Table::Everybody(principal) => Some(Arc::clone(principal)),
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

    fn token(secret: &str) -> Principal {
        Principal { scope: Sha256::digest(secret).to_vec(), ..Principal::default() }
    }

    #[test]
    fn a_token_is_found_with_and_without_its_scheme() {
        let principals = Principals::default();
        assert!(principals.find(Some(b"one")).is_none());
        principals.set([token("one"), token("two"), Principal { scope: b"short".to_vec(), ..Principal::default() }]);
        for header in ["one", "Bearer one", "bearer  one ", "BEARER two"] {
            assert!(principals.find(Some(header.as_bytes())).is_some(), "{header}");
        }
        for header in ["", "three", "Basic one", "Bearer", "Bearer ", "on", "oneone"] {
            assert!(principals.find(Some(header.as_bytes())).is_none(), "{header}");
        }
        assert!(principals.find(None).is_none());
        assert!(principals.find(Some(format!("Bearer {}one", " ".repeat(300)).as_bytes())).is_none());
        principals.set([]);
        assert!(principals.find(Some(b"one")).is_none());
    }

    #[test]
    fn without_authentication_everybody_has_one_scope() {
        let principals = Principals::default();
        principals.let_everybody_in();
        assert!(principals.find(None).is_some_and(|principal| principal.scope.is_empty()));
        assert!(principals.find(Some(b"anything")).is_some());
    }
}
