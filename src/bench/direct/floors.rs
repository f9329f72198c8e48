//! The least that a launch, an upload and a read cost.

use burn::tensor::wgpu::wgpu;

use super::{Bound, Direct, Program, Stamps, padded};
use crate::bench::error::BenchError;
use crate::bench::row::Row;
use crate::bench::timing::{self, Clock};

const EMPTY: &str = include_str!("../../../shaders/bench/empty.wgsl");

/// Launches in a submission. burn's runtime submits after 32, and a training step makes about 200.
const PER_SUBMIT: [usize; 3] = [1, 32, 200];

/// Launches that are waited for together, at least.
const LAUNCHES: usize = 400;

/// Bytes of uploads: the index data of a batch, and enough to see the rate.
const UPLOADS: [u64; 2] = [16 << 10, 16 << 20];

/// Distance of the parameters of two launches, which every device's alignment divides.
const APART: u64 = 256;

/// Fraction of a measurement's time for each floor.
const SHARE: f64 = 0.05;

impl Direct {
    /// The floors, each passed to `found` once it is measured.
    pub(in crate::bench) async fn floors(
        &self,
        clock: Clock<'_>,
        seconds: f64,
        found: &mut dyn FnMut(Row),
    ) -> Result<(), BenchError> {
        let seconds = seconds * SHARE;
        let program = self.program("empty", EMPTY).await?;
        for per_submit in PER_SUBMIT {
            for new_parameters in [false, true] {
                found(self.launches(clock, seconds, &program, per_submit, new_parameters).await?);
            }
        }
        for bytes in UPLOADS {
            found(self.upload(clock, seconds, bytes).await?);
        }
        found(self.read_floor(clock, seconds).await?);
        Ok(())
    }

    /// Submissions of empty launches; with new parameters, each launch has an upload of parameters and a bind group of its
    /// own, as each launch of LoRB's has.
    async fn launches(
        &self,
        clock: Clock<'_>,
        seconds: f64,
        program: &Program,
        per_submit: usize,
        new_parameters: bool,
    ) -> Result<Row, BenchError> {
        let y = self.floats(64).await?;
        let Bound { pipeline, group, .. } = self.bind(program, &[(&y, 0)], &[0], [1, 1, 1]).await?;
        let params = self.memory(per_submit as u64 * APART, wgpu::BufferUsages::UNIFORM).await?;
        let submits = LAUNCHES.div_ceil(per_submit);
        let stamps = self.tick.map(|tick| Stamps::new(&self.device, tick));
        let words = padded(&[0]);
        let size = wgpu::BufferSize::new(words.len() as u64);
        let submit = |last: bool| {
            let groups: Vec<_> = (0..per_submit as u64)
                .filter(|_| new_parameters)
                .map(|at| {
                    self.queue.write_buffer(&params, at * APART, &words);
                    let uniform = wgpu::BufferBinding { buffer: &params, offset: at * APART, size };
                    self.group(program, &[(&y, 0)], uniform)
                })
                .collect();
            let mut encoder = self.encoder();
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: stamps.as_ref().filter(|_| last).map(Stamps::writes),
            });
            for at in 0..per_submit {
                // The runtime sets the pipeline for each launch too, because most differ.
                pass.set_pipeline(&pipeline);
                pass.set_bind_group(0, groups.get(at).unwrap_or(&group), &[]);
                pass.dispatch_workgroups(1, 1, 1);
            }
            drop(pass);
            self.queue.submit([encoder.finish()]);
        };
        let mut device = Vec::new();
        let host = timing::steps(clock, seconds, async || {
            (1..=submits).for_each(|at| submit(at == submits));
            self.wait()?;
            if let Some(stamps) = &stamps {
                device.extend(stamps.read(self)?);
            }
            Ok(())
        })
        .await?;
        let all = (submits * per_submit) as f64;
        let device = (!device.is_empty()).then(|| 1e6 * timing::median(device) / per_submit as f64);
        Ok(Row::Launch {
            per_submit,
            new_parameters,
            microseconds: 1e6 * host.seconds / all,
            least_microseconds: 1e6 * host.least / all,
            device_microseconds: device,
        })
    }

    /// An upload, until the device has finished it.
    async fn upload(&self, clock: Clock<'_>, seconds: f64, bytes: u64) -> Result<Row, BenchError> {
        let buffer = self.memory(bytes, wgpu::BufferUsages::STORAGE).await?;
        let values = vec![1u8; bytes as usize];
        let time = timing::steps(clock, seconds, async || {
            self.queue.write_buffer(&buffer, 0, &values);
            self.queue.submit([]);
            self.wait()
        })
        .await?;
        let gb_s = bytes as f64 / time.seconds / 1e9;
        Ok(Row::Upload { bytes, microseconds: 1e6 * time.seconds, gb_s })
    }

    /// A read of one number after no work: copy, submission, and mapping.
    async fn read_floor(&self, clock: Clock<'_>, seconds: f64) -> Result<Row, BenchError> {
        let buffer = self.floats(4).await?;
        let staging = self.staging(16);
        let time = timing::steps(clock, seconds, async || {
            self.copy_and_map(&buffer, &staging, 16)?;
            staging.unmap();
            Ok(())
        })
        .await?;
        Ok(Row::Read { microseconds: 1e6 * time.seconds, least_microseconds: 1e6 * time.least })
    }
}
