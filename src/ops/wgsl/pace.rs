//! Cuts submissions by work.
//!
//! burn's runtime submits after a number of dispatches, whatever they compute. A slow GPU may need seconds for that, but systems
//! and browsers reset a GPU that does not finish a submission in time: Windows after 2 s. So the operations of matrix
//! products, which are nearly all of the work, are counted, and work is submitted before it exceeds [`SECONDS`] at the
//! rate of the device.
//!
//! The rate is learnt from read-backs, which wait for the work before them. A measured rate includes the host's work, so
//! it is at most the device's own, and the result is at most one more submission for [`SECONDS`] of work.

use std::sync::{Mutex, OnceLock, PoisonError};

use burn::tensor::Tensor;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};

use super::emptied::emptied;

/// Launches after which burn's runtime submits; an option of the devices that LoRB opens. A GPU starts with the first
/// launches of a step while the host encodes the next. In a browser each submission is a message to another process.
pub const MOST_LAUNCHES: usize = 96;

/// Most time that one submission should take.
const SECONDS: f64 = 0.2;

/// Rate before the first measurement, in operations per second: of a slow integrated GPU.
const START: f64 = 50e9;

/// A lower rate is not assumed. Without this, a device that is compiling kernels or waits for something else would get
/// many small submissions.
const LEAST: f64 = 10e9;

/// Work that is too little to measure, in operations.
const SHORT: f64 = 1e9;

/// Returns the time in seconds since any moment.
type Clock = fn() -> f64;

static CLOCK: OnceLock<Clock> = OnceLock::new();

/// Sets the clock that measures the rate of devices; the library has none of its own. Only the first call has an effect.
/// Without a clock, all devices count as slow GPUs of 50 GFLOP/s, and fast ones get more submissions than they need.
pub fn set_clock(clock: Clock) {
    let _ = CLOCK.set(clock);
}

/// The time, if there is a clock.
fn now() -> Option<f64> {
    CLOCK.get().map(|clock| clock())
}

/// The work of a device.
#[derive(Debug)]
struct Pace {
    /// Operations per second.
    rate: f64,
    /// Operations since the last submission.
    queued: f64,
    /// All operations so far.
    launched: f64,
    /// Those before the last read-back that has returned.
    finished: f64,
    /// When the device may have begun the work after `finished`.
    since: Option<f64>,
}

impl Pace {
    const NEW: Self = Self { rate: START, queued: 0.0, launched: 0.0, finished: 0.0, since: None };

    /// Adds the work of a dispatch. Returns whether what is queued must be submitted before it.
    fn launch(&mut self, work: f64, now: impl Fn() -> Option<f64>) -> bool {
        if self.launched <= self.finished {
            self.since = now();
        }
        self.launched += work;
        let submit = self.queued > 0.0 && self.queued + work > SECONDS * self.rate;
        self.queued = if submit { work } else { self.queued + work };
        submit
    }

    /// A read-back, which submits what is queued. Returns the work that it waits for, for [`Pace::end`].
    fn begin(&mut self) -> f64 {
        self.queued = 0.0;
        self.launched
    }

    /// The end of a read-back that waited for all work up to `until`.
    fn end(&mut self, until: f64, now: Option<f64>) {
        let work = until - self.finished;
        if work <= 0.0 {
            return;
        }
        self.finished = until;
        if let (Some(since), Some(now)) = (self.since, now)
            && work >= SHORT
        {
            // One read-back may have waited for something else, so the rate changes by steps.
            let measured = work / (now - since).max(1e-6);
            self.rate = measured.clamp(self.rate / 2.0, self.rate * 2.0).max(LEAST);
        }
        self.since = now;
    }
}

/// The devices that have launched products.
static PACES: Mutex<Vec<(CubeDevice, Pace)>> = Mutex::new(Vec::new());

fn with<T>(device: &CubeDevice, change: impl FnOnce(&mut Pace) -> T) -> T {
    let mut all = PACES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = all.iter().position(|(of, _)| of == device);
    let at = known.unwrap_or_else(|| {
        all.push((device.clone(), Pace::NEW));
        all.len() - 1
    });
    change(&mut all[at].1)
}

/// Counts a dispatch of `work` operations on the device of `like`, and submits what is queued if it would become too much.
pub(super) fn launching(work: f64, like: &CubeTensor) {
    // Emptied kernels do no work.
    if work <= 0.0 || emptied() {
        return;
    }
    if with(&like.device, |pace| pace.launch(work, now)) {
        // A failure appears when a result is read.
        let _ = like.client.flush();
    }
}

/// A read-back under way, which measures the rate of its device.
#[derive(Debug)]
pub struct Reading {
    device: CubeDevice,
    until: f64,
}

impl Reading {
    /// Call this before the read-back of a tensor; `None` on the CPU path.
    #[must_use]
    pub fn begin(tensor: &Tensor<1>) -> Option<Self> {
        let CubeTensor { device, .. } = tensor.clone().try_into_primitive::<CubeBackend>().ok()?;
        let until = with(&device, Pace::begin);
        Some(Self { device, until })
    }

    /// Call this when the values have arrived.
    pub fn end(self) {
        with(&self.device, |pace| pace.end(self.until, now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device of a constant rate that computes while the host waits for it.
    struct Simulated {
        pace: Pace,
        rate: f64,
        time: f64,
        submissions: Vec<f64>,
    }

    impl Simulated {
        fn new(rate: f64) -> Self {
            Self { pace: Pace::NEW, rate, time: 7.0, submissions: vec![0.0] }
        }

        /// Launches dispatches and reads back; returns the work of each submission.
        fn step(&mut self, dispatches: &[f64]) -> Vec<f64> {
            for &work in dispatches {
                if self.pace.launch(work, || Some(self.time)) {
                    self.submissions.push(0.0);
                }
                *self.submissions.last_mut().unwrap() += work;
            }
            let until = self.pace.begin();
            self.time += self.submissions.iter().sum::<f64>() / self.rate;
            self.pace.end(until, Some(self.time));
            std::mem::replace(&mut self.submissions, vec![0.0])
        }
    }

    /// The products of a training step of BERT-base with 4096 tokens, in turn 4.8 and 19.3 GFLOP.
    fn step() -> Vec<f64> {
        (0..140).map(|i| if i % 4 == 0 { 19.3e9 } else { 4.8e9 }).collect()
    }

    #[test]
    fn a_slow_device_gets_submissions_of_limited_work() {
        let mut device = Simulated::new(80e9);
        for round in 0..4 {
            for work in device.step(&step()) {
                // One dispatch is never split.
                let seconds = work / device.rate;
                assert!(seconds <= SECONDS || work == 19.3e9, "{round}: {seconds} s");
            }
        }
        // Without the limit, a submission of 32 dispatches.
        assert!(step()[..32].iter().sum::<f64>() / device.rate > 3.0);
    }

    #[test]
    fn a_fast_device_soon_gets_whole_steps() {
        let mut device = Simulated::new(20e12);
        let counts: Vec<usize> = (0..12).map(|_| device.step(&step()).len()).collect();
        assert!(counts[0] > 50, "{counts:?}");
        assert!(counts.windows(2).all(|pair| pair[1] <= pair[0]), "{counts:?}");
        assert_eq!(counts[9..], [1, 1, 1], "{counts:?}");
    }

    #[test]
    fn short_work_and_idle_time_do_not_change_the_rate() {
        let mut device = Simulated::new(1e12);
        for _ in 0..10 {
            device.step(&step());
        }
        let learnt = device.pace.rate;
        assert!((learnt / 1e12 - 1.0).abs() < 1e-9, "{learnt}");
        device.time += 3600.0;
        device.step(&step());
        assert!((device.pace.rate / learnt - 1.0).abs() < 1e-9, "{}", device.pace.rate);
        device.rate = 1e6;
        device.step(&[1e6, 2e6]);
        assert!((device.pace.rate / learnt - 1.0).abs() < 1e-9, "{}", device.pace.rate);
    }

    #[test]
    fn the_rate_changes_by_steps_and_has_a_lower_limit() {
        let mut device = Simulated::new(1e9);
        let mut rates = vec![device.pace.rate];
        for _ in 0..5 {
            device.step(&[4e9]);
            rates.push(device.pace.rate);
        }
        assert_eq!(rates, [50e9, 25e9, 12.5e9, 10e9, 10e9, 10e9]);
    }

    #[test]
    fn read_backs_may_overlap() {
        let mut pace = Pace::NEW;
        pace.launch(10e9, || Some(0.0));
        let first = pace.begin();
        pace.launch(20e9, || Some(0.1));
        let second = pace.begin();
        // The second waits for both.
        pace.end(second, Some(0.5));
        assert_eq!((pace.finished, pace.rate), (30e9, 60e9));
        pace.end(first, Some(0.5));
        assert_eq!((pace.finished, pace.rate), (30e9, 60e9));
        assert_eq!(pace.queued, 0.0);
    }

    #[test]
    fn without_a_clock_the_rate_stays() {
        let mut pace = Pace::NEW;
        for _ in 0..3 {
            pace.launch(90e9, || None);
            let until = pace.begin();
            pace.end(until, None);
        }
        assert_eq!(pace.rate, START);
    }
}
