//! Compares the edit distance with worked examples and with all alignments.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::super::distance::{long, plain};
use super::super::{ErrorCounts, edit_counts, word_errors};
use super::below;
use crate::bounds::MAX_TEXT_WORDS;

fn counts(
    substitutions: u64,
    insertions: u64,
    deletions: u64,
    reference_words: u64,
) -> ErrorCounts {
    ErrorCounts { substitutions, insertions, deletions, reference_words }
}

#[test]
fn worked_examples() {
    for (reference, hypothesis, expected) in [
        ("", "", counts(0, 0, 0, 0)),
        ("a b", "", counts(0, 0, 2, 2)),
        ("", "a b c", counts(0, 3, 0, 0)),
        ("turn on the light", "turn on the light", counts(0, 0, 0, 4)),
        ("turn on the light", "turn off the light", counts(1, 0, 0, 4)),
        ("turn on the light", "turn the light", counts(0, 0, 1, 4)),
        ("turn on the light", "turn it on the light", counts(0, 1, 0, 4)),
        ("a b c d", "a x c", counts(1, 0, 1, 4)),
        ("the cat sat on the mat", "a cat sat the mat too", counts(1, 1, 1, 6)),
        // Two substitutions, or one insertion and one deletion: the former is counted.
        ("a b", "b a", counts(2, 0, 0, 2)),
        // Three edits either way.
        ("a b c d", "b c d e", counts(0, 1, 1, 4)),
        ("Light", "light", counts(1, 0, 0, 1)),
        ("  a\tb\n", "a\u{a0}b", counts(0, 0, 0, 2)),
    ] {
        assert_eq!(word_errors(reference, hypothesis), expected, "{reference:?} {hypothesis:?}");
    }
}

/// Every alignment, by recursion: the fewest edits, then the most substitutions.
fn by_recursion(reference: &[u8], hypothesis: &[u8]) -> (u64, u64, u64) {
    let edits = |&(s, i, d): &(u64, u64, u64)| (s + i + d, i + d);
    let (s, i, d) = match (reference, hypothesis) {
        ([], _) => return (0, hypothesis.len() as u64, 0),
        (_, []) => return (0, 0, reference.len() as u64),
        ([r, rest_r @ ..], [h, rest_h @ ..]) => {
            let (s, i, d) = by_recursion(rest_r, rest_h);
            let diagonal = (s + u64::from(r != h), i, d);
            let (s, i, d) = by_recursion(reference, rest_h);
            let insertion = (s, i + 1, d);
            let (s, i, d) = by_recursion(rest_r, hypothesis);
            let deletion = (s, i, d + 1);
            [diagonal, insertion, deletion].into_iter().min_by_key(edits).unwrap()
        }
    };
    (s, i, d)
}

#[test]
fn agrees_with_all_alignments() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for round in 0..4_000 {
        let letters = 1 + below(&mut rng, 4);
        let mut word = |_| below(&mut rng, letters) as u8;
        let reference: Vec<u8> = (0..round % 7).map(&mut word).collect();
        let hypothesis: Vec<u8> = (0..round / 7 % 7).map(&mut word).collect();
        let (s, i, d) = by_recursion(&reference, &hypothesis);
        assert_eq!(
            edit_counts(&reference, &hypothesis),
            counts(s, i, d, reference.len() as u64),
            "{reference:?} {hypothesis:?}"
        );
    }
}

#[test]
fn properties_of_long_sequences() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..200 {
        let mut words = |most| {
            let count = below(&mut rng, most);
            (0..count).map(|_| below(&mut rng, 9) as u8).collect::<Vec<u8>>()
        };
        let (a, b, c) = (words(120), words(120), words(40));
        let (ab, ba) = (edit_counts(&a, &b), edit_counts(&b, &a));
        assert_eq!(
            (ab.substitutions, ab.insertions, ab.deletions),
            (ba.substitutions, ba.deletions, ba.insertions)
        );
        assert_eq!(a.len() as u64 + ab.insertions, b.len() as u64 + ab.deletions);
        assert!(
            ab.errors() <= a.len().max(b.len()) as u64
                && ab.errors() >= a.len().abs_diff(b.len()) as u64
        );
        assert!(
            edit_counts(&a, &c).errors() <= ab.errors() + edit_counts(&b, &c).errors(),
            "triangle"
        );
        let framed = |x: &[u8]| [&c[..], x, &c[..]].concat();
        assert_eq!(
            edit_counts(&framed(&a), &framed(&b)).errors(),
            ab.errors(),
            "equal ends cost nothing"
        );
    }
}

#[test]
fn counts_add_up_and_print_as_kaldi_does() {
    let sum: ErrorCounts = [counts(300, 40, 60, 8000), counts(37, 5, 9, 234)].into_iter().sum();
    assert_eq!(sum.errors(), 451);
    assert_eq!(sum.to_string(), "%WER 5.48 [ 451 / 8234, 45 ins, 69 del, 337 sub ]");
    assert_eq!(counts(0, 2, 0, 0).wer(), None);
    assert_eq!(counts(0, 2, 0, 0).to_string(), "%WER n/a [ 2 / 0, 2 ins, 0 del, 0 sub ]");
    assert_eq!(counts(1, 2, 0, 2).wer(), Some(1.5));
}

/// Sequences of up to `most` elements over alphabets from 1 to thousands of elements.
fn random(rng: &mut ChaCha8Rng, most: u64, letters: u64) -> Vec<u32> {
    let count = 1 + below(rng, most);
    (0..count).map(|_| below(rng, letters) as u32).collect()
}

#[test]
fn long_sequences_have_the_counts_of_the_whole_table() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let check = |a: &[u32], b: &[u32]| {
        assert_eq!(long(a, b), plain(a, b), "{a:?} {b:?}");
        assert_eq!(long(b, a), plain(b, a), "{b:?} {a:?}");
    };
    for round in 0..3_000_u64 {
        let letters = [1, 2, 3, 20, 5_000][round as usize % 5];
        let most = [5, 70, 200][round as usize % 3];
        let a = random(&mut rng, most, letters);
        let b = random(&mut rng, most, letters);
        check(&a, &b);
        // Parts of one in the other: long insertions and deletions, moved blocks.
        let cut = below(&mut rng, a.len() as u64) as usize;
        check(&a, &[&a[cut..], &b[..]].concat());
        check(&[&a[..], &b[..]].concat(), &[&b[..], &a[..]].concat());
        check(&a, &a[cut..cut + 1]);
    }
    // More than the first band and more than one growth of it.
    for length in [64, 65, 600, 1500] {
        let (x, y): (Vec<u32>, Vec<u32>) = ((0..length).collect(), (length..3 * length).collect());
        let z: Vec<u32> = (3 * length..4 * length).collect();
        check(&[&x[..], &y].concat(), &[&y[..], &z].concat());
        check(&x, &z);
        check(&x, &y);
    }
}

#[test]
fn the_longest_texts_take_a_moment() {
    let words = MAX_TEXT_WORDS as u32;
    let (x, y): (Vec<u32>, Vec<u32>) = ((0..words / 2).collect(), (words / 2..words).collect());
    let began = std::time::Instant::now();
    // No band is narrower than half the table here.
    let shifted = edit_counts(&[&x[..], &y].concat(), &[&y[..], &[words], &x].concat());
    assert_eq!(shifted.errors(), u64::from(words) + 1);
    let other: Vec<u32> = (words..2 * words).collect();
    let all: Vec<u32> = (0..words).collect();
    assert_eq!(edit_counts(&all, &other), counts(u64::from(words), 0, 0, u64::from(words)));
    // 40 times as long without optimisation.
    let most = if cfg!(debug_assertions) { 40.0 } else { 1.0 };
    assert!(began.elapsed().as_secs_f64() < most, "{:?}", began.elapsed());
}
