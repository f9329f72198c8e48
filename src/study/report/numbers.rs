//! Formatting of numbers. Missing values are dashes.

use crate::study::statistics::Mean;

pub(super) const NONE: &str = "–";

/// Formats an optional value.
pub(super) fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), text)
}

/// A rate in percent: `12.34`.
pub(super) fn percent(rate: f64) -> String {
    format!("{:.2}", 100.0 * rate)
}

/// A mean of rates in percent with its interval: `12.34 ± 0.20`.
pub(super) fn mean_percent(mean: Mean) -> String {
    let half = mean.half.map(|half| format!(" ± {}", percent(half))).unwrap_or_default();
    percent(mean.mean) + &half
}

/// A relative change: `-8.1 %`.
pub(super) fn change(rate: f64) -> String {
    // No minus sign before zero.
    let shown = format!("{:+.1}", 100.0 * rate);
    let shown = if shown == "-0.0" { "+0.0".to_owned() } else { shown };
    format!("{} %", shown.replace('-', "−"))
}

/// The same with an interval: `-8.1 % (-12.0 to -4.0)`.
pub(super) fn change_between(rate: f64, interval: Option<(f64, f64)>) -> String {
    let ends = interval.map(|(low, high)| {
        let [low, high] = [low, high].map(|end| change(end).replace(" %", ""));
        format!(" ({low} to {high})")
    });
    change(rate) + &ends.unwrap_or_default()
}

/// A probability.
pub(super) fn probability(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// Seconds: three digits.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", 1000.0 * s),
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Bytes with a unit.
pub(super) fn bytes(bytes: f64) -> String {
    match bytes {
        b if b < 1e6 => format!("{:.1} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.2} GB", b / 1e9),
    }
}

/// A count in groups of three digits.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A fraction of the base, in percent, with two significant digits.
pub(super) fn share(rate: f64) -> String {
    let percent = 100.0 * rate;
    match percent {
        p if p >= 9.995 => format!("{p:.0} %"),
        p if p >= 0.0995 => format!("{p:.2} %"),
        p => format!("{p:.3} %"),
    }
}

/// A learning rate or similar number in common notation.
pub(super) fn small(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-2 { format!("{value:e}") } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted_for_reading() {
        assert_eq!(change(-0.0812), "−8.1 %");
        assert_eq!(change(-0.000_001), "+0.0 %");
        assert_eq!(change_between(0.5, Some((-0.1, 1.0))), "+50.0 % (−10.0 to +100.0)");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!([share(0.000_8), share(0.0272), share(1.0)], ["0.080 %", "2.72 %", "100 %"]);
        assert_eq!([small(2e-3), small(0.1), small(0.0)], ["2e-3", "0.1", "0"]);
        assert_eq!(
            [seconds(0.0123), seconds(75.0), seconds(600.0)],
            ["12 ms", "75.0 s", "10.0 min"]
        );
        assert_eq!(bytes(1_500_000.0), "1.5 MB");
    }
}
