#!/usr/bin/env bash
# flate2's read::DeflateDecoder and read::ZlibDecoder take the end of their input for the end of the stream: a body whose
# transfer stopped half-way is read to its "end" without an error, as fewer bytes, though the last block's flag (RFC 1951,
# section 3.2.3) and zlib's checksum (RFC 1950, section 2.2) are missing. read::GzDecoder refuses the same cut. Who accepts
# `Content-Encoding: deflate` has to look for Status::StreamEnd with Decompress.
#
# Seen with flate2 1.1.5 and its default backend (miniz_oxide) on Rust 1.95.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
cargo new --quiet --vcs none cut
cd cut
cargo add --quiet flate2@=1.1.5
cat > src/main.rs <<'RS'
use flate2::{Compression, read, write};
use std::io::{Read, Write};

fn main() {
    let text: Vec<u8> = (0..20_000u32).flat_map(|n| format!("line {}\n", n.wrapping_mul(2_654_435_761)).into_bytes()).collect();
    let mut raw = write::DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(&text).unwrap();
    let raw = raw.finish().unwrap();
    let mut zlib = write::ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&text).unwrap();
    let zlib = zlib.finish().unwrap();
    let mut gzip = write::GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&text).unwrap();
    let gzip = gzip.finish().unwrap();
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let show = |name: &str, reader: &mut dyn Read| {
        let mut out = Vec::new();
        match reader.read_to_end(&mut out) {
            Ok(_) => println!("{name}: ok, {}", if out.len() < text.len() { "fewer bytes" } else { "all bytes" }),
            Err(error) => println!("{name}: {:?}", error.kind()),
        }
    };
    show("raw, whole", &mut read::DeflateDecoder::new(&raw[..]));
    show("raw, half", &mut read::DeflateDecoder::new(&half(&raw)[..]));
    show("zlib, half", &mut read::ZlibDecoder::new(&half(&zlib)[..]));
    show("gzip, half", &mut read::GzDecoder::new(&half(&gzip)[..]));
}
RS
cargo run --quiet | tee seen
diff seen - <<'SEEN' || { echo "changed"; exit 1; }
raw, whole: ok, all bytes
raw, half: ok, fewer bytes
zlib, half: ok, fewer bytes
gzip, half: UnexpectedEof
SEEN
echo "as described"
