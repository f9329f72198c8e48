//! Detects a loss that does not decrease.

use super::message::{Message, WarningKind};

/// Checks the loss over windows of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossMonitor {
    warmup: usize,
    window: usize,
}

impl LossMonitor {
    /// For a run of `steps` steps with `warmup` warm-up steps. The window is a fifth of the run, 10 to 100 steps, and
    /// is compared with the start.
    #[must_use]
    pub fn new(steps: usize, warmup: usize) -> Self {
        Self { warmup, window: (steps / 5).clamp(10, 100) }
    }

    /// Returns a warning if the mean of the last window is not below that of the first by more than half its standard
    /// error. Called after every step; checks once per window, starting two windows after warm-up. `history` is the
    /// objective of every step so far, `lr` the last learning rate.
    #[must_use]
    pub fn look(&self, history: &[f32], lr: f64) -> Option<Message> {
        let (steps, window) = (history.len(), self.window);
        if steps < self.warmup + 2 * window || !steps.is_multiple_of(window) {
            return None;
        }
        let (first, first_variance) = mean_and_variance(&history[..window]);
        let (last, last_variance) = mean_and_variance(&history[steps - window..]);
        let error = libm::sqrt((first_variance + last_variance) / window as f64);
        if first - last > 0.5 * error {
            return None;
        }
        let text = format!(
            "the loss does not decrease: {first:.4} on average over the first {window} steps, {last:.4} over the last \
             {window} before step {steps} (learning rate {lr:.1e}). Try a third of the learning rate, or a lower alpha; if \
             the loss hardly changes, try three times the rate"
        );
        Some(Message::Warning { kind: WarningKind::LossDoesNotMove, text })
    }
}

fn mean_and_variance(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let squares: f64 = values.iter().map(|&v| (f64::from(v) - mean) * (f64::from(v) - mean)).sum();
    (mean, squares / (count - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss that starts at 1, falls by `fall` over `steps` steps and oscillates by 0.2.
    fn history(steps: usize, fall: f32) -> Vec<f32> {
        let swing = |k: usize| 0.2 * ((k * 7 % 5) as f32 - 2.0);
        (0..steps).map(|k| 1.0 - fall * k as f32 / steps as f32 + swing(k)).collect()
    }

    fn first_warning(history: &[f32], watch: LossMonitor) -> Option<usize> {
        (1..=history.len()).find(|&steps| watch.look(&history[..steps], 1e-3).is_some())
    }

    #[test]
    fn a_falling_loss_gives_no_warning() {
        let watch = LossMonitor::new(200, 20);
        assert_eq!(first_warning(&history(200, 0.5), watch), None);
    }

    #[test]
    fn a_flat_or_rising_loss_gives_a_warning_after_warm_up() {
        let watch = LossMonitor::new(200, 20);
        for fall in [0.0, -0.5] {
            assert_eq!(first_warning(&history(200, fall), watch), Some(120));
        }
        let Some(Message::Warning { kind, text }) = watch.look(&history(200, 0.0), 3e-3) else {
            panic!("no warning")
        };
        assert_eq!(kind, WarningKind::LossDoesNotMove);
        assert!(text.contains("3.0e-3") && text.contains("a third of the learning rate"), "{text}");
    }

    #[test]
    fn short_runs_give_no_warning() {
        assert_eq!(first_warning(&history(15, -1.0), LossMonitor::new(15, 2)), None);
    }
}
