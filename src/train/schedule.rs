//! Learning-rate schedules.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The learning-rate schedule after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Linear decay to 0.
    Linear,
    /// Half-cosine decay to 0 (Loshchilov and Hutter, arXiv 1608.03983, without restarts).
    Cosine,
    /// No decay.
    Constant,
}

impl Decay {
    /// Every schedule; the first is the default.
    pub const ALL: [Self; 3] = [Self::Linear, Self::Cosine, Self::Constant];

    /// Name in flags, options and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Constant => "constant",
        }
    }

    /// One line for help texts.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Linear => "decays linearly to 0",
            Self::Cosine => "decays along half a cosine to 0",
            Self::Constant => "stays at the peak",
        }
    }
}

impl fmt::Display for Decay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Decay {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|decay| decay.name() == name);
        found.ok_or_else(|| format!("{name:?} is not a schedule; use linear, cosine or constant"))
    }
}

/// Learning rate at every step of a run.
///
/// With `w` warm-up steps out of `n` steps, at step `k = 0 .. n - 1`:
///
/// ```text
/// climb = (k + 1) / w                            1 if w = 0
/// fall  = (n - k) / (n - w)                      linear
///         (1 + cos(pi (k - w) / (n - w))) / 2    cosine, 1 before w
///         1                                      constant
/// rate  = peak * min(climb, fall)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    peak: f64,
    steps: usize,
    warmup: usize,
    decay: Decay,
}

impl Schedule {
    /// A schedule of `steps` steps with its peak after `warmup`, a fraction of them in `[0, 1]`.
    #[must_use]
    pub fn new(peak: f64, steps: usize, warmup: f64, decay: Decay) -> Self {
        let warmup = libm::round(warmup * steps as f64) as usize;
        Self { peak, steps, warmup: warmup.min(steps), decay }
    }

    /// Total number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Warm-up steps.
    #[must_use]
    pub fn warmup(&self) -> usize {
        self.warmup
    }

    /// Learning rate of step `step` (from 0).
    #[must_use]
    pub fn rate(&self, step: usize) -> f64 {
        let climb = (step + 1) as f64 / self.warmup.max(1) as f64;
        let way = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let fall = match self.decay {
            Decay::Linear => self.steps.saturating_sub(step) as f64 / way,
            Decay::Cosine => {
                let gone = (step.saturating_sub(self.warmup) as f64 / way).min(1.0);
                0.5 * (1.0 + libm::cos(std::f64::consts::PI * gone))
            }
            Decay::Constant => 1.0,
        };
        self.peak * climb.min(fall).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(warmup: f64, decay: Decay) -> Vec<f64> {
        let schedule = Schedule::new(1.0, 8, warmup, decay);
        (0..8).map(|step| schedule.rate(step)).collect()
    }

    #[test]
    fn linear_warms_up_then_decays_evenly() {
        assert_eq!(rates(0.5, Decay::Linear), [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25]);
        assert_eq!(rates(0.0, Decay::Linear), [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]);
    }

    #[test]
    fn cosine_is_halfway_down_in_the_middle() {
        let rates = rates(0.5, Decay::Cosine);
        assert_eq!(rates[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
        assert!((rates[6] - 0.5).abs() < 1e-15 && rates[5] > 0.75 && rates[7] < 0.25, "{rates:?}");
    }

    #[test]
    fn constant_does_not_decay_and_full_warm_up_never_decays() {
        assert_eq!(rates(0.25, Decay::Constant), [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        for decay in [Decay::Cosine, Decay::Constant] {
            assert_eq!(rates(1.0, decay)[7], 1.0);
            assert_eq!(rates(1.0, decay)[3], 0.5);
        }
        let one = Schedule::new(2.0, 1, 0.1, Decay::Linear);
        assert_eq!((one.warmup(), one.rate(0)), (0, 2.0));
    }

    #[test]
    fn names_round_trip() {
        for decay in [Decay::Linear, Decay::Cosine, Decay::Constant] {
            assert_eq!(decay.to_string().parse(), Ok(decay));
        }
        assert!("exponential".parse::<Decay>().unwrap_err().contains("linear, cosine or constant"));
    }
}
