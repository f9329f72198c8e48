//! Measures a device directly through wgpu, without burn's runtime: what the device and its driver can do, with which
//! LoRB's own speed is compared.
//!
//! | file | what |
//! |---|---|
//! | `floors` | the least that a launch, an upload and a read cost |
//! | `peak` | the rate of multiply-adds and of copies |
//! | `products` | every variant of the matrix products |
//!
//! Kernels of `shaders/bench` are used only here and on the benchmark page, so the wasm module does not have them.

mod floors;
mod peak;
mod products;

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::wgpu::wgpu;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::error::BenchError;
use super::shape::uniform;
use super::timing::{self, Clock, Timing};

pub(super) use peak::Peak;
pub(super) use products::{Product, Products};

/// Bytes of a timestamp.
const STAMP: u64 = size_of::<u64>() as u64;

/// A device that is open in burn's runtime, for use without it.
#[derive(Clone, Debug)]
pub struct Direct {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Nanoseconds of a timestamp's unit, if the device has timestamps.
    tick: Option<f64>,
}

/// A compiled kernel.
#[derive(Clone)]
struct Program(wgpu::ComputePipeline);

/// A kernel with its arguments.
struct Bound {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    groups: [u32; 3],
}

/// With the device's timestamps, launches that are waited for together need only be long enough for these to be exact, in
/// seconds.
const LEAST_STAMPED: f64 = 0.002;

/// The time of a kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// By the host's clock, from the first launch of many until the last one has finished, for each.
    pub host: Timing,
    /// By the device's timestamps; if it has them.
    pub device: Option<Timing>,
}

impl Times {
    /// The device's time if it is known, else the host's.
    pub fn best(self) -> Timing {
        self.device.unwrap_or(self.host)
    }
}

impl Direct {
    /// Takes the device and queue that burn's runtime uses.
    #[must_use]
    pub fn new(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let has = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        let tick = has.then(|| f64::from(queue.get_timestamp_period()));
        Self { device, queue, tick }
    }

    /// Whether the device measures its own time.
    #[must_use]
    pub fn has_timestamps(&self) -> bool {
        self.tick.is_some()
    }

    /// Largest buffer that a kernel can use, in bytes.
    pub(super) fn largest(&self) -> u64 {
        let limits = self.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    /// Runs `work`, and turns what the device reports against it into an error.
    async fn checked<T>(&self, what: &str, work: impl FnOnce() -> T) -> Result<T, BenchError> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let valid = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let done = work();
        let (valid, memory) = (valid.pop().await, memory.pop().await);
        match valid.or(memory) {
            None => Ok(done),
            Some(error) => Err(refused(what, &error.to_string())),
        }
    }

    /// Compiles a kernel as burn's runtime does, without checks of indices.
    async fn program(&self, entry: &str, source: &str) -> Result<Program, BenchError> {
        let compile = || {
            let described = wgpu::ShaderModuleDescriptor {
                label: Some(entry),
                source: wgpu::ShaderSource::Wgsl(source.into()),
            };
            // SAFETY: LoRB's kernels check their own loops and indices.
            let module = unsafe {
                self.device
                    .create_shader_module_trusted(described, wgpu::ShaderRuntimeChecks::unchecked())
            };
            self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry),
                layout: None,
                module: &module,
                entry_point: Some(entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            })
        };
        Ok(Program(self.checked(entry, compile).await?))
    }

    async fn memory(
        &self,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, BenchError> {
        let described = wgpu::BufferDescriptor {
            label: None,
            size: bytes.next_multiple_of(16),
            usage: usage | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        };
        self.checked("a buffer", || self.device.create_buffer(&described)).await
    }

    /// Uninitialised memory for `elements` floats.
    async fn floats(&self, elements: u64) -> Result<wgpu::Buffer, BenchError> {
        self.memory(4 * elements, wgpu::BufferUsages::STORAGE).await
    }

    /// Values in `[low, high)`.
    async fn random(&self, elements: u64, low: f32, high: f32) -> Result<wgpu::Buffer, BenchError> {
        let buffer = self.floats(elements).await?;
        let mut rng = ChaCha8Rng::seed_from_u64(elements);
        let (middle, half) = (f32::midpoint(low, high), (high - low) / 2.0);
        let mut values = uniform(&mut rng, 1.0).map(|value| middle + half * value);
        let mut offset = 0;
        // In pieces, so that the staging memory stays small.
        while offset < elements {
            let count = (elements - offset).min(1 << 20);
            let piece: Vec<u8> =
                values.by_ref().take(count as usize).flat_map(f32::to_le_bytes).collect();
            self.queue.write_buffer(&buffer, 4 * offset, &piece);
            self.queue.submit([]);
            offset += count;
        }
        self.wait()?;
        Ok(buffer)
    }

    /// A kernel with buffers, each from an offset in bytes on, and uniform parameters.
    async fn bind(
        &self,
        program: &Program,
        buffers: &[(&wgpu::Buffer, u64)],
        words: &[u32],
        groups: [u32; 3],
    ) -> Result<Bound, BenchError> {
        let bytes = padded(words);
        let params = self.memory(bytes.len() as u64, wgpu::BufferUsages::UNIFORM).await?;
        self.queue.write_buffer(&params, 0, &bytes);
        let uniform = wgpu::BufferBinding { buffer: &params, offset: 0, size: None };
        let group = self.checked("a bind group", || self.group(program, buffers, uniform)).await?;
        Ok(Bound { pipeline: program.0.clone(), group, groups })
    }

    fn group(
        &self,
        program: &Program,
        buffers: &[(&wgpu::Buffer, u64)],
        uniform: wgpu::BufferBinding<'_>,
    ) -> wgpu::BindGroup {
        let storage = buffers.iter().map(|&(buffer, offset)| wgpu::BufferBinding {
            buffer,
            offset,
            size: None,
        });
        let entries: Vec<_> = storage
            .chain([uniform])
            .enumerate()
            .map(|(place, binding)| wgpu::BindGroupEntry {
                binding: place as u32,
                resource: wgpu::BindingResource::Buffer(binding),
            })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &program.0.get_bind_group_layout(0),
            entries: &entries,
        })
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Waits for all submitted work.
    fn wait(&self) -> Result<(), BenchError> {
        let waited = self.device.poll(wgpu::PollType::wait_indefinitely());
        waited.map(|_| ()).map_err(|error| refused("waiting", &error.to_string()))
    }

    /// Times a kernel for `seconds` after its warm-up. Launches that are waited for together take at least a batch's
    /// time, or `seconds` if that is shorter, so that waiting is negligible.
    async fn time(
        &self,
        clock: Clock<'_>,
        seconds: f64,
        kernel: &Bound,
    ) -> Result<Times, BenchError> {
        let stamps = self.tick.map(|tick| Stamps::new(&self.device, tick));
        let batch = async |count: usize| -> Result<(f64, Option<f64>), BenchError> {
            let start = clock();
            self.run(kernel, count, stamps.as_ref()).await?;
            let host = clock() - start;
            let device = match &stamps {
                Some(stamps) => stamps.read(self)?,
                None => None,
            };
            Ok((host, device))
        };
        batch(1).await?;
        let least = if stamps.is_some() { LEAST_STAMPED } else { timing::LEAST_BATCH };
        let least = least.min(seconds.max(LEAST_STAMPED / 2.0));
        let (count, _) = timing::enough(least, async |count| Ok(batch(count).await?.0)).await?;
        let (mut host, mut device, start) = (Vec::new(), Vec::new(), clock());
        while host.len() < timing::LEAST_REPEATS || clock() - start < seconds {
            let (of_host, of_device) = batch(count).await?;
            host.push(of_host / count as f64);
            device.extend(of_device.map(|seconds| seconds / count as f64));
        }
        let device = (device.len() == host.len()).then(|| Timing::of(device, count));
        Ok(Times { host: Timing::of(host, count), device })
    }

    /// Launches a kernel a number of times, and waits.
    async fn run(
        &self,
        kernel: &Bound,
        count: usize,
        stamps: Option<&Stamps>,
    ) -> Result<(), BenchError> {
        let submit = || {
            let mut encoder = self.encoder();
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: stamps.map(Stamps::writes),
            });
            pass.set_pipeline(&kernel.pipeline);
            pass.set_bind_group(0, &kernel.group, &[]);
            let [x, y, z] = kernel.groups;
            (0..count).for_each(|_| pass.dispatch_workgroups(x, y, z));
            drop(pass);
            self.queue.submit([encoder.finish()]);
        };
        self.checked("a launch", submit).await?;
        self.wait()
    }

    /// The first floats of a buffer.
    fn read(&self, buffer: &wgpu::Buffer, elements: u64) -> Result<Vec<f32>, BenchError> {
        let bytes = self.read_bytes(buffer, 4 * elements)?;
        let floats = bytes.chunks_exact(4);
        Ok(floats.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    fn read_bytes(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<Vec<u8>, BenchError> {
        let staging = self.staging(bytes);
        self.copy_and_map(buffer, &staging, bytes)?;
        let view = staging.get_mapped_range(..);
        let view = view.map_err(|error| refused("reading", &error.to_string()))?;
        Ok(view.to_vec())
    }

    fn staging(&self, bytes: u64) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        })
    }

    /// Copies to a staging buffer and waits until the host can read it.
    fn copy_and_map(
        &self,
        buffer: &wgpu::Buffer,
        staging: &wgpu::Buffer,
        bytes: u64,
    ) -> Result<(), BenchError> {
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(buffer, 0, staging, 0, bytes);
        self.queue.submit([encoder.finish()]);
        let mapped = Arc::new(Mutex::new(None));
        let told = mapped.clone();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        });
        self.wait()?;
        match mapped.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(refused("reading", &error.to_string())),
            None => Err(refused("reading", "the device did not answer")),
        }
    }
}

/// Two timestamps around a pass.
struct Stamps {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    tick: f64,
}

impl Stamps {
    fn new(device: &wgpu::Device, tick: f64) -> Self {
        let set = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 2 * STAMP,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Self { set, resolved, tick }
    }

    fn writes(&self) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        }
    }

    /// Seconds between the two, after the pass has finished; `None` if the device did not write them in order.
    fn read(&self, direct: &Direct) -> Result<Option<f64>, BenchError> {
        let mut encoder = direct.encoder();
        encoder.resolve_query_set(&self.set, 0..2, &self.resolved, 0);
        direct.queue.submit([encoder.finish()]);
        let bytes = direct.read_bytes(&self.resolved, 2 * STAMP)?;
        let mut stamps =
            bytes.chunks_exact(8).map(|stamp| stamp.try_into().map(u64::from_le_bytes));
        let (Some(Ok(start)), Some(Ok(end))) = (stamps.next(), stamps.next()) else {
            return Ok(None);
        };
        Ok((start > 0 && end > start).then(|| (end - start) as f64 * self.tick / 1e9))
    }
}

/// Words as bytes, padded to the alignment of a uniform struct.
fn padded(words: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    bytes
}

fn refused(what: &str, error: &str) -> BenchError {
    // The rest of a compiler's message shows the source.
    let line = error.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    BenchError::Refused { what: what.to_owned(), error: line.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use burn::tensor::wgpu::wgpu;

    use super::*;
    use crate::test_gpu;

    /// A device of its own, so that other tests are not disturbed.
    pub(super) fn direct() -> Option<Direct> {
        let (device, queue) = test_gpu::bare()?;
        Some(Direct::new(device, queue))
    }

    #[test]
    fn errors_of_the_device_are_errors_and_not_panics() {
        let Some(direct) = direct() else { return };
        let broken = pollster::block_on(direct.program("none", "fn none( {}"));
        let error = broken.err().expect("no WGSL").to_string();
        assert!(error.starts_with("the device refused none: "), "{error}");
        let huge = pollster::block_on(direct.floats(direct.device.limits().max_buffer_size));
        assert!(huge.is_err());
        // The device still works.
        let buffer = pollster::block_on(direct.random(40, 0.0, 1.0)).unwrap();
        let values = direct.read(&buffer, 40).unwrap();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)), "{values:?}");
        assert_ne!(values[0], values[1]);
    }

    #[test]
    fn a_device_has_timestamps_if_it_offers_them() {
        let Some(direct) = direct() else { return };
        let offered = direct.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
        assert_eq!(direct.has_timestamps(), offered);
    }
}
