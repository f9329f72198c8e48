//! Tolerances of the probe.

use super::Fault;

/// Tolerance between a device's result and the CPU's: `ABSOLUTE + RELATIVE * max |expected|`.
///
/// Relative to the largest element, because sums that cancel keep the error of their terms. Both sides compute in f32
/// and sum in different orders; WGSL allows `exp` and `inverseSqrt` an error of a few units in the last place. The
/// error of a faulty kernel is far larger, of the magnitude of the values.
pub(super) const ABSOLUTE: f64 = 1e-5;
pub(super) const RELATIVE: f64 = 1e-4;

/// Replaces [`RELATIVE`] if factors are rounded to f16, by up to 2^-11 each.
pub(super) const RELATIVE_F16: f64 = 2e-3;

pub(super) struct Compared {
    pub largest_error: f64,
    pub allowed: f64,
    pub fault: Option<Fault>,
}

/// Compares element by element; `relative` is one of the two above. An `Err` is a device's error message.
pub(super) fn compare(
    expected: Result<Vec<f32>, String>,
    found: Result<Vec<f32>, String>,
    relative: f64,
) -> Compared {
    let (expected, found) = match (expected, found) {
        (Ok(expected), Ok(found)) => (expected, found),
        (Err(error), _) => return failed(format!("on the CPU: {error}")),
        (_, Err(error)) => return failed(error),
    };
    let largest = expected.iter().fold(0.0f64, |most, value| most.max(f64::from(value.abs())));
    let allowed = ABSOLUTE + relative * largest;
    let errors = expected.iter().zip(&found).map(|(e, f)| f64::from((e - f).abs()));
    let largest_error = errors.fold(0.0f64, |most, error| {
        // `max` would ignore NaN.
        if error.is_nan() { f64::INFINITY } else { most.max(error) }
    });
    let broken = found.iter().filter(|value| !value.is_finite()).count();
    let fault = if found.len() != expected.len() {
        Some(Fault::Size { found: found.len(), expected: expected.len() })
    } else if broken > 0 {
        Some(Fault::NotFinite { count: broken, of: found.len() })
    } else if largest > 0.0 && found.iter().all(|value| *value == 0.0) {
        Some(Fault::AllZero)
    } else if largest_error > allowed {
        Some(Fault::Differs { largest_error, allowed })
    } else {
        None
    };
    Compared { largest_error, allowed, fault }
}

fn failed(error: String) -> Compared {
    Compared { largest_error: f64::INFINITY, allowed: 0.0, fault: Some(Fault::Failed(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(expected: &[f32], found: &[f32]) -> Option<Fault> {
        compare(Ok(expected.to_vec()), Ok(found.to_vec()), RELATIVE).fault
    }

    #[test]
    fn rounding_errors_pass_and_larger_ones_fail() {
        assert_eq!(fault(&[1.0, -20.0], &[1.001, -20.001]), None);
        let off = fault(&[1.0, -20.0], &[1.0, -20.01]);
        assert!(matches!(off, Some(Fault::Differs { largest_error, .. }) if largest_error > 0.009));
    }

    #[test]
    fn non_finite_and_zero_results_are_separate_faults() {
        let (nan, infinite) = (f32::NAN, f32::INFINITY);
        assert_eq!(fault(&[1.0, 2.0], &[nan, 2.0]), Some(Fault::NotFinite { count: 1, of: 2 }));
        assert_eq!(fault(&[1.0], &[infinite]), Some(Fault::NotFinite { count: 1, of: 1 }));
        assert_eq!(fault(&[1e-7, 2e-7], &[0.0, 0.0]), Some(Fault::AllZero));
        assert_eq!(fault(&[1.0, 2.0], &[1.0]), Some(Fault::Size { found: 1, expected: 2 }));
        let lost = compare(Ok(vec![1.0]), Err("device lost".to_owned()), RELATIVE);
        assert_eq!(lost.fault, Some(Fault::Failed("device lost".to_owned())));
    }
}
