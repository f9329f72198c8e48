//! Progress on standard error: a bar on a terminal, otherwise occasional plain lines.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::{line, say, shown};

/// Time between plain lines: enough to show progress without filling a log.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// Shows the progress of a command.
pub struct Meter {
    bar: ProgressBar,
    total: Option<u64>,
    plain: Option<Plain>,
    started: Instant,
    /// The position at which this process started.
    from: u64,
}

struct Plain {
    last: Instant,
}

impl Meter {
    /// A progress meter; `total` may be unknown.
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
        // Only an invalid template fails; the default bar is then used.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let now = Instant::now();
        let plain = (!quiet && !terminal).then_some(Plain { last: now });
        Self { bar, total, plain, started: now, from: 0 }
    }

    /// Starts at a position that an earlier process reached, so that it does not affect the speed.
    pub fn start_at(&mut self, position: u64) {
        self.from = position;
        self.bar.set_position(position);
        self.bar.reset_eta();
    }

    /// Moves to `position`; `message` describes the progress.
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
            say!("{}{}", place.unwrap_or_default(), message());
        } else if !self.bar.is_hidden() {
            self.bar.set_message(shown(&message()));
            self.bar.set_position(position);
        }
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| line(text));
    }

    /// Removes the bar.
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
    fn durations_are_printed_as_clock_times() {
        let cases = [(0.2, "0:00"), (59.6, "1:00"), (754.0, "12:34"), (3_725.0, "1:02:05")];
        for (seconds, expected) in cases {
            assert_eq!(clock(seconds), expected);
        }
    }
}
