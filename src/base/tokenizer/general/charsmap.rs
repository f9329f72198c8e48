//! SentencePiece's table of character replacements, `precompiled_charsmap`.
//!
//! Base64 of: the length of a trie in bytes (u32, little-endian); the trie as a double array of u32; the replacements,
//! each followed by a zero byte. A unit of the array has a label, an offset to its children, and a flag that says
//! whether one of them is a value: the position of a replacement.
//!
//! The `tokenizers` crate follows offsets and positions without checking them, so every unit that a text can reach is
//! checked here.

use tokenizers::normalizers::Precompiled;

use crate::bounds::{MAX_CHARSMAP_BYTES, MAX_PATTERN_BYTES};

/// Checks and reads the table.
pub fn read(base64: &str) -> Result<Precompiled, String> {
    let limit = MAX_CHARSMAP_BYTES;
    if base64.len() / 4 * 3 > limit {
        return Err(format!("its precompiled_charsmap has more than {limit} bytes"));
    }
    let bytes = decode(base64).ok_or("its precompiled_charsmap is not base64")?;
    check(&bytes).ok_or("its precompiled_charsmap is damaged")?;
    Precompiled::from(&bytes).map_err(|error| error.to_string())
}

/// The table as base64, with padding.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { digit.into() } else { '=' });
        }
    }
    text
}

/// Decodes padded base64.
fn decode(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in digits.chunks(4) {
        let mut bits = 0u32;
        for digit in group {
            bits = bits << 6 | u32::from(value(*digit)?);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

/// Checks all units and replacements that a text can reach; `None` if one is invalid.
fn check(bytes: &[u8]) -> Option<()> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let units: Vec<u32> =
        rest.get(..length)?.as_chunks().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    if !length.is_multiple_of(4) {
        return None;
    }
    let replacements = std::str::from_utf8(&rest[length..]).ok()?;
    let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
    let mut seen = vec![false; units.len()];
    let mut places = vec![offset(*units.first()?)];
    while let Some(place) = places.pop() {
        // The crate reads the unit of every byte that may follow.
        let last = place | 0xff;
        if last >= units.len() {
            return None;
        }
        if std::mem::replace(&mut seen[place], true) {
            continue;
        }
        for byte in 1..=0xff_usize {
            let child = place ^ byte;
            let unit = units[child];
            if unit & (1 << 31 | 0xff) != byte as u32 {
                continue;
            }
            let below = child ^ offset(unit);
            if unit >> 8 & 1 == 1 {
                let value = (units.get(below)? & !(1 << 31)) as usize;
                let text = replacements.get(value..)?;
                let length = text.find('\0').unwrap_or(text.len());
                if length > MAX_PATTERN_BYTES {
                    return None;
                }
            }
            places.push(below);
        }
    }
    Some(())
}
