//! The rates of multiply-adds in registers and of copies.

use super::Direct;
use crate::bench::error::BenchError;
use crate::bench::timing::{Clock, LEAST_BATCH};

const MULTIPLY_ADD: &str = include_str!("../../../shaders/bench/multiply_add.wgsl");
const COPY: &str = include_str!("../../../shaders/bench/copy.wgsl");

/// Invocations of the kernel of multiply-adds: 2,048 workgroups, which occupy every processor of a large GPU several times.
const INVOCATIONS: u64 = 2048 * 256;

/// Floating-point operations of an invocation in a round: 4 turns, 8 chains, 4 lanes, product and sum.
const PER_ROUND: u64 = 4 * 8 * 4 * 2;

/// Most rounds: no launch is near the two seconds after which Windows resets a GPU.
const MOST_ROUNDS: u32 = 1 << 14;

/// Bytes of each copied buffer: more than a GPU's caches, and the most that every WebGPU device can bind.
const COPIED: u64 = 128 << 20;

/// Fraction of a measurement's time for each rate.
const SHARE: f64 = 0.25;

/// A device's own rates.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Peak {
    /// Multiply-adds in registers, two operations each, in 1e9 per second.
    pub gflop_s: f64,
    /// Whether the function `fma` was faster than a product and a sum.
    pub fused: bool,
    /// Bytes read and written by a copy, in 1e9 per second.
    pub copy_gb_s: f64,
}

impl Direct {
    /// Measures the rates on random values.
    pub(in crate::bench) async fn peak(
        &self,
        clock: Clock<'_>,
        seconds: f64,
    ) -> Result<Peak, BenchError> {
        let seconds = seconds * SHARE;
        let separate = self.multiply_adds(clock, seconds, false).await?;
        let fused = self.multiply_adds(clock, seconds, true).await?;
        let copy_gb_s = self.copies(clock, seconds).await?;
        Ok(Peak { gflop_s: separate.max(fused), fused: fused > separate, copy_gb_s })
    }

    async fn multiply_adds(
        &self,
        clock: Clock<'_>,
        seconds: f64,
        fused: bool,
    ) -> Result<f64, BenchError> {
        let source = format!("const FUSED: bool = {fused};\n{MULTIPLY_ADD}");
        let program = self.program("multiply_add", &source).await?;
        let factors = self.random(2 * 4 * INVOCATIONS, 0.1, 0.9).await?;
        let y = self.floats(4 * INVOCATIONS).await?;
        let groups = [(INVOCATIONS / 256) as u32, 1, 1];
        let mut rounds = 1;
        loop {
            let kernel = self.bind(&program, &[(&factors, 0), (&y, 0)], &[rounds], groups).await?;
            // Rounds until one launch takes as long as a batch of launches.
            let quick = self.time(clock, 0.0, &kernel).await?;
            let taken = quick.best().least;
            if taken < LEAST_BATCH / 2.0 && rounds < MOST_ROUNDS {
                rounds *= if taken < LEAST_BATCH / 16.0 { 8 } else { 2 };
                continue;
            }
            let times = self.time(clock, seconds, &kernel).await?;
            check("multiply-adds", &self.read(&y, 4)?)?;
            let flops = (INVOCATIONS * PER_ROUND * u64::from(rounds)) as f64;
            return Ok(flops / times.best().least / 1e9);
        }
    }

    async fn copies(&self, clock: Clock<'_>, seconds: f64) -> Result<f64, BenchError> {
        let program = self.program("copy", COPY).await?;
        let elements = COPIED.min(self.largest()) / 4 / 1024 * 1024;
        let (x, y) = (self.random(elements, -1.0, 1.0).await?, self.floats(elements).await?);
        let quads = (elements / 4) as u32;
        let groups = [quads.div_ceil(256), 1, 1];
        let kernel = self.bind(&program, &[(&x, 0), (&y, 0)], &[quads], groups).await?;
        let times = self.time(clock, seconds, &kernel).await?;
        check("a copy", &self.read(&y, 4)?)?;
        Ok((8 * elements) as f64 / times.best().least / 1e9)
    }
}

/// The time of a kernel that computes nonsense means nothing.
fn check(what: &'static str, values: &[f32]) -> Result<(), BenchError> {
    match values.iter().find(|value| !value.is_finite() || **value == 0.0) {
        Some(&value) => Err(BenchError::NotFinite { what, value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::direct;
    use super::*;

    #[test]
    fn the_kernels_compute_what_they_say() {
        let Some(direct) = direct() else { return };
        pollster::block_on(async {
            let n = 512u64;
            let factors = direct.random(2 * 4 * n, 0.1, 0.9).await.unwrap();
            let given = direct.read(&factors, 2 * 4 * n).unwrap();
            for (rounds, fused) in [(0, true), (3, false), (3, true)] {
                let source = format!("const FUSED: bool = {fused};\n{MULTIPLY_ADD}");
                let program = direct.program("multiply_add", &source).await.unwrap();
                let y = direct.floats(4 * n).await.unwrap();
                let buffers = [(&factors, 0), (&y, 0)];
                let kernel = direct.bind(&program, &buffers, &[rounds], [2, 1, 1]).await.unwrap();
                direct.run(&kernel, 1, None).await.unwrap();
                for (i, value) in direct.read(&y, 4 * n).unwrap().into_iter().enumerate() {
                    let (a, b) = (f64::from(given[i]), f64::from(given[4 * n as usize + i]));
                    let mut chains: Vec<f64> = (1..=8).map(|chain| b * f64::from(chain)).collect();
                    for _ in 0..4 * rounds {
                        chains.iter_mut().for_each(|x| *x = *x * a + b);
                    }
                    let expected: f64 = chains.iter().sum();
                    // Some ten roundings of f32.
                    assert!((f64::from(value) / expected - 1.0).abs() < 1e-5, "{value} {expected}");
                }
            }
            let program = direct.program("copy", COPY).await.unwrap();
            let y = direct.floats(8 * n).await.unwrap();
            // One quad is not copied.
            let (buffers, words) = ([(&factors, 0), (&y, 0)], [2 * n as u32 - 1]);
            let kernel = direct.bind(&program, &buffers, &words, [4, 1, 1]).await.unwrap();
            direct.run(&kernel, 1, None).await.unwrap();
            let copied = direct.read(&y, 8 * n).unwrap();
            let last = copied.len() - 4;
            assert_eq!(copied[..last], given[..last]);
            assert_ne!(copied[last..], given[last..]);
        });
    }

    #[test]
    fn rates_are_positive_and_a_copy_of_nothing_is_refused() {
        let Some(direct) = direct() else { return };
        let start = std::time::Instant::now();
        let clock = || start.elapsed().as_secs_f64();
        let peak = pollster::block_on(direct.peak(&clock, 0.0)).unwrap();
        assert!(peak.gflop_s > 0.1 && peak.copy_gb_s > 0.1, "{peak:?}");
        assert!(check("a copy", &[1.0, 0.0]).is_err() && check("a copy", &[f32::NAN]).is_err());
    }
}
