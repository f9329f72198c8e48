//! Weights in 4 bits: a format of files. In memory they become f32, f16 or int8.
//!
//! [`GROUP`] inputs of a row share a scale in f16. A value is `q * scale` with q from -8 to 7, two to a byte: the input
//! with the even index is in the low half, as two's complement. A row begins at a whole byte.
//!
//! All 16 levels are used, which needs a sign for the scale: the value of the largest magnitude can then be at -8, whatever
//! its sign. From -7 to 7 a level would be unused. The scale of a group is the candidate with the least squared error,
//! because a value that is clipped a little often costs less than a coarser step for the other 31.

use half::f16;

/// Inputs that share a scale.
pub(super) const GROUP: usize = 32;

/// What the largest magnitude is divided by, in eighths: from a step that leaves a level unused to one that clips it.
const DIVISORS: std::ops::RangeInclusive<u8> = 56..=80;

/// Shape of the bytes of a weight `[outputs, inputs]`.
pub(super) fn bytes_shape(shape: &[usize]) -> [usize; 2] {
    [shape[0], shape[1].div_ceil(2)]
}

/// Shape of its scales.
pub(super) fn scales_shape(shape: &[usize]) -> [usize; 2] {
    [shape[0], shape[1].div_ceil(GROUP)]
}

/// Rounds rows of `inputs` values. Returns the bytes and the scales; a scale that f16 cannot represent is infinite.
pub(super) fn pack(values: &[f32], inputs: usize) -> (Vec<u8>, Vec<f16>) {
    let rows = values.len() / inputs;
    let mut bytes = Vec::with_capacity(rows * inputs.div_ceil(2));
    let mut scales = Vec::with_capacity(rows * inputs.div_ceil(GROUP));
    let mut levels: Vec<i8> = Vec::with_capacity(inputs + 1);
    for row in values.chunks(inputs) {
        levels.clear();
        for group in row.chunks(GROUP) {
            let scale = best_scale(group);
            levels.extend(group.iter().map(|value| level(*value, scale.to_f32())));
            scales.push(scale);
        }
        bytes.extend(levels.chunks(2).map(|pair| {
            let half = |at: usize| pair.get(at).map_or(0, |level| *level as u8 & 15);
            half(0) | half(1) << 4
        }));
    }
    (bytes, scales)
}

/// The values of rows of `inputs`. Bytes and scales must have the shapes above.
pub(super) fn unpack(bytes: &[u8], scales: &[f32], inputs: usize) -> Vec<f32> {
    let (width, groups) = (inputs.div_ceil(2).max(1), inputs.div_ceil(GROUP).max(1));
    let mut values = Vec::with_capacity(bytes.len() * 2);
    for (row, scales) in bytes.chunks(width).zip(scales.chunks(groups)) {
        values.extend((0..inputs).map(|at| {
            let byte = row[at / 2];
            // The shift to the right repeats the sign.
            let level = if at % 2 == 0 { ((byte << 4) as i8) >> 4 } else { (byte as i8) >> 4 };
            f32::from(level) * scales[at / GROUP]
        }));
    }
    values
}

/// The nearest level of a value.
fn level(value: f32, scale: f32) -> i8 {
    if scale == 0.0 || !scale.is_finite() {
        return 0;
    }
    (value / scale).round().clamp(-8.0, 7.0) as i8
}

/// The scale with the least squared error, of those that place the largest magnitude at -7 to -10.
fn best_scale(group: &[f32]) -> f16 {
    let larger = |most: f32, value: &f32| if value.abs() > most.abs() { *value } else { most };
    let extreme = group.iter().fold(0.0, larger);
    if extreme == 0.0 {
        return f16::ZERO;
    }
    let (mut best, mut least) = (f16::INFINITY, f32::INFINITY);
    for eighths in DIVISORS.step_by(2) {
        let scale = f16::from_f32(extreme / (f32::from(eighths) / -8.0));
        if !scale.is_finite() {
            continue;
        }
        let step = scale.to_f32();
        let error = |value: &f32| value - f32::from(level(*value, step)) * step;
        let squares: f32 = group.iter().map(error).map(|error| error * error).sum();
        if squares < least {
            (best, least) = (scale, squares);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of an LCG whose sum of four is roughly normal, as weights are.
    fn sample(count: usize) -> Vec<f32> {
        let mut state = 7_u32;
        let mut unit = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24) - 0.5
        };
        (0..count).map(|_| ((unit() + unit() + unit() + unit()) * 0.07) as f32).collect()
    }

    fn round_trip(values: &[f32], inputs: usize) -> Vec<f32> {
        let (bytes, scales) = pack(values, inputs);
        let rows = values.len() / inputs;
        assert_eq!(bytes.len(), bytes_shape(&[rows, inputs]).iter().product::<usize>());
        assert_eq!(scales.len(), scales_shape(&[rows, inputs]).iter().product::<usize>());
        let scales: Vec<f32> = scales.into_iter().map(f16::to_f32).collect();
        unpack(&bytes, &scales, inputs)
    }

    fn error(values: &[f32], rounded: &[f32]) -> f64 {
        let squares = values.iter().zip(rounded).map(|(a, b)| f64::from(a - b).powi(2));
        (squares.sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn values_on_the_grid_are_exact_in_rows_of_any_length() {
        for inputs in [1, 2, 7, 31, 32, 33, 64, 95] {
            // Every group contains -8 and 7, so its scale is known.
            let value = |at: usize| [-8, 7, -3, 0, 5, -1, 2][at % inputs % GROUP % 7];
            let values: Vec<f32> = (0..3 * inputs).map(|at| value(at) as f32 * 0.25).collect();
            assert_eq!(round_trip(&values, inputs), values, "{inputs}");
        }
    }

    #[test]
    fn a_group_does_not_depend_on_the_others() {
        let mut values = sample(64);
        let before = round_trip(&values, 64);
        values[40] = 1000.0;
        let after = round_trip(&values, 64);
        assert_eq!(before[..32], after[..32]);
        assert_ne!(before[32..], after[32..]);
    }

    /// A uniform quantiser with 8 times the range in 15 steps, for comparison.
    #[test]
    fn the_chosen_scale_has_less_error_than_the_symmetric_one() {
        let values = sample(32 * 400);
        let symmetric: Vec<f32> = values
            .chunks(GROUP)
            .flat_map(|group| {
                let scale = group.iter().fold(0.0_f32, |most, w| most.max(w.abs())) / 7.0;
                group.iter().map(move |w| (w / scale).round() * scale)
            })
            .collect();
        let (chosen, plain) =
            (error(&values, &round_trip(&values, 64)), error(&values, &symmetric));
        assert!(chosen < 0.9 * plain, "{chosen} {plain}");
    }

    #[test]
    fn zeros_and_values_beyond_f16_have_a_scale_that_says_so() {
        let (bytes, scales) = pack(&[0.0; 40], 40);
        assert!(bytes.iter().all(|byte| *byte == 0) && scales == [f16::ZERO; 2]);
        let (_, scales) = pack(&[1e9; 4], 4);
        assert!(scales[0].is_infinite());
        // Too small for f16: zero, not a division by zero.
        assert_eq!(round_trip(&[1e-20, -1e-20], 2), [0.0, 0.0]);
    }
}
