//! Random damage: the reader of JSON lines may refuse, never panic, and what it accepts must hold.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::super::{JsonLines, write_jsonl};
use super::{GOOD, gzip, one};
use crate::bounds::MAX_HYPOTHESES;

const RICH: &str = r#"{"id":"ü-1","ref":"der große Baum","meta":{"k":[1,-2.5e3,true,null,"\u00e9\n"]},"nbest":[{"text":"der große baum","score":-12.375,"am":-3,"x":{}},{"text":"","lm":0.5,"total":1e-3}]}"#;
/// Bytes with a meaning in these formats.
const TELLING: &[u8] = b"{}[]\",:\\\n\r\t 0-+.eEnNuI\x00\x1f\x8b\xff\xc3\xef";

fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    (rng.next_u64() % n as u64) as usize
}

/// Overwrites, inserts, removes or duplicates some bytes.
pub(super) fn mutate(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    for _ in 0..=below(rng, 6) {
        if bytes.is_empty() {
            return;
        }
        let at = below(rng, bytes.len());
        let byte = if rng.next_u32() & 1 == 0 {
            TELLING[below(rng, TELLING.len())]
        } else {
            rng.next_u32() as u8
        };
        match below(rng, 5) {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {
                let end = (at + 1 + below(rng, 30)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// Reads everything; returns the number of accepted and rejected items.
fn drain(bytes: &[u8]) -> (usize, usize) {
    let (mut accepted, mut refused) = (0, 0);
    for item in JsonLines::new(bytes, "fuzz") {
        match item {
            Ok(u) => {
                accepted += 1;
                assert!(!u.id.trim().is_empty());
                assert!((1..=MAX_HYPOTHESES).contains(&u.hypotheses.len()));
                for h in &u.hypotheses {
                    assert!(
                        [h.score, h.lm, h.total].into_iter().flatten().all(f64::is_finite)
                            && h.parts.iter().all(|(_, value)| value.is_finite())
                    );
                }
                let mut out = Vec::new();
                write_jsonl(&mut out, &u).unwrap();
                assert_eq!(one(std::str::from_utf8(&out).unwrap()), u);
            }
            Err(error) => {
                refused += 1;
                let text = error.to_string();
                assert!(text.starts_with("fuzz:") && !text.contains('\n'), "{text}");
            }
        }
    }
    (accepted, refused)
}

#[test]
fn damaged_lines_never_panic() {
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let whole = format!("{GOOD}\n{RICH}\n{GOOD}\n").into_bytes();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        mutate(&mut rng, &mut bytes);
        let (a, r) = drain(&bytes);
        accepted += a;
        refused += r;
    }
    assert!(
        accepted > 10_000 && refused > 10_000,
        "the damage must affect some but not all items: {accepted} {refused}"
    );
}

#[test]
fn damaged_gzip_never_panics() {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let whole = gzip(format!("{GOOD}\n{RICH}\n").as_bytes());
    let mut refused = 0;
    for _ in 0..5_000 {
        let mut bytes = whole.clone();
        mutate(&mut rng, &mut bytes);
        refused += drain(&bytes).1;
    }
    assert!(refused > 4_000, "{refused}");
}
