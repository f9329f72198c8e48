//! Changes of bytes whose meaning is unknown.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::{below, one_of, times};

/// Bytes with a meaning in some format, and sequences that are not UTF-8 or not printable.
const TELLING: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"\\",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b" ",
    b"0",
    b"-",
    b"+",
    b".",
    b"e",
    b"\0",
    b"\x1b[2J",
    b"\x7f",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\xc2\x85",
    b"\x1f\x8b\x08",
    b"NaN",
    b"null",
    b"1e999",
    b"-1",
    b"18446744073709551616",
];

pub fn change(rng: &mut ChaCha8Rng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() {
        return one_of(rng, TELLING).to_vec();
    }
    let at = below(rng, bytes.len());
    let end = (at + 1 + below(rng, 64)).min(bytes.len());
    match below(rng, 10) {
        0 => bytes[at] ^= 1 << below(rng, 8),
        1 => bytes[at] = rng.next_u32() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => bytes[at..end].fill(0),
        5 => drop(bytes.splice(at..at, one_of(rng, TELLING).iter().copied())),
        6 => {
            // A piece of the file at another place.
            let piece = bytes[at..end].to_vec();
            let to = below(rng, bytes.len());
            bytes.splice(to..to, piece);
        }
        7 => {
            // A piece that repeats very often.
            let piece = bytes[at..end].repeat(times(rng, 14, end - at));
            bytes.splice(at..at, piece);
        }
        8 => {
            for _ in 0..8 {
                let at = below(rng, bytes.len());
                bytes[at] ^= 1 << below(rng, 8);
            }
        }
        _ => bytes.extend(std::iter::repeat_n(rng.next_u32() as u8, 1 << below(rng, 12))),
    }
    bytes
}
