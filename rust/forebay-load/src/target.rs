use std::net::{SocketAddr, ToSocketAddrs};

use crate::LoadError;

/// The server and path of the requests, resolved once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) address: SocketAddr,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Target, LoadError> {
        let invalid = |why: &str| LoadError::Invalid(format!("url {url:?} {why}"));
        let rest = url.strip_prefix("http://").ok_or_else(|| invalid("must begin with http://"))?;
        if rest.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#' || b == b'@') {
            return Err(invalid("must not hold spaces, a fragment or credentials"));
        }
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (host, port) = host_and_port(authority).ok_or_else(|| invalid("must name a host and a valid port"))?;
        let address = (host, port)
            .to_socket_addrs()
            .map_err(|source| LoadError::Unreachable { address: authority.to_owned(), source })?
            .next()
            .ok_or_else(|| invalid("names a host without an address"))?;
        Ok(Target { authority: authority.to_owned(), path, address })
    }
}

fn host_and_port(authority: &str) -> Option<(&str, u16)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port = if port.is_empty() { 80 } else { port.strip_prefix(':')?.parse().ok()? };
        return Some((host, port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 80),
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_of_a_url() {
        let target = Target::parse("http://127.0.0.1:8080/v1/drain?a=b").unwrap();
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("127.0.0.1:8080", "/v1/drain?a=b"));
        assert_eq!(target.address, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(Target::parse("http://127.0.0.1").unwrap().path, "/");
        assert_eq!(Target::parse("http://127.0.0.1?x").unwrap().path, "/?x");
        assert_eq!(Target::parse("http://[::1]:9/x").unwrap().address, "[::1]:9".parse().unwrap());
    }

    #[test]
    fn refused_urls() {
        for url in [
            "https://h/",
            "h:1",
            "http://",
            "http://:80/",
            "http://h:x/",
            "http://a@h/",
            "http://h/a b",
            "http://h/\r\n",
        ] {
            assert!(matches!(Target::parse(url), Err(LoadError::Invalid(_))), "{url}");
        }
    }
}
