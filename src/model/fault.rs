//! Detection and classification of device failures.
//!
//! On a GPU, work is queued, so failures appear later. burn reports failed work as text when a
//! result is read. wgpu reports errors that belong to no particular call (out of memory, limit
//! exceeded) to an error handler of the device; burn's handler panics in a thread of the runtime.
//! [`watch_faults`] installs a handler that stores the first error. Every read-back checks for it,
//! because after such an error results are undefined.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;

use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, Tensor};

use super::error::ModelError;
use crate::ops::wgsl::{self, Reading};
use crate::remedy::Remedy;

/// The kind of a device's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The device is out of memory.
    OutOfMemory,
    /// The device was lost: reset by its driver, unplugged, or destroyed.
    Lost,
    /// A limit of the device was exceeded.
    Limit,
    /// The trained parameters do not fit in a buffer of the device.
    TooManyParameters,
    /// A table of the base does not fit in a buffer of the device.
    TableTooLarge,
    /// Anything else.
    Runtime,
}

/// A device's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFault {
    /// The kind.
    pub kind: FaultKind,
    /// The device's message, on one line.
    pub message: String,
}

impl fmt::Display for DeviceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FaultKind::OutOfMemory => "the device is out of memory",
            FaultKind::Lost => "the device was lost",
            FaultKind::Limit => "a limit of the device is exceeded",
            FaultKind::TooManyParameters | FaultKind::TableTooLarge => {
                "a buffer of the device is too small"
            }
            FaultKind::Runtime => "the device failed",
        };
        write!(f, "{what} ({})", self.message)
    }
}

impl std::error::Error for DeviceFault {}

impl DeviceFault {
    /// Remedies, the most promising first.
    #[must_use]
    pub fn remedies(&self) -> &'static [Remedy] {
        use Remedy::{
            FewerParameters, GradientCheckpointing, LowerPrecision, Retry, SmallerBatches, UseCpu,
        };
        match self.kind {
            FaultKind::OutOfMemory => {
                &[SmallerBatches, GradientCheckpointing, LowerPrecision, UseCpu]
            }
            FaultKind::Limit => &[SmallerBatches, UseCpu],
            FaultKind::TooManyParameters => &[FewerParameters, UseCpu],
            FaultKind::TableTooLarge => &[UseCpu],
            FaultKind::Lost | FaultKind::Runtime => &[Retry, UseCpu],
        }
    }

    /// Classifies the runtime's message. The runtime has error types, but burn passes on only their text.
    fn from_text(text: &str) -> Self {
        let message = one_line(text);
        let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
        // Check for a lost device last: wgpu drops a device that is out of memory.
        let kind = if says(&[
            "out of device memory",
            "out-of-memory",
            "Out of Memory",
            "Out Of Memory",
            "Not enough memory",
        ]) {
            FaultKind::OutOfMemory
        } else if says(&[
            "poisoned",
            "Poisoned",
            "device was lost",
            "device is lost",
            "Lost",
            // What browsers say of a copy that was under way. They report the loss itself later.
            "could not be mapped",
        ]) {
            FaultKind::Lost
        } else if says(&[
            "can't allocate buffer of size",
            "Too many resources",
            "limit",
            "exceed",
            "maximum",
        ]) {
            FaultKind::Limit
        } else {
            FaultKind::Runtime
        };
        Self { kind, message }
    }

    fn from_wgpu(error: &wgpu::Error) -> Self {
        match error {
            wgpu::Error::OutOfMemory { .. } => {
                Self { kind: FaultKind::OutOfMemory, message: one_line(&causes(error)) }
            }
            wgpu::Error::Validation { .. } | wgpu::Error::Internal { .. } => {
                Self::from_text(&causes(error))
            }
        }
    }
}

/// The innermost causes of an error; the outer ones name internal calls.
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let (outer, inner) = (error.to_string(), innermost.to_string());
    if inner.is_empty() { outer } else { inner }
}

/// Joins the lines before the backtrace.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Backtrace"));
    let kept = lines.filter(|line| !line.is_empty() && *line != "Caused by:");
    kept.collect::<Vec<_>>().join(": ")
}

type FirstFault = Arc<OnceLock<DeviceFault>>;

/// Devices with an error handler, and the first error of each.
static WATCHED: Mutex<Vec<(Device, FirstFault)>> = Mutex::new(Vec::new());

/// Stores the first error that wgpu reports for `device`; every later read-back from it fails with that error. `setup`
/// is the same device, from burn's options.
///
/// It replaces burn's handler, which panics. A panic stops the runtime from using the result of failed work, so this
/// handler also unwinds, but without a message on standard error.
pub fn watch_faults(device: &Device, setup: &wgpu::Device) {
    let watch = FirstFault::default();
    let seen = watch.clone();
    setup.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let fault = DeviceFault::from_wgpu(&error);
        let text = fault.to_string();
        let _ = seen.set(fault);
        // If a panic aborts the program, the stored error must suffice.
        if cfg!(panic = "unwind") {
            std::panic::resume_unwind(Box::new(text));
        }
    }));
    let mut watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    watched.push((device.clone().inner(), watch));
}

/// The first error of a watched device.
fn first_error(device: &Device) -> Option<DeviceFault> {
    let device = device.clone().inner();
    let watched = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    watched.iter().find(|(known, _)| *known == device)?.1.get().cloned()
}

/// The cause of a failure: the device's first error, not a consequence.
fn cause(device: &Device, found: DeviceFault) -> DeviceFault {
    let first = first_error(device).unwrap_or(found);
    // A lost device reports various errors; waiting for its queue reveals the cause. That blocks, which
    // browsers do not allow; there, use the first error.
    if first.kind != FaultKind::OutOfMemory && !cfg!(target_family = "wasm") {
        // wgpu reports finished work before the loss, and a remaining queue may fail first. A second request
        // comes after both.
        for _ in 0..2 {
            let sync = catch_unwind(AssertUnwindSafe(|| device.sync()));
            let lost = sync.ok().and_then(Result::err);
            let lost = lost.map(|error| DeviceFault::from_text(&error.to_string()));
            if let Some(lost) = lost
                && matches!(lost.kind, FaultKind::Lost | FaultKind::OutOfMemory)
            {
                return lost;
            }
        }
    }
    first
}

/// The cause of an error that a device returned instead of a result, if any.
#[must_use]
pub fn fault_behind(device: &Device, said: &str) -> DeviceFault {
    cause(device, DeviceFault::from_text(said))
}

/// Copies a tensor to the host without blocking.
pub(crate) async fn read(tensor: Tensor<1>) -> Result<Vec<f32>, ModelError> {
    ReadBack::begin(tensor).values().await
}

#[cfg(target_family = "wasm")]
type Copying = Pin<Box<dyn Future<Output = Result<Vec<f32>, ModelError>>>>;
#[cfg(not(target_family = "wasm"))]
type Copying = Pin<Box<dyn Future<Output = Result<Vec<f32>, ModelError>> + Send>>;

/// A copy of a tensor to the host. It is queued when it begins, so work that is launched later does not delay it.
pub(crate) struct ReadBack {
    device: Device,
    /// Measures the device's rate; taken when the values have arrived.
    measured: Option<Reading>,
    copying: Copying,
    copied: Option<Result<Vec<f32>, ModelError>>,
}

impl fmt::Debug for ReadBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadBack").field("copied", &self.copied).finish_non_exhaustive()
    }
}

impl ReadBack {
    /// Queues the copy.
    pub fn begin(tensor: Tensor<1>) -> Self {
        let (device, measured) = (tensor.device(), Reading::begin(&tensor));
        let failed = |text: String| ModelError::Device(DeviceFault::from_text(&text));
        let copying: Copying = match catch_unwind(AssertUnwindSafe(|| wgsl::start_copy(tensor))) {
            Ok(copying) => Box::pin(async move { copying.await.map_err(failed) }),
            Err(payload) => Box::pin(ready(Err(panicked(&device, payload)))),
        };
        Self { device, measured, copying, copied: None }
    }

    /// Waits for the values, without blocking. To be called once, or again if its future was dropped.
    pub async fn values(&mut self) -> Result<Vec<f32>, ModelError> {
        if self.copied.is_none() {
            self.copied = Some(guarded(&self.device, &mut self.copying).await);
            if let Some(measured) = self.measured.take() {
                measured.end();
            }
        }
        super::pause::pause().await;
        let Some(result) = self.copied.take() else { unreachable!("it was set above") };
        match (result, first_error(&self.device)) {
            // Emptied kernels leave whatever was in memory, and the caller needs finite numbers.
            (Ok(mut values), None) if wgsl::emptied() => {
                values.fill(0.0);
                Ok(values)
            }
            (Ok(values), None) => Ok(values),
            (Ok(_), Some(found)) | (Err(ModelError::Device(found)), _) => {
                Err(ModelError::Device(cause(&self.device, found)))
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// Awaits a computation on `device`. Converts a panic of a GPU's runtime to its error; on the CPU path a panic is a bug
/// and is passed on.
pub(crate) async fn guarded<T, E: From<ModelError>>(
    device: &Device,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let mut work = pin!(work);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.unwrap_or_else(|payload| Poll::Ready(Err(panicked(device, payload).into())))
    })
    .await
}

/// The error of a panic of a GPU's runtime.
fn panicked(device: &Device, payload: Box<dyn Any + Send>) -> ModelError {
    if device.clone().inner() == Device::flex() {
        std::panic::resume_unwind(payload);
    }
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let found = DeviceFault::from_text(text.unwrap_or("a panic without a message"));
    ModelError::Device(cause(device, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_messages_are_classified() {
        let cases = [
            ("out of device memory allocating 128 bytes", FaultKind::OutOfMemory),
            ("Unknown: Not enough memory left.", FaultKind::OutOfMemory),
            (
                "The device is poisoned\nCaused by:\n  Destroyed: Device was destroyed",
                FaultKind::Lost,
            ),
            ("can't allocate buffer of size: 99\nBacktrace:\n  0: main", FaultKind::Limit),
            (
                "Each current dispatch group size dimension ([70000, 1, 1]) must be less or equal to 65535 (limit)",
                FaultKind::Limit,
            ),
            ("the staging buffer's map never completed", FaultKind::Runtime),
            (
                "the staging buffer could not be mapped: Error occurred when trying to async map a buffer",
                FaultKind::Lost,
            ),
        ];
        for (text, kind) in cases {
            assert_eq!(DeviceFault::from_text(text).kind, kind, "{text}");
        }
        let message = DeviceFault::from_text(cases[2].0).message;
        assert_eq!(message, "The device is poisoned: Destroyed: Device was destroyed");
        assert_eq!(DeviceFault::from_text(cases[3].0).message, "can't allocate buffer of size: 99");
    }
}
