//! Repeated timing: number of repetitions, and statistics.

use burn::tensor::Tensor;

use super::error::BenchError;
use crate::model::read;

/// Seconds since any fixed moment.
pub type Clock<'a> = &'a dyn Fn() -> f64;

/// Minimum number of repetitions, so that one outlier does not change the median.
pub(super) const LEAST_REPEATS: usize = 3;

/// Warm-up runs, in which shaders are compiled and memory is reserved.
pub(super) const WARM_UP: usize = 2;

/// Reading a result takes a round trip to the device. Launches that are read together take at
/// least this long, in seconds, so that the round trip is negligible.
pub(super) const LEAST_BATCH: f64 = 0.02;

/// Most launches that are read together.
const MOST_LAUNCHES: usize = 4096;

/// Minimum time, in seconds: a coarse clock may return 0, and rates are divided by times.
const TICK: f64 = 1e-9;

/// The result of a repeated measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// The median, in seconds.
    pub seconds: f64,
    /// The minimum: an estimate of the device's speed when other processes use it too.
    pub least: f64,
    /// Number of timings.
    pub repeats: usize,
}

/// Times a step that waits for its own result, after its warm-up runs.
pub(super) async fn steps(
    clock: Clock<'_>,
    seconds: f64,
    mut step: impl AsyncFnMut() -> Result<(), BenchError>,
) -> Result<Timing, BenchError> {
    let nothing = async || Ok(());
    Ok(in_turn(clock, seconds, &mut step, nothing).await?.0)
}

/// Alternates between two steps, so that disturbances affect both, and times each for `seconds`. Each waits for its
/// own result and has had its warm-up runs.
pub(super) async fn in_turn(
    clock: Clock<'_>,
    seconds: f64,
    mut one: impl AsyncFnMut() -> Result<(), BenchError>,
    mut other: impl AsyncFnMut() -> Result<(), BenchError>,
) -> Result<(Timing, Timing), BenchError> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    while first.len() < LEAST_REPEATS || first.iter().sum::<f64>() < seconds {
        let start = clock();
        one().await?;
        let between = clock();
        other().await?;
        first.push(between - start);
        second.push(clock() - between);
    }
    Ok((Timing::of(first, 1), Timing::of(second, 1)))
}

/// Times the work of `launch`, which receives the number of repetitions and returns a tensor that is available
/// when all of them have finished.
pub(super) async fn launches(
    clock: Clock<'_>,
    seconds: f64,
    what: &'static str,
    mut launch: impl FnMut(usize) -> Tensor<2>,
) -> Result<Timing, BenchError> {
    let mut batch = async |count: usize| -> Result<f64, BenchError> {
        let before = clock();
        let first = launch(count).slice([0..1, 0..1]).reshape([1]);
        let value = read(first).await?[0];
        if !value.is_finite() {
            return Err(BenchError::NotFinite { what, value });
        }
        Ok(clock() - before)
    };
    batch(1).await?;
    let (count, taken) = enough(LEAST_BATCH, &mut batch).await?;
    // The last warm-up run is the first timing, because every run of a slow launch matters.
    let (start, mut times) = (clock() - taken, vec![taken / count as f64]);
    while times.len() < LEAST_REPEATS || clock() - start < seconds {
        times.push(batch(count).await? / count as f64);
    }
    Ok(Timing::of(times, count))
}

/// How many launches together take at least this long, in seconds, and the time that they took. `batch` runs a number of
/// them and returns its time.
pub(super) async fn enough(
    least: f64,
    mut batch: impl AsyncFnMut(usize) -> Result<f64, BenchError>,
) -> Result<(usize, f64), BenchError> {
    let (mut count, mut taken) = (1, batch(1).await?);
    while taken < least && count < MOST_LAUNCHES {
        count *= 2;
        taken = batch(count).await?;
    }
    Ok((count, taken))
}

impl Timing {
    /// From one time or more, each the mean of `count` repetitions.
    pub(super) fn of(times: Vec<f64>, count: usize) -> Self {
        let least = times.iter().copied().fold(f64::INFINITY, f64::min).max(TICK);
        Self { repeats: times.len() * count, least, seconds: median(times) }
    }
}

/// Of an even number, the mean of the middle two.
pub(super) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    let low = if times.len().is_multiple_of(2) { times[middle - 1] } else { times[middle] };
    f64::midpoint(low, times[middle]).max(TICK)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use burn::tensor::Device;

    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![0.0]), 1e-9);
    }

    #[test]
    fn an_outlier_hardly_counts() {
        let (now, calls) = (Cell::new(0.0), Cell::new(0));
        let clock = || now.get();
        let step = async || {
            calls.set(calls.get() + 1);
            now.set(now.get() + if calls.get() == 2 { 100.0 } else { 2.0 });
            Ok(())
        };
        let timing = pollster::block_on(steps(&clock, 0.0, step)).unwrap();
        assert_eq!(timing, Timing { seconds: 2.0, least: 2.0, repeats: LEAST_REPEATS });
        let timing = pollster::block_on(steps(&clock, 10.0, async || {
            now.set(now.get() + 1.0);
            Ok(())
        }));
        assert_eq!(timing.unwrap(), Timing { seconds: 1.0, least: 1.0, repeats: 10 });
        let timing = Timing::of(vec![3.0, 2.0, 5.0], 4);
        assert_eq!(timing, Timing { seconds: 3.0, least: 2.0, repeats: 12 });
    }

    #[test]
    fn two_steps_take_turns() {
        let (now, order) = (Cell::new(0.0), std::cell::RefCell::new(Vec::new()));
        let clock = || now.get();
        let step = |name: char, takes: f64| {
            let (now, order) = (&now, &order);
            async move || {
                order.borrow_mut().push(name);
                now.set(now.get() + takes);
                Ok(())
            }
        };
        let both = in_turn(&clock, 4.0, step('a', 1.0), step('b', 3.0));
        let (a, b) = pollster::block_on(both).unwrap();
        assert_eq!((a.seconds, b.seconds, a.repeats, b.repeats), (1.0, 3.0, 4, 4));
        assert_eq!(order.borrow().iter().collect::<String>(), "abababab");
    }

    #[test]
    fn quick_launches_are_read_together() {
        let device = Device::flex();
        let (now, read) = (Cell::new(0.0), Cell::new(0));
        let clock = || now.get();
        // A launch takes 0.1 ms, a round trip 1 ms.
        let launch = |count: usize| {
            read.set(read.get() + 1);
            now.set(now.get() + 1e-3 + 1e-4 * count as f64);
            Tensor::<2>::ones([1, 1], &device)
        };
        let timing = pollster::block_on(launches(&clock, 0.0, "test", launch)).unwrap();
        assert!(timing.seconds < 1.1e-4, "{timing:?}");
        assert_eq!(timing.repeats, 256 * LEAST_REPEATS);
        let bad = |_| Tensor::<2>::full([1, 1], f32::NAN, &device);
        let error = pollster::block_on(launches(&clock, 0.0, "test", bad)).unwrap_err();
        assert!(error.to_string().starts_with("test gave NaN"), "{error}");
    }
}
