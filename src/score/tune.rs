//! Finds the weights with the fewest word errors on a development set.

use std::cmp::Ordering;

use super::combine::total;
use super::{ScoredList, Weights};

/// One point of the search.
#[derive(Debug, Clone, PartialEq)]
pub struct TunePoint {
    /// The weights tried.
    pub weights: Weights,
    /// Word errors of the hypotheses they select, over all lists.
    pub errors: u64,
}

/// The result of [`tune`].
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// The weights to use.
    pub weights: Weights,
    /// WER with these weights, a fraction; `None` without reference words.
    pub wer: Option<f64>,
    /// WER of the first pass only (beta = gamma = 0).
    pub wer_first: Option<f64>,
    /// Word errors with these weights.
    pub errors: u64,
    /// Word errors of the first pass only.
    pub errors_first: u64,
    /// Words of all references.
    pub reference_words: u64,
    /// Whether the best weights are at the edge of the coarse grid, so that the true optimum may be outside: the
    /// scores of the two models differ greatly in scale, or one of them is useless.
    pub at_edge: bool,
    /// With [`tune_parts`](super::tune_parts), the weights after each step that reduced the errors.
    pub steps: Vec<TunePoint>,
    /// All points: the coarse grid and the fine one for beta only, then, if gamma was searched, those for both.
    /// Each grid is ordered by gamma, then by beta. [`tune_parts`](super::tune_parts) adds those at its weights of
    /// parts.
    pub table: Vec<TunePoint>,
}

/// Half steps of an octave: 2^-8 to 2^6 for beta, 2^-4 to 2^3 for gamma.
const BETA_HALF_OCTAVES: (i32, i32) = (-16, 12);
const GAMMA_HALF_OCTAVES: (i32, i32) = (-8, 6);
const FINE_BETAS: usize = 33;
const FINE_GAMMAS: usize = 9;

/// Searches beta, and gamma too if `with_gamma`, for the fewest errors.
///
/// The search first uses a coarse grid: beta 0 and 2^-8 to 2^6 in half octaves; gamma 0 and +-2^-4 to +-2^3
/// likewise. Then it uses a finer one from the point below the best to the point above it. Every result is an
/// exact count. The grid is coarse on purpose: an interval of betas so narrow that it falls between two grid
/// points is a property of these lists rather than of the two models.
///
/// The error count is a step function of beta, and its minimum is a whole interval (or several). The search
/// returns the middle of the interval, not its lower end: at an end, another hypothesis is about to win in some
/// list, and other data has its steps elsewhere. Among several intervals at the same gamma, the longest in grid
/// points wins; among several gammas, the one with the longest interval, then the smallest in magnitude, then
/// the positive one. If nothing is better than the first pass, both weights are 0. If no gamma is better than
/// gamma 0, it is 0.
///
/// The same lists give the same weights, bit for bit, on every platform.
///
/// # Panics
/// If the vectors of a list differ in length, or a list is empty.
#[must_use]
pub fn tune(lists: &[ScoredList], with_gamma: bool) -> Tuned {
    let flat = Flat::new(lists);
    let reference_words: u64 = lists.iter().map(|list| u64::from(list.reference_words)).sum();
    let errors_first = flat.errors(0.0, 0.0);
    let nothing = Selection { weights: Weights::default(), errors: errors_first, at_edge: false };

    let mut table = Vec::new();
    // Beta is used only if it reduces the errors, and gamma only if it reduces them further.
    let mut found = nothing.or_fewer(search(&flat, &betas(), &[0.0], &mut table));
    if with_gamma {
        found = found.or_fewer(search(&flat, &betas(), &gammas(), &mut table));
    }
    let rate = |errors: u64| (reference_words > 0).then(|| errors as f64 / reference_words as f64);
    Tuned {
        weights: found.weights,
        wer: rate(found.errors),
        wer_first: rate(errors_first),
        errors: found.errors,
        errors_first,
        reference_words,
        at_edge: found.at_edge,
        steps: Vec::new(),
        table,
    }
}

/// The coarse grid of betas.
pub(super) fn betas() -> Vec<f64> {
    std::iter::once(0.0).chain(half_octaves(BETA_HALF_OCTAVES)).collect()
}

/// The coarse grid of gammas.
pub(super) fn gammas() -> Vec<f64> {
    both_signs(half_octaves(GAMMA_HALF_OCTAVES))
}

/// 0 and the values with both signs, ascending.
pub(super) fn both_signs(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut all: Vec<f64> = values.flat_map(|value| [value, -value]).collect();
    all.push(0.0);
    all.sort_by(f64::total_cmp);
    all
}

#[derive(Debug, Clone)]
pub(super) struct Selection {
    pub weights: Weights,
    pub errors: u64,
    pub at_edge: bool,
}

impl Selection {
    pub fn or_fewer(self, other: Self) -> Self {
        if other.errors < self.errors { other } else { self }
    }
}

/// The coarse grid of these betas and gammas, then the fine one around its best point.
pub(super) fn search(
    flat: &Flat,
    betas: &[f64],
    gammas: &[f64],
    table: &mut Vec<TunePoint>,
) -> Selection {
    let coarse = Grid::evaluate(flat, betas.to_vec(), gammas.to_vec());
    let (row, plateau) = coarse.best();
    let (fine_betas, fine_gammas) = coarse.around(row, plateau);
    let fine = Grid::evaluate(flat, fine_betas, fine_gammas);
    let (fine_row, fine_plateau) = fine.best();
    table.extend(coarse.points().chain(fine.points()));
    let weights = Weights::new(fine.middle(fine_plateau), fine.gammas[fine_row]);
    // Of the final plateau, not of the coarse one, which may end inside it.
    let at_end = |value: f64, values: &[f64]| values.len() > 1 && value >= values[values.len() - 1];
    let at_edge = at_end(fine.betas[fine_plateau.to], betas) || at_end(weights.gamma.abs(), gammas);
    Selection { weights, errors: fine.errors[fine_row][fine_plateau.from], at_edge }
}

/// Powers of two in half octaves. Products of the constant with powers of two are exact, so the grid
/// is the same on every platform.
pub(super) fn half_octaves((from, to): (i32, i32)) -> impl Iterator<Item = f64> {
    (from..=to).map(|half| {
        let octave = libm::scalbn(1.0, half.div_euclid(2));
        if half.rem_euclid(2) == 0 { octave } else { octave * std::f64::consts::SQRT_2 }
    })
}

/// A run of neighbouring betas with equal errors, both ends included.
#[derive(Debug, Clone, Copy)]
struct Plateau {
    from: usize,
    to: usize,
}

struct Grid {
    /// Ascending.
    betas: Vec<f64>,
    /// Ascending.
    gammas: Vec<f64>,
    /// By gamma, then by beta.
    errors: Vec<Vec<u64>>,
}

impl Grid {
    fn evaluate(flat: &Flat, betas: Vec<f64>, gammas: Vec<f64>) -> Self {
        let row = |&gamma: &f64| betas.iter().map(|&beta| flat.errors(beta, gamma)).collect();
        let errors = gammas.iter().map(row).collect();
        Self { betas, gammas, errors }
    }

    /// The row and the plateau selected by the rule that [`tune`] documents.
    fn best(&self) -> (usize, Plateau) {
        let rows =
            self.errors.iter().enumerate().map(|(row, errors)| (row, longest_lowest(errors)));
        let preferred = |&(a, pa): &(usize, Plateau), &(b, pb): &(usize, Plateau)| -> Ordering {
            let fewest = self.errors[a][pa.from].cmp(&self.errors[b][pb.from]);
            let longest = (pb.to - pb.from).cmp(&(pa.to - pa.from));
            let smallest = self.gammas[a].abs().total_cmp(&self.gammas[b].abs());
            let positive = self.gammas[b].total_cmp(&self.gammas[a]);
            fewest.then(longest).then(smallest).then(positive)
        };
        rows.min_by(preferred).unwrap_or((0, Plateau { from: 0, to: 0 }))
    }

    /// The point of the plateau closest to its middle, on the logarithmic scale of the grid.
    fn middle(&self, plateau: Plateau) -> f64 {
        let run = &self.betas[plateau.from..=plateau.to];
        let (low, high) = (run[0], run[run.len() - 1]);
        let middle = if low > 0.0 { (low * high).sqrt() } else { 0.5 * high };
        let nearer = |a: &&f64, b: &&f64| (**a - middle).abs().total_cmp(&(**b - middle).abs());
        run.iter().min_by(nearer).copied().unwrap_or(low)
    }

    /// Betas and gammas of a finer grid around a plateau, including those of the plateau.
    fn around(&self, row: usize, plateau: Plateau) -> (Vec<f64>, Vec<f64>) {
        let neighbours = |values: &[f64], from: usize, to: usize| {
            (values[from.saturating_sub(1)], values[(to + 1).min(values.len() - 1)])
        };
        let (low, high) = neighbours(&self.betas, plateau.from, plateau.to);
        let mut betas = self.betas[plateau.from..=plateau.to].to_vec();
        betas.extend((0..FINE_BETAS).map(|step| {
            let part = step as f64 / (FINE_BETAS - 1) as f64;
            if low > 0.0 { low * libm::pow(high / low, part) } else { high * part }
        }));
        let (low, high) = neighbours(&self.gammas, row, row);
        let mut gammas = vec![self.gammas[row]];
        if low < high {
            gammas.extend(
                (0..FINE_GAMMAS)
                    .map(|step| low + (high - low) * (step as f64 / (FINE_GAMMAS - 1) as f64)),
            );
        }
        for values in [&mut betas, &mut gammas] {
            values.sort_by(f64::total_cmp);
            values.dedup();
        }
        (betas, gammas)
    }

    fn points(&self) -> impl Iterator<Item = TunePoint> + '_ {
        self.gammas.iter().zip(&self.errors).flat_map(move |(&gamma, row)| {
            let point = move |(&beta, &errors): (&f64, &u64)| TunePoint {
                weights: Weights::new(beta, gamma),
                errors,
            };
            self.betas.iter().zip(row).map(point)
        })
    }
}

/// The longest run of the lowest value; the first of equally long ones.
fn longest_lowest(errors: &[u64]) -> Plateau {
    let lowest = errors.iter().min().copied().unwrap_or(0);
    let mut best: Option<Plateau> = None;
    let mut at = 0;
    while at < errors.len() {
        if errors[at] == lowest {
            let from = at;
            while at + 1 < errors.len() && errors[at + 1] == lowest {
                at += 1;
            }
            if best.is_none_or(|best| at - from > best.to - best.from) {
                best = Some(Plateau { from, to: at });
            }
        }
        at += 1;
    }
    best.unwrap_or(Plateau { from: 0, to: 0 })
}

/// All lists concatenated, without those in which the choice does not matter.
pub(super) struct Flat {
    first: Vec<f64>,
    lm: Vec<f64>,
    /// The third score, which gamma weights: the number of words, or a part.
    words: Vec<f64>,
    errors: Vec<u32>,
    ends: Vec<usize>,
    /// Errors of the excluded lists.
    fixed: u64,
}

impl Flat {
    fn new(lists: &[ScoredList]) -> Self {
        let words = |list: &ScoredList| list.words.iter().map(|&w| f64::from(w)).collect();
        Self::of(lists, |list| list.first.clone(), words)
    }

    /// With another first-pass score and another third score.
    pub(super) fn of(
        lists: &[ScoredList],
        first: impl Fn(&ScoredList) -> Vec<f64>,
        third: impl Fn(&ScoredList) -> Vec<f64>,
    ) -> Self {
        let mut flat = Self {
            first: vec![],
            lm: vec![],
            words: vec![],
            errors: vec![],
            ends: vec![],
            fixed: 0,
        };
        for (at, list) in lists.iter().enumerate() {
            let count = list.errors.len();
            let equal = [list.first.len(), list.lm.len(), list.words.len()]
                .iter()
                .all(|&other| other == count);
            assert!(
                count > 0 && equal,
                "list {at} must have one entry of each kind per hypothesis"
            );
            if list.errors.iter().all(|&errors| errors == list.errors[0]) {
                flat.fixed += u64::from(list.errors[0]);
                continue;
            }
            flat.first.extend(first(list));
            flat.lm.extend(&list.lm);
            flat.words.extend(third(list));
            flat.errors.extend(&list.errors);
            flat.ends.push(flat.errors.len());
        }
        flat
    }

    /// Errors of the hypotheses that these weights select; ties and NaN as in [`super::best`].
    fn errors(&self, beta: f64, gamma: f64) -> u64 {
        let mut errors = self.fixed;
        let mut start = 0;
        for &end in &self.ends {
            let score = |at: usize| total(self.first[at], self.lm[at], self.words[at], beta, gamma);
            let mut best = start;
            let mut best_score = score(start);
            for at in start + 1..end {
                let score = score(at);
                if score > best_score || (best_score.is_nan() && !score.is_nan()) {
                    (best, best_score) = (at, score);
                }
            }
            errors += u64::from(self.errors[best]);
            start = end;
        }
        errors
    }
}
