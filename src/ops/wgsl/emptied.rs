//! Launches without their work, to measure what they cost the host.

use std::cell::Cell;

use super::WEB;
use super::kernel::Kernel;

thread_local! {
    static EMPTIED: Cell<bool> = const { Cell::new(false) };
}

/// While this guard exists, LoRB's kernels are launched by this thread as one workgroup that returns at once. Buffers,
/// parameters, bind groups and submissions are those of the real launch. Results are undefined, so numbers that are
/// read from the device become 0.
///
/// A launch of zero workgroups would not show the same cost: the runtime drops it before it makes a bind group. burn's
/// own kernels run as usual.
#[derive(Debug)]
pub struct Emptied(());

impl Emptied {
    /// Empties the kernels until the guard is dropped.
    #[must_use]
    pub fn begin() -> Self {
        EMPTIED.set(true);
        Self(())
    }
}

impl Drop for Emptied {
    fn drop(&mut self) {
        EMPTIED.set(false);
    }
}

/// Whether this thread's kernels are emptied; never in a wasm module.
#[must_use]
pub fn emptied() -> bool {
    !WEB && EMPTIED.get()
}

/// The source of a kernel whose entry point returns at once. The rest stays, because the runtime binds only the
/// buffers that a kernel mentions.
///
/// # Panics
/// If the source has no such entry point, which is a bug of the build.
pub(super) fn without_work(kernel: &Kernel) -> String {
    let mut source = kernel.source();
    let start = source.find(&format!("fn {}(", kernel.entry));
    let body = start.and_then(|start| Some(start + source[start..].find('{')? + 1));
    let body = body.unwrap_or_else(|| panic!("{} has no entry point", kernel.name));
    source.insert_str(body, "\n    if (true) { return; }");
    source
}

#[cfg(test)]
mod tests {
    use super::super::kernel::{ALL, Groups, gelu_forward};
    use super::super::launch::{dispatches, launch};
    use super::*;
    use crate::ops::tests::device::{Gpu, gpu, host};

    #[test]
    fn every_variant_can_be_emptied() {
        for kernel in ALL {
            let (full, emptied) = (kernel.source(), without_work(kernel));
            let at = emptied.find("if (true) { return; }").unwrap();
            assert!(emptied[..at].contains("@compute"), "{}", kernel.name);
            assert!(emptied.len() > full.len() && !full.contains("if (true)"), "{}", kernel.name);
        }
    }

    #[test]
    fn an_emptied_kernel_is_launched_but_writes_nothing() {
        let Some(device) = gpu() else { return };
        let gpu = Gpu::new(device);
        let (x, y) = (gpu.floats([5], &[1.0; 5]), gpu.output([5]));
        let kernel = gelu_forward::variant();
        let run = || {
            let before = dispatches();
            let call = gelu_forward::Arguments { x: &x, y: &y, count: 5 };
            launch(kernel, &call, Groups::linear(1));
            dispatches() - before
        };
        let guard = Emptied::begin();
        assert!(emptied());
        assert_eq!(run(), 1);
        assert!(host(&y).iter().all(|value| value.is_nan()));
        drop(guard);
        assert!(!emptied());
        assert_eq!(run(), 1);
        assert!(host(&y).iter().all(|value| value.is_finite()));
    }
}
