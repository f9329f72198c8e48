//! How far the scores of two models for the same texts differ.

/// Compares pairs of scores, in constant memory.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Agreement {
    count: u64,
    means: [f64; 2],
    /// Sums of the squared distances from the means, and of their products.
    squares: [f64; 2],
    products: f64,
    largest: f64,
    sum: f64,
}

impl Agreement {
    /// Adds the two scores of a text.
    pub fn add(&mut self, one: f64, other: f64) {
        // Welford's update (1962), which does not lose digits to a large mean.
        self.count += 1;
        let count = self.count as f64;
        let before = [one - self.means[0], other - self.means[1]];
        self.means[0] += before[0] / count;
        self.means[1] += before[1] / count;
        let after = [one - self.means[0], other - self.means[1]];
        self.squares[0] += before[0] * after[0];
        self.squares[1] += before[1] * after[1];
        self.products += before[0] * after[1];
        let difference = (one - other).abs();
        self.largest = self.largest.max(difference);
        self.sum += difference;
    }

    /// Number of pairs.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Pearson's correlation, from -1 to 1; `None` if the scores of a model are all equal.
    #[must_use]
    pub fn correlation(&self) -> Option<f64> {
        let spread = (self.squares[0] * self.squares[1]).sqrt();
        (spread > 0.0).then(|| (self.products / spread).clamp(-1.0, 1.0))
    }

    /// The largest absolute difference; 0 without a pair.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.largest
    }

    /// The mean absolute difference; 0 without a pair.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(f64, f64)]) -> Agreement {
        let mut agreement = Agreement::default();
        pairs.iter().for_each(|&(one, other)| agreement.add(one, other));
        agreement
    }

    #[test]
    fn correlation_and_differences_follow_their_definitions() {
        // Deviations from the means: (-1, 0, 1) and (-1, 1, 0), so r = 1 / 2.
        let found = of(&[(1e6, -5.0), (1e6 + 1.0, -3.0), (1e6 + 2.0, -4.0)]);
        assert!((found.correlation().unwrap() - 0.5).abs() < 1e-9, "{found:?}");
        let found = of(&[(1.0, 1.5), (2.0, 4.0)]);
        assert_eq!((found.count(), found.largest(), found.mean()), (2, 2.0, 1.25));
        assert_eq!(of(&[(1.0, 2.0), (2.0, 1.0)]).correlation(), Some(-1.0));
    }

    #[test]
    fn equal_scores_have_no_correlation() {
        assert_eq!(of(&[(1.0, 1.0), (1.0, 2.0)]).correlation(), None);
        assert_eq!((of(&[]).correlation(), of(&[]).mean()), (None, 0.0));
    }
}
