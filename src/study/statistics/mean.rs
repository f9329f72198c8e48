//! The mean over seeds, with its interval.

/// A mean with the half width of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval; `None` for a single value.
    pub half: Option<f64>,
    /// Number of values.
    pub count: usize,
}

/// Mean and 95 % interval `mean +- t s / sqrt(n)`, with `s` over n - 1 and Student's t; `None` without values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<Mean> {
    let count = values.len();
    if count == 0 {
        return None;
    }
    let n = count as f64;
    let mean = values.iter().sum::<f64>() / n;
    let half = (count > 1).then(|| {
        let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
        t_quantile(count - 1) * (squares / (n - 1.0) / n).sqrt()
    });
    Some(Mean { mean, half, count })
}

/// 97.5 % quantile of Student's t with this many degrees of freedom: from a table up to 10, then by the
/// expansion about the normal quantile (Abramowitz and Stegun 26.7.5), accurate to 1e-3.
///
/// # Panics
/// If `freedom` is 0.
#[must_use]
pub fn t_quantile(freedom: usize) -> f64 {
    assert!(freedom > 0, "one value has no spread");
    const TABLE: [f64; 10] =
        [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281];
    if let Some(&t) = TABLE.get(freedom - 1) {
        return t;
    }
    let (z, f) = (1.959_964_f64, freedom as f64);
    let [z3, z5, z7] = [3, 5, 7].map(|power| z.powi(power));
    z + (z3 + z) / (4.0 * f)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * f * f)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * f * f * f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        for (freedom, t) in [(1, 12.706), (2, 4.303), (11, 2.201), (20, 2.086), (120, 1.980)] {
            assert!((t_quantile(freedom) - t).abs() < 1e-3, "{freedom}");
        }
    }

    #[test]
    fn three_values_have_a_wide_interval_and_one_has_none() {
        let found = mean(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((found.mean, found.count), (2.0, 3));
        assert!((found.half.unwrap() - 4.3027 / 3.0_f64.sqrt()).abs() < 1e-4);
        assert_eq!(mean(&[5.0]).unwrap().half, None);
        assert_eq!(mean(&[]), None);
    }
}
