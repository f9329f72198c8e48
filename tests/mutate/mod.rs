//! Damages files of every format, reproducibly: the same random numbers give the same bytes.
//!
//! A change knows the format, so that most of what it makes is refused late, or accepted: bytes changed at random are
//! refused by the first check.

#[allow(dead_code, reason = "each test uses a part")]
#[path = "../shared/archive.rs"]
pub mod archive;
mod bytes;
mod json;
mod lines;
mod tensors;

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// The formats whose structure is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON value.
    Json,
    /// A JSON value in each line.
    JsonLines,
    /// Text whose lines consist of words or assignments.
    Text,
    /// safetensors.
    Tensors,
    /// An archive of `torch.save`.
    Archive,
    /// Bytes without a form that these changes know.
    Bytes,
    /// Another form, compressed.
    Gzip(&'static Form),
    /// Two files with a zero between them, of which the first has this form.
    First(&'static Form),
    /// The same for the second.
    Second(&'static Form),
}

/// `bytes`, which must be valid, with one to three changes.
pub fn damage(rng: &mut ChaCha8Rng, form: Form, bytes: &[u8]) -> Vec<u8> {
    let changes = 1 + below(rng, 5) / 3;
    (0..changes).fold(bytes.to_vec(), |bytes, _| change(rng, form, &bytes))
}

fn change(rng: &mut ChaCha8Rng, form: Form, bytes: &[u8]) -> Vec<u8> {
    if below(rng, 5) == 0 {
        return bytes::change(rng, bytes);
    }
    let parts =
        bytes.iter().position(|&byte| byte == 0).map(|end| (&bytes[..end], &bytes[end + 1..]));
    match (form, parts) {
        (Form::First(inner), Some((first, second))) => {
            return [&change(rng, *inner, first)[..], &[0], second].concat();
        }
        (Form::Second(inner), Some((first, second))) => {
            return [first, &[0], &change(rng, *inner, second)].concat();
        }
        _ => {}
    }
    // Bytes that are no longer of the form, because of an earlier change, are changed without it.
    let changed = match form {
        Form::Json => json::change(rng, bytes),
        Form::JsonLines => lines::change(rng, bytes, json::change),
        Form::Text => lines::change(rng, bytes, |rng, line| Some(lines::change_words(rng, line))),
        Form::Tensors => tensors::change(rng, bytes),
        Form::Archive => archive::read(bytes).map(|mut entries| {
            // The checksums are right, so that the contents are read. Half of the changes are in the pickle.
            let pickle = entries.iter().position(|entry| entry.name.ends_with(b"/data.pkl"));
            let any = below(rng, entries.len().max(1));
            let chosen = pickle.filter(|_| below(rng, 2) == 0).unwrap_or(any);
            if let Some(entry) = entries.get_mut(chosen) {
                entry.contents = bytes::change(rng, &entry.contents);
            }
            archive::build(&entries, None)
        }),
        Form::Gzip(inner) => unpacked(bytes).map(|plain| {
            let changed = change(rng, *inner, &plain);
            packed(rng, &changed)
        }),
        Form::First(_) | Form::Second(_) | Form::Bytes => None,
    };
    changed.unwrap_or_else(|| bytes::change(rng, bytes))
}

/// A number below `n`.
pub fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    (rng.next_u64() % n as u64) as usize
}

/// How often to repeat a piece of `size` bytes: a power of two below 2^`exponent`, unless that makes megabytes.
fn times(rng: &mut ChaCha8Rng, exponent: usize, size: usize) -> usize {
    (1 << below(rng, exponent)).min(2_000_000 / size.max(1)).max(1)
}

/// One of `items`.
fn one_of<'a, T>(rng: &mut ChaCha8Rng, items: &'a [T]) -> &'a T {
    &items[below(rng, items.len())]
}

fn unpacked(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut plain).ok().map(|_| plain)
}

/// Compressed as one member or two.
fn packed(rng: &mut ChaCha8Rng, plain: &[u8]) -> Vec<u8> {
    let (first, second) = plain.split_at(below(rng, 2 * plain.len() + 1).min(plain.len()));
    let mut all = Vec::new();
    for member in [first, second] {
        let mut out = GzEncoder::new(&mut all, Compression::fast());
        out.write_all(member).expect("a vector accepts everything");
        out.finish().expect("a vector accepts everything");
    }
    all
}
