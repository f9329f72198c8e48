//! Unit tests of scoring.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::nbest::{Hypothesis, Utterance};

mod changes;
mod check;
mod combine;
mod compared;
mod edit;
mod ranking;
mod report;
mod score_check;
mod statistics;
mod tune;

fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    rng.next_u64() % n
}

/// A number in [-1, 1).
fn signed(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn utterance(reference: Option<&str>, list: &[(&str, Option<f64>)]) -> Utterance {
    let hypotheses = list.iter().map(|&(text, score)| Hypothesis::new(text, score)).collect();
    Utterance::new("u", reference.map(str::to_owned), hypotheses)
}
