//! Intervals and tests.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::super::{Interval, RESAMPLES, bootstrap, matched_pairs};
use super::below;

#[test]
fn equal_utterances_have_intervals_of_width_zero() {
    let result = bootstrap(&[&[2; 30], &[1; 30]], &[10; 30], 500, 1);
    let exactly = |value: f64| Some(Interval { low: value, high: value, resamples: 500 });
    assert_eq!(result.wer, [exactly(0.2), exactly(0.1)]);
    assert_eq!(result.gain, [exactly(0.0), exactly(0.5)]);
}

#[test]
fn two_utterances_give_three_values() {
    // WER 0, 1/2 and 1 with chances 1/4, 1/2 and 1/4; the gain is defined in 3/4 of the resamples.
    let result = bootstrap(&[&[0, 1], &[0, 0]], &[1, 1], RESAMPLES, 5);
    let wer = result.wer[0].unwrap();
    assert_eq!((wer.low, wer.high, wer.resamples), (0.0, 1.0, RESAMPLES));
    let gain = result.gain[1].unwrap();
    assert_eq!((gain.low, gain.high), (1.0, 1.0));
    // 7,500 expected; four standard deviations are 173.
    assert!((7_327..7_673).contains(&gain.resamples), "{}", gain.resamples);
}

#[test]
fn agrees_with_the_normal_interval_on_large_samples() {
    // 400 utterances of one word, 40 wrong: 0.1 +- 1.96 sqrt(0.1 * 0.9 / 400) = 0.1 +- 0.0294.
    let errors: Vec<u32> = (0..400).map(|u| u32::from(u % 10 == 0)).collect();
    let interval = bootstrap(&[&errors], &[1; 400], RESAMPLES, 3).wer[0].unwrap();
    assert!(
        (interval.low - 0.0706).abs() < 0.003 && (interval.high - 0.1294).abs() < 0.003,
        "{interval:?}"
    );
}

#[test]
fn the_seed_decides() {
    let errors: Vec<u32> = (0..97).map(|u| u * u % 7).collect();
    let words: Vec<u32> = (0..97).map(|u| 5 + u % 11).collect();
    let with = |seed| bootstrap(&[&errors], &words, 300, seed);
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn undefined_quantities_have_no_interval() {
    let nothing = bootstrap(&[&[], &[]], &[], 100, 1);
    assert_eq!((nothing.wer, nothing.gain), (vec![None; 2], vec![None; 2]));
    let no_words = bootstrap(&[&[1, 2], &[1, 1]], &[0, 0], 100, 1);
    assert_eq!(no_words.wer, [None, None]);
    assert!(no_words.gain[1].is_some());
    let no_errors = bootstrap(&[&[0, 0], &[0, 1]], &[3, 4], 100, 1);
    assert_eq!(no_errors.gain, [None, None]);
}

#[test]
fn matched_pairs_by_hand() {
    // d = 1 0 1 -1 2: mean 0.6, variance 5.2 / 4, z = 0.6 / sqrt(1.3 / 5). Of the 16 signs of
    // 1 1 1 2, those with a sum of 3 or more: all plus, or one of the three ones minus.
    let test = matched_pairs(&[1, 0, 2, 0, 2], &[0, 0, 1, 1, 0]);
    assert_eq!((test.utterances, test.differing, test.mean_difference), (5, 4, 0.6));
    assert!((test.z.unwrap() - 1.176_696_810_829_1).abs() < 1e-12, "{test:?}");
    assert!((test.p - 0.239_316).abs() < 1e-5, "{test:?}");
    assert_eq!(test.p_permutation, Some(0.5));
}

#[test]
fn swapping_the_systems_changes_only_the_sign() {
    let (a, b) = ([3, 1, 4, 1, 5, 9, 2, 6], [2, 1, 4, 0, 6, 7, 2, 3]);
    let (forth, back) = (matched_pairs(&a, &b), matched_pairs(&b, &a));
    assert_eq!((forth.z, forth.mean_difference), (back.z.map(|z| -z), -back.mean_difference));
    assert_eq!((forth.p, forth.p_permutation), (back.p, back.p_permutation));
}

#[test]
fn no_variance() {
    let test = matched_pairs(&[], &[]);
    assert_eq!((test.z, test.p, test.p_permutation), (Some(0.0), 1.0, Some(1.0)));
    let test = matched_pairs(&[4; 9], &[4; 9]);
    assert_eq!(
        (test.z, test.p, test.p_permutation, test.differing),
        (Some(0.0), 1.0, Some(1.0), 0)
    );
    let test = matched_pairs(&[2; 10], &[1; 10]);
    assert_eq!((test.z, test.p, test.p_permutation), (None, 1.0 / 512.0, Some(1.0 / 512.0)));
    let test = matched_pairs(&[5], &[1]);
    assert_eq!((test.z, test.p, test.p_permutation), (None, 1.0, Some(1.0)));
}

#[test]
fn sign_flips_agree_with_trying_them_all() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for count in 1..13_u32 {
        for _ in 0..20 {
            let mut row =
                || -> Vec<u32> { (0..count).map(|_| below(&mut rng, 5) as u32).collect() };
            let (a, b) = (row(), row());
            let d: Vec<i64> =
                a.iter().zip(&b).map(|(&a, &b)| i64::from(a) - i64::from(b)).collect();
            let seen = d.iter().sum::<i64>().abs();
            let extreme = (0..1_u32 << count).filter(|signs| {
                let signed =
                    d.iter().enumerate().map(|(at, &d)| if signs >> at & 1 == 1 { -d } else { d });
                signed.sum::<i64>().abs() >= seen
            });
            let expected = extreme.count() as f64 / f64::from(1_u32 << count);
            let p = matched_pairs(&a, &b).p_permutation.unwrap();
            assert!((p - expected).abs() < 1e-12, "{d:?}: {p} {expected}");
        }
    }
}

#[test]
fn both_tests_agree_on_many_utterances() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let first: Vec<u32> = (0..2_000).map(|_| below(&mut rng, 4) as u32).collect();
    let second: Vec<u32> = first
        .iter()
        .map(|&e| {
            e.saturating_sub(u32::from(below(&mut rng, 40) == 0))
                + u32::from(below(&mut rng, 60) == 0)
        })
        .collect();
    let test = matched_pairs(&first, &second);
    let p = test.p_permutation.unwrap();
    assert!(test.differing > 40 && (test.p / p).ln().abs() < 0.5, "{test:?}");
}
