//! The lists of a batch, and what ranks them.

use std::sync::Arc;

/// Smallest size of the temperature of [`ListObjective::Mwed`].
const MIN_TEMPERATURE: f64 = 1e-3;

/// What a list of hypotheses is trained for.
///
/// With scores `s_i = first_i + beta * lm_i`, `P = softmax(s)` and targets `t`:
///
/// ```text
/// mwer      loss =   sum_i t_i P_i
/// mwed      loss = - sum_i t_i log Q_i     Q = softmax(-s / T),  T = - sum s / sum e
/// listwise  loss = - sum_i t_i log P_i
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListObjective {
    /// Expected word errors; the targets are errors less their mean.
    Mwer,
    /// The targets are a distribution of errors; T is held at 1e-3 or more, with its sign, and moves
    /// with the scores otherwise.
    Mwed,
    /// Cross-entropy towards the targets.
    Listwise,
}

/// Ragged lists of hypotheses that share the scores of their distinct texts.
///
/// Cloning is cheap, so that an operation can keep its lists for the backward pass.
#[derive(Clone, Debug)]
pub struct Lists {
    /// What the lists are trained for.
    pub objective: ListObjective,
    /// Factor on the model's score.
    pub beta: f32,
    /// First hypothesis of each list, and the end of the last; `[U + 1]`.
    pub offsets: Arc<[u32]>,
    /// Index of each hypothesis's text among the scores; `[L]`.
    pub rows: Arc<[u32]>,
    /// First-pass score less the highest of the list, and target, of each hypothesis; `[L]`.
    pub terms: Arc<[[f32; 2]]>,
    /// Sum of the first-pass scores as they are, and of the errors, of each list; `[U]`.
    pub sums: Arc<[[f32; 2]]>,
}

impl Lists {
    /// Number of lists, U.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether there is no list at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of all lists' losses, and the derivative of that sum by the score of each hypothesis
    /// `[L]`, computed in f64.
    pub fn evaluate(&self, scores: &[f32]) -> (f64, Vec<f64>) {
        let mut slopes = Vec::with_capacity(self.rows.len());
        let mut loss = 0.0;
        for (list, &sums) in self.sums.iter().enumerate() {
            let range = self.offsets[list] as usize..self.offsets[list + 1] as usize;
            let beta = f64::from(self.beta);
            let lm: Vec<f64> =
                self.rows[range.clone()].iter().map(|&row| scores[row as usize].into()).collect();
            let terms = &self.terms[range];
            let s: Vec<f64> =
                lm.iter().zip(terms).map(|(lm, t)| f64::from(t[0]) + beta * lm).collect();
            let t: Vec<f64> = terms.iter().map(|term| term[1].into()).collect();
            let (of_list, by_s) = match self.objective {
                ListObjective::Mwer => expected(&s, &t),
                ListObjective::Listwise => cross_entropy(&s, &t),
                ListObjective::Mwed => {
                    let total = f64::from(sums[0]) + beta * lm.iter().sum::<f64>();
                    tempered(&s, &t, total, sums[1].into())
                }
            };
            loss += of_list;
            slopes.extend(by_s.into_iter().map(|slope| beta * slope));
        }
        (loss, slopes)
    }

    /// The derivative by the score of each of `texts` distinct texts: the sum over its hypotheses.
    pub fn by_text(&self, slopes: &[f64], texts: usize) -> Vec<f64> {
        let mut sums = vec![0.0; texts];
        for (&row, slope) in self.rows.iter().zip(slopes) {
            sums[row as usize] += slope;
        }
        sums
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
    // A probability of 0 has a logarithm of -inf only where scores are infinite.
    (-dot(t, &logs), p.iter().zip(t).map(|(p, t)| p * mass - t).collect())
}

/// MWED: the cross-entropy of `- s / T`, where T moves with the sum of the scores.
fn tempered(s: &[f64], t: &[f64], total: f64, errors: f64) -> (f64, Vec<f64>) {
    let free = -total / errors;
    let held = free.abs() < MIN_TEMPERATURE;
    let least = if free < 0.0 { -MIN_TEMPERATURE } else { MIN_TEMPERATURE };
    let temperature = if held { least } else { free };
    let logits: Vec<f64> = s.iter().map(|s| -s / temperature).collect();
    let (loss, by_logit) = cross_entropy(&logits, t);
    // Each score lowers T by 1 / errors.
    let by_temperature = dot(&by_logit, s) / (temperature * temperature);
    let through = if held { 0.0 } else { -by_temperature / errors };
    (loss, by_logit.iter().map(|slope| -slope / temperature + through).collect())
}
