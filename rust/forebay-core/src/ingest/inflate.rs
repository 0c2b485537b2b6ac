//! Compressed request bodies, inflated within bounds: the permit grows before the memory does.

use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use crate::admission::Permit;
use crate::error::{Error, ErrorKind, Result};

/// Inflated at once, and the smallest step by which the permit grows.
const STEP_BYTES: usize = 64 * 1024;
/// Zstandard windows above 8 MiB are refused, as RFC 8878 (section 3.1.1.1.2) recommends: the window is memory that a
/// sender makes us hold.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a request body is encoded (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// No coding: the bytes as they are.
    #[default]
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950; senders that leave out the zlib header (RFC 1951 alone) are understood too.
    Deflate,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// The content coding of that name, in lower case; `None` when it is not one that is understood.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "identity" | "" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Inflates a body to at most `limit` bytes. `permit` already covers `body`, and covers the result too afterwards.
///
/// # Errors
/// `PayloadTooLarge` as soon as the limit is passed, `Saturated` when there is no room, `Malformed` when the body is
/// not what its encoding says.
pub fn inflate(body: &[u8], encoding: Encoding, limit: usize, permit: &mut Permit) -> Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(body.to_vec()),
        Encoding::Gzip => read(MultiGzDecoder::new(body), "gzip", limit, permit),
        Encoding::Deflate => deflated(body, limit, permit),
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(body).and_then(|mut decoder| {
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Ok(decoder)
            });
            read(decoder.map_err(|error| malformed("zstd", &error))?, "zstd", limit, permit)
        }
    }
}

/// RFC 1950, or RFC 1951 alone. The padding of a stored block may make a raw stream begin like a zlib header, so what is
/// no zlib is tried as raw too; what is neither is refused with what is wrong with it as zlib.
fn deflated(body: &[u8], limit: usize, permit: &mut Permit) -> Result<Vec<u8>> {
    if !has_zlib_header(body) {
        return read(Deflated::new(body, false), "deflate", limit, permit);
    }
    match read(Deflated::new(body, true), "deflate", limit, permit) {
        Err(as_zlib) if as_zlib.kind() == ErrorKind::Malformed => {
            read(Deflated::new(body, false), "deflate", limit, permit).map_err(|_| as_zlib)
        }
        read => read,
    }
}

/// A deflate stream that is read to its own end: one that stops before it is an error, which flate2's own reader takes
/// for the end. What follows the end is left out.
struct Deflated<'b> {
    rest: &'b [u8],
    state: Decompress,
    ended: bool,
}

impl<'b> Deflated<'b> {
    fn new(rest: &'b [u8], zlib: bool) -> Self {
        Self { rest, state: Decompress::new(zlib), ended: false }
    }
}

impl Read for Deflated<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !into.is_empty() {
            let (taken, given) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(self.rest, into, FlushDecompress::None)?;
            let taken = usize::try_from(self.state.total_in() - taken).unwrap_or(usize::MAX);
            let given = usize::try_from(self.state.total_out() - given).unwrap_or(usize::MAX);
            self.rest = self.rest.get(taken..).unwrap_or_default();
            self.ended = status == Status::StreamEnd;
            if given > 0 {
                return Ok(given);
            }
            if taken == 0 && !self.ended {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends before the end of its stream"));
            }
        }
        Ok(0)
    }
}

/// Method 8 and a header that is a multiple of 31 (RFC 1950, section 2.2).
fn has_zlib_header(body: &[u8]) -> bool {
    body.first_chunk::<2>().is_some_and(|head| head[0] & 15 == 8 && u16::from_be_bytes(*head) % 31 == 0)
}

fn malformed(name: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::Malformed, format!("the body is not valid {name}: {error}"))
}

fn read(mut decoder: impl Read, name: &str, limit: usize, permit: &mut Permit) -> Result<Vec<u8>> {
    let mut out: Vec<u8> = Vec::new();
    loop {
        let filled = out.len();
        if filled > limit {
            let detail = format!("the decompressed body has more than the limit of {limit} bytes");
            return Err(Error::new(ErrorKind::PayloadTooLarge, detail));
        }
        // One byte more than the limit is enough to know that it is passed.
        let step = filled.max(STEP_BYTES).min(limit + 1 - filled);
        permit.grow(step as u64)?;
        out.resize(filled + step, 0);
        let mut at = filled;
        while at < out.len() {
            match decoder.read(&mut out[at..]) {
                Ok(0) => {
                    out.truncate(at);
                    return Ok(out);
                }
                Ok(read) => at += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(malformed(name, &error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;
    use crate::admission::Budget;

    const LIMIT: usize = 1 << 20;

    fn encoded(body: &[u8]) -> Vec<(Encoding, Vec<u8>)> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        let written = gzip.write_all(body).and(zlib.write_all(body)).and(raw.write_all(body));
        assert!(written.is_ok());
        vec![
            (Encoding::Identity, body.to_vec()),
            (Encoding::Gzip, gzip.finish().unwrap_or_default()),
            (Encoding::Deflate, zlib.finish().unwrap_or_default()),
            (Encoding::Deflate, raw.finish().unwrap_or_default()),
            (Encoding::Zstd, zstd::bulk::compress(body, 1).unwrap_or_default()),
        ]
    }

    fn permit(bytes: u64) -> Permit {
        let budget = Budget::new(bytes);
        let Ok(permit) = Permit::reserve(&budget, &budget.clone(), None, 0) else {
            unreachable!("nothing is reserved")
        };
        permit
    }

    #[test]
    fn every_encoding_comes_back() {
        for size in [0, 1, 65_535, 65_536, 300_000, LIMIT] {
            let body: Vec<u8> = (0..size).map(|i| (i * i % 251) as u8).collect();
            for (encoding, sent) in encoded(&body) {
                let inflated = inflate(&sent, encoding, LIMIT, &mut permit(u64::MAX / 4));
                assert!(inflated.is_ok_and(|inflated| inflated == body), "{encoding:?} {size}");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit_and_without_room() {
        let bomb = vec![b'0'; 64 << 20];
        for (encoding, sent) in encoded(&bomb).into_iter().skip(1) {
            let refused = inflate(&sent, encoding, LIMIT, &mut permit(u64::MAX / 4)).map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::PayloadTooLarge), "{encoding:?}");
            let refused = inflate(&sent, encoding, LIMIT, &mut permit(200_000)).map_err(|error| error.kind());
            assert_eq!(refused, Err(ErrorKind::Saturated), "{encoding:?}");
        }
    }

    #[test]
    fn what_is_not_what_it_says_is_malformed() {
        for (encoding, mut sent) in encoded(b"{\"events\":[]}").into_iter().skip(1) {
            sent.truncate(sent.len() - 3);
            for body in [&sent[..], b"{}", b""] {
                let refused = inflate(body, encoding, LIMIT, &mut permit(u64::MAX / 4));
                let malformed = refused.as_ref().is_err_and(|error| error.kind() == ErrorKind::Malformed);
                // An empty zstd stream is nothing.
                assert!(malformed || body.is_empty() && encoding == Encoding::Zstd, "{encoding:?} {body:?}");
            }
        }
    }

    #[test]
    fn a_deflate_stream_that_is_cut_anywhere_is_malformed() {
        let body: Vec<u8> = (0..70_000_u64).map(|i| (i * i % 251) as u8).collect();
        for (encoding, sent) in encoded(&body).into_iter().filter(|(encoding, _)| *encoding == Encoding::Deflate) {
            for end in (0..sent.len()).step_by(97).chain([sent.len() - 1]) {
                let refused = inflate(&sent[..end], encoding, LIMIT, &mut permit(u64::MAX / 4)).map_err(|e| e.kind());
                assert_eq!(refused, Err(ErrorKind::Malformed), "cut at {end} of {}", sent.len());
            }
        }
    }

    #[test]
    fn a_raw_stream_that_begins_like_a_zlib_header_is_taken() {
        // A stored block that is not the last (RFC 1951, section 3.2.4), whose padding and length happen to be 78 9c.
        let mut sent = vec![0x78, 0x9c, 0x00, 0x63, 0xff];
        sent.extend_from_slice(&[b'x'; 0x9c]);
        sent.extend_from_slice(&[0x01, 0x00, 0x00, 0xff, 0xff]);
        let inflated = inflate(&sent, Encoding::Deflate, LIMIT, &mut permit(u64::MAX / 4));
        assert_eq!(inflated, Ok(vec![b'x'; 0x9c]));
    }
}
