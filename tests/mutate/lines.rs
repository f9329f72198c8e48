//! Changes of texts in lines.

use rand_chacha::ChaCha8Rng;

use super::{below, bytes, one_of, times};

/// Words that a reader may not expect; also values of TOML.
const TELLING: &[&str] = &[
    "",
    " ",
    "0",
    "-1",
    "0.5",
    "1e400",
    "-inf",
    "nan",
    "NaN",
    "1_000",
    "18446744073709551616",
    "tensor(nan)",
    "tensor(1e999)",
    "tensor(",
    "9223372036854775807",
    "-9223372036854775808",
    "1e308",
    "[]",
    "[[1]]",
    "{}",
    "\"\"",
    "true",
    "\"../../x\"",
    "\"/dev/zero\"",
    "\"\\u001b[31m\"",
    "\u{1b}[31m",
    "\u{feff}",
    "\u{202e}",
    "\u{85}",
    "\u{2028}",
    "\0",
    "[CLS]",
    "[UNK]",
    "##",
    "##a",
    "x",
    "=",
    "#",
    "[[grid]]",
    "'",
    "\"\"\"",
];

/// `text` with one line changed by `inner`, or lines moved, removed or repeated.
pub fn change(
    rng: &mut ChaCha8Rng,
    text: &[u8],
    inner: impl Fn(&mut ChaCha8Rng, &[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = below(rng, lines.len());
    match below(rng, 12) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[below(rng, lines.len())].clone()),
        2 => {
            let to = below(rng, lines.len());
            lines.swap(at, to);
        }
        3 => {
            let copies = vec![lines[at].clone(); times(rng, 8, lines[at].len())];
            lines.splice(at..at, copies);
        }
        4 => lines.insert(at, vec![b' '; below(rng, 3)]),
        5 => lines[at] = bytes::change(rng, &lines[at]),
        _ => lines[at] = inner(rng, &lines[at])?,
    }
    Some(lines.join(&b'\n'))
}

/// A line with one of its words replaced, removed or repeated.
pub fn change_words(rng: &mut ChaCha8Rng, line: &[u8]) -> Vec<u8> {
    let mut words: Vec<Vec<u8>> = line.split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect();
    let at = below(rng, words.len());
    match below(rng, 6) {
        0 => drop(words.remove(at)),
        1 => words[at] = words[at].repeat(times(rng, 16, words[at].len())),
        2 => {
            let copies = vec![words[at].clone(); times(rng, 14, words[at].len())];
            words.splice(at..at, copies);
        }
        // What is on the right of an assignment.
        3 => {
            let value = words.iter().position(|word| word == b"=").map_or(at, |equals| equals + 1);
            words.truncate(value);
            words.push(one_of(rng, TELLING).as_bytes().to_vec());
        }
        _ => words[at] = one_of(rng, TELLING).as_bytes().to_vec(),
    }
    words.join(&b' ')
}
