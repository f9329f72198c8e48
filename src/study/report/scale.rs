//! Axes: positions of values, and ticks.

/// An axis from `low` to `high`, mapped to a range of the drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// An axis that contains all values, with a margin. A logarithmic one uses only values above 0.
    pub fn over(values: impl Iterator<Item = f64>, logarithmic: bool, from: f64, to: f64) -> Self {
        let mapped = values
            .filter(|value| value.is_finite() && (!logarithmic || *value > 0.0))
            .map(|value| if logarithmic { libm::log10(value) } else { value });
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in mapped {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let room = if high > low { 0.06 * (high - low) } else { 0.1 * low.abs().max(0.1) };
        Self { low: low - room, high: high + room, from, to, logarithmic }
    }

    /// The position of a value.
    pub fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { libm::log10(value) } else { value };
        let part = (value - self.low) / (self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    /// The start of the axis.
    pub fn at_start(&self) -> f64 {
        self.from
    }

    /// Four to eight ticks, with their labels.
    pub fn marks(&self) -> Vec<(f64, String)> {
        if !self.logarithmic {
            return linear(self.low, self.high);
        }
        let span = self.high - self.low;
        let steps: &[f64] = match span {
            s if s > 4.0 => &[1.0],
            s if s > 2.0 => &[1.0, 3.0],
            s if s > 0.9 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        };
        let mut marks = Vec::new();
        for decade in self.low.floor() as i32..=self.high.ceil() as i32 {
            for step in steps {
                let value = step * libm::pow(10.0, f64::from(decade));
                let place = libm::log10(value);
                if place >= self.low && place <= self.high {
                    marks.push((value, named(value)));
                }
            }
        }
        marks
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn linear(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / 5.0;
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|f| f * power).find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    let digits = (-libm::floor(libm::log10(step) + 1e-9)).max(0.0) as usize;
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last)
        .map(|at| {
            let value = at as f64 * step;
            (value, format!("{value:.digits$}"))
        })
        .collect()
}

fn named(value: f64) -> String {
    let short = |value: f64| {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value {
        v if v >= 1e9 => format!("{}G", short(v / 1e9)),
        v if v >= 1e6 => format!("{}M", short(v / 1e6)),
        v if v >= 1e4 => format!("{}k", short(v / 1e3)),
        v if v >= 1e-2 => short(v),
        v => {
            // Remove rounding error from the power of ten.
            let exponent = libm::floor(libm::log10(v) + 1e-9);
            format!("{}e{exponent}", short(v / libm::pow(10.0, exponent)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_inside() {
        let scale = Scale::over([12.1, 18.7].into_iter(), false, 0.0, 100.0);
        let names: Vec<String> = scale.marks().into_iter().map(|mark| mark.1).collect();
        assert_eq!(names, ["12", "14", "16", "18"]);
        let rates = Scale::over([1e-5, 1e-3].into_iter(), true, 0.0, 100.0);
        let names: Vec<String> = rates.marks().into_iter().map(|mark| mark.1).collect();
        assert_eq!(names, ["1e-5", "3e-5", "1e-4", "3e-4", "1e-3"]);
        assert!(rates.at(1e-5) > 0.0 && rates.at(1e-3) < 100.0);
        let middle = rates.at(1e-4);
        assert!((middle - 50.0).abs() < 1e-9, "{middle}");
    }

    #[test]
    fn one_value_and_no_values_have_an_axis() {
        let one = Scale::over([5.0].into_iter(), false, 0.0, 10.0);
        assert!((one.at(5.0) - 5.0).abs() < 1e-9 && !one.marks().is_empty());
        assert!(!Scale::over(std::iter::empty(), false, 0.0, 1.0).marks().is_empty());
        assert!(!Scale::over([600.0].into_iter(), true, 0.0, 1.0).marks().is_empty());
    }
}
