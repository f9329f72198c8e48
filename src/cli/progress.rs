//! Progress on standard error: a bar on a terminal, else a plain line now and then.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between plain lines. A log should tell that work goes on, not fill up.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// Shows how far a command has come.
pub struct Meter {
    bar: ProgressBar,
    total: Option<u64>,
    plain: Option<Plain>,
    started: Instant,
    /// Where the work of this process began.
    from: u64,
}

struct Plain {
    last: Instant,
}

impl Meter {
    /// A meter towards `total`, which may be unknown.
    pub fn new(quiet: bool, total: Option<u64>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let hidden = quiet || !terminal;
        let target =
            if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{bar:24} {percent:>3} %  {msg}  {eta_precise} left",
            None => "{spinner}  {msg}  {elapsed_precise}",
        };
        // Only a template with a typing error is refused, and then the plain bar does.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let now = Instant::now();
        let plain = (!quiet && !terminal).then_some(Plain { last: now });
        Self { bar, total, plain, started: now, from: 0 }
    }

    /// Begins at a place that earlier work reached, so that it does not count as fast.
    pub fn start_at(&mut self, position: u64) {
        self.from = position;
        self.bar.set_position(position);
        self.bar.reset_eta();
    }

    /// Moves to `position`; `message` says what has been done so far.
    pub fn update(&mut self, position: u64, message: impl FnOnce() -> String) {
        if let Some(plain) = &mut self.plain {
            if plain.last.elapsed() < PLAIN_INTERVAL {
                return;
            }
            plain.last = Instant::now();
            let known = self.total.filter(|&total| total >= position && position > self.from);
            let place = known.map(|total| {
                let pace = self.started.elapsed().as_secs_f64() / (position - self.from) as f64;
                let part = position as f64 / total as f64;
                format!("{:.0} %, {} left: ", 100.0 * part, clock(pace * (total - position) as f64))
            });
            eprintln!("{}{}", place.unwrap_or_default(), message());
        } else if !self.bar.is_hidden() {
            self.bar.set_message(message());
            self.bar.set_position(position);
        }
    }

    /// A line of its own, above the bar.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }

    /// Seconds since the start, never 0.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64().max(1e-3)
    }
}

/// Seconds as `m:ss` or `h:mm:ss`.
pub fn clock(seconds: f64) -> String {
    let all = seconds.round().clamp(0.0, 1e9) as u64;
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn times_are_written_as_on_a_clock() {
        let cases = [(0.2, "0:00"), (59.6, "1:00"), (754.0, "12:34"), (3_725.0, "1:02:05")];
        for (seconds, expected) in cases {
            assert_eq!(clock(seconds), expected);
        }
    }
}
