//! The objectives that training can minimise over N-best lists.
//!
//! A new objective is a variant here, with its row of [`Objective::info`], its targets and its loss, and a
//! case of `shaders/list_loss.wgsl` with its line in `shaders/variants.json`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Smallest magnitude of the temperature of [`Objective::Mwed`].
const MIN_TEMPERATURE: f64 = 1e-3;

/// The ranking part of the training loss.
///
/// Scores are log-probabilities, higher is better. For a list of N hypotheses with `e_i` word errors:
///
/// ```text
/// s_i      = first_scale * first_i + beta * lm_i            P = softmax(s)
/// mwer     =   sum_i t_i P_i        t = e - mean e
/// mwed     = - sum_i t_i log Q_i    t = softmax(e),  Q = softmax(-s / T),  T = - sum s / sum e
/// listwise = - sum_i t_i log P_i    t = (1 - eps) uniform over {i : e_i = min e} + eps / N
/// md       =   mean (d - mean d)^2  t = teacher,  d = lm - t
/// ```
///
/// MWER: Prabhavalkar et al., arXiv 1712.01818, as in RescoreBERT (Xu et al., arXiv 2202.01094).
/// MWED: RescoreBERT, written there over costs `c = -s`; the signs cancel. T is part of the graph, so MWED
/// does not change when all scores are scaled. Where `|T|` is below 1e-3 it is clamped to 1e-3 with its sign,
/// as a constant. For log-probabilities `T > 0`, so that likely hypotheses get little of the error mass;
/// lists whose scores sum to more than 0 are trained in the wrong direction.
///
/// MD (masked language model distillation): RescoreBERT again. The teacher's scores are its pseudo-log-likelihoods
/// there. RescoreBERT learns the scores themselves; only their differences within a list change its order, so LoRB
/// leaves the mean of a list free.
///
/// A list whose hypotheses all have the same number of errors has no gradient under MWER and no useful one
/// under MWED and the list-wise loss, so such lists are skipped beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Minimum word error rate.
    Mwer,
    /// Matching error distribution.
    Mwed,
    /// List-wise cross-entropy with label smoothing.
    Listwise,
    /// The scores of a teacher.
    Md,
}

/// Name, label and help of an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectiveInfo {
    /// Name in flags, options and files.
    pub name: &'static str,
    /// Name in menus.
    pub label: &'static str,
    /// One line for help texts.
    pub help: &'static str,
}

impl Objective {
    /// Every objective; the first is the default.
    pub const ALL: [Self; 4] = [Self::Mwer, Self::Mwed, Self::Listwise, Self::Md];

    /// Name, label and help.
    #[must_use]
    pub const fn info(self) -> ObjectiveInfo {
        let (name, label, help) = match self {
            Self::Mwer => (
                "mwer",
                "MWER: expected word errors",
                "minimum word error rate: the expected number of word errors",
            ),
            Self::Mwed => (
                "mwed",
                "MWED: error distribution",
                "matching the distribution of word errors over the list",
            ),
            Self::Listwise => (
                "listwise",
                "List-wise cross-entropy",
                "cross-entropy towards the hypotheses with the fewest errors",
            ),
            Self::Md => (
                "md",
                "MD: a teacher's scores",
                "distillation: the scores of a teacher, `lm` of the lists; needs no references",
            ),
        };
        ObjectiveInfo { name, label, help }
    }

    /// Name in flags, options and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// Whether it learns from word errors, and so needs references.
    #[must_use]
    pub const fn needs_references(self) -> bool {
        !matches!(self, Self::Md)
    }

    /// The target `t_i` of every hypothesis of a list with these word errors and teacher's scores. `smoothing` is eps of
    /// the list-wise loss.
    pub(crate) fn targets(self, errors: &[u32], teacher: &[f64], smoothing: f64) -> Vec<f64> {
        let count = errors.len() as f64;
        let e = || errors.iter().map(|&e| f64::from(e));
        match self {
            Self::Mwer => {
                let mean = e().sum::<f64>() / count;
                e().map(|e| e - mean).collect()
            }
            Self::Mwed => {
                let most = e().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = e().map(|e| libm::exp(e - most)).collect();
                let sum: f64 = powers.iter().sum();
                powers.into_iter().map(|power| power / sum).collect()
            }
            Self::Listwise => {
                let least = errors.iter().min().copied().unwrap_or(0);
                let ties = errors.iter().filter(|&&e| e == least).count() as f64;
                let best = |&e: &u32| if e == least { (1.0 - smoothing) / ties } else { 0.0 };
                errors.iter().map(|e| best(e) + smoothing / count).collect()
            }
            // Without the mean, so that large scores keep their digits in f32.
            Self::Md => {
                let mean = teacher.iter().sum::<f64>() / count;
                teacher.iter().map(|score| score - mean).collect()
            }
        }
    }

    /// Loss of one list and its derivative with respect to each score `s`, in f64. `total` is the sum of the scores
    /// with unshifted first-pass scores, `errors` the sum of word errors; both matter to MWED only.
    pub(super) fn loss(self, s: &[f64], t: &[f64], total: f64, errors: f64) -> (f64, Vec<f64>) {
        match self {
            Self::Mwer => expected(s, t),
            Self::Mwed => tempered(s, t, total, errors),
            Self::Listwise => cross_entropy(s, t),
            Self::Md => squared(s, t),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|objective| objective.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("unknown objective {name:?}; expected one of {names}")
        })
    }
}

/// `softmax(s)`, and its logarithm.
fn softmax(s: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let highest = s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = libm::log(s.iter().map(|s| libm::exp(s - highest)).sum());
    let logs: Vec<f64> = s.iter().map(|s| s - highest - total).collect();
    (logs.iter().copied().map(libm::exp).collect(), logs)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `sum t P` and its derivative `P (t - sum t P)`.
fn expected(s: &[f64], t: &[f64]) -> (f64, Vec<f64>) {
    let (p, _) = softmax(s);
    let loss = dot(t, &p);
    (loss, p.iter().zip(t).map(|(p, t)| p * (t - loss)).collect())
}

/// `- sum t log P` and its derivative `P sum t - t`.
fn cross_entropy(s: &[f64], t: &[f64]) -> (f64, Vec<f64>) {
    let (p, logs) = softmax(s);
    let mass: f64 = t.iter().sum();
    // The logarithm of a probability is -inf only for infinite scores.
    (-dot(t, &logs), p.iter().zip(t).map(|(p, t)| p * mass - t).collect())
}

/// MWED: the cross-entropy of `- s / T`, where T depends on the sum of the scores.
fn tempered(s: &[f64], t: &[f64], total: f64, errors: f64) -> (f64, Vec<f64>) {
    let free = -total / errors;
    let clamped = free.abs() < MIN_TEMPERATURE;
    let least = if free < 0.0 { -MIN_TEMPERATURE } else { MIN_TEMPERATURE };
    let temperature = if clamped { least } else { free };
    let logits: Vec<f64> = s.iter().map(|s| -s / temperature).collect();
    let (loss, by_logit) = cross_entropy(&logits, t);
    // The derivative of T with respect to each score is -1 / errors.
    let by_temperature = dot(&by_logit, s) / (temperature * temperature);
    let by_total = if clamped { 0.0 } else { -by_temperature / errors };
    (loss, by_logit.iter().map(|slope| -slope / temperature + by_total).collect())
}

/// The variance of `s - t`, and its derivative `2 (d - mean d) / N`.
fn squared(s: &[f64], t: &[f64]) -> (f64, Vec<f64>) {
    let count = s.len() as f64;
    let mean = s.iter().zip(t).map(|(s, t)| s - t).sum::<f64>() / count;
    let off: Vec<f64> = s.iter().zip(t).map(|(s, t)| s - t - mean).collect();
    (dot(&off, &off) / count, off.iter().map(|off| 2.0 * off / count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for objective in Objective::ALL {
            assert_eq!(objective.to_string().parse(), Ok(objective));
            let json = serde_json::to_string(&objective).unwrap();
            assert_eq!(json, format!("{:?}", objective.name()));
        }
        assert!("ctc".parse::<Objective>().unwrap_err().contains("mwer, mwed, listwise, md"));
    }
}
