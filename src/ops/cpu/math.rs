//! Elementary functions and sums in f32, written so that loops over them vectorise.

/// Interleaved partial sums, so that the compiler can vectorise a sum with a fixed order.
const LANES: usize = 16;

/// The sum of `n` values, in an order that depends only on n.
#[inline(always)]
pub(in crate::ops) fn sum(values: impl Fn(usize) -> f32, n: usize) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += values(start + lane);
        }
    }
    let tail: f32 = (whole..n).map(&values).sum();
    lanes.iter().sum::<f32>() + tail
}

/// `e^x`, relative error below 2e-7; 0 far below zero, no infinities above 88.
///
/// Cody and Waite's reduction by powers of two, and the polynomial of Cephes' `expf`.
#[inline(always)]
pub(in crate::ops) fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let n = x * std::f32::consts::LOG2_E + ROUND;
    let power = n.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    let n = n - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5e-1;
    (p * r * r + r + 1.0) * f32::from_bits(power)
}

/// The error function, absolute error below 5e-7.
///
/// The rational approximation on [-4, 4] that Eigen uses: odd numerator, even denominator.
#[inline(always)]
pub(in crate::ops) fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let s = x * x;
    let p = -2.726_142_3e-10;
    let p = p * s + 2.770_681_5e-8;
    let p = p * s - 2.101_024_1e-6;
    let p = p * s - 5.692_506_4e-5;
    let p = p * s - 7.349_906e-4;
    let p = p * s - 2.954_6e-3;
    let p = p * s - 1.609_603_4e-2;
    let q = -1.456_607_2e-5;
    let q = q * s - 2.133_740_5e-4;
    let q = q * s - 1.682_827e-3;
    let q = q * s - 7.373_329e-3;
    let q = q * s - 1.426_473_9e-2;
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range() -> impl Iterator<Item = f32> {
        (-90_000..=90_000).map(|i| i as f32 * 1e-3)
    }

    #[test]
    fn exp_is_within_2e_7_relative() {
        for x in range().filter(|x| (-87.0..=88.0).contains(x)) {
            let truth = f64::from(x).exp();
            let error = (f64::from(exp(x)) - truth).abs() / truth;
            assert!(error < 2e-7, "exp({x}): relative error {error:e}");
        }
        assert!(exp(-1e30) < 1e-37);
    }

    #[test]
    fn erf_is_within_5e_7() {
        for x in range() {
            let error = (f64::from(erf(x)) - libm::erf(f64::from(x))).abs();
            assert!(error < 5e-7, "erf({x}): error {error:e}");
        }
    }
}
