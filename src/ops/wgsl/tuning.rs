//! Selection of kernel variants for a device.

use std::cell::Cell;
use std::sync::{PoisonError, RwLock};

use burn::tensor::{Device, Tensor};
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};
use cubecl::wgpu::WgpuDeviceKind;

use super::kernel::Tile;
use super::vendor::{Placement, SMALLEST, Vendor};

/// The kind of device that variants are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// The kind of processor.
    pub processor: Processor,
    /// Its extensions beyond core WebGPU.
    pub extensions: Extensions,
    /// Who designed a GPU.
    pub vendor: Vendor,
    /// Where a GPU is.
    pub placement: Placement,
    /// The tile of every product of sizes that are divisible by four, if it has a variant with it. `None`: by size, from
    /// the vendor's table.
    pub tile: Option<Tile>,
}

/// The kind of processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// A GPU with many processors and registers: tiles that occupy them all, and `x A^T` fused into narrow outputs.
    Gpu,
    /// A software adapter on the CPU: few threads, and each memory read costs as much as dozens of multiplications.
    /// Tiles of 128 by 128, and a separate `x A^T`.
    Software,
}

/// WGSL extensions that some variants need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Subgroup sums.
    pub subgroups: bool,
    /// f16 in shaders.
    pub half: bool,
    /// f16 products on matrix units. Experimental and less exact, so enabled only on request.
    pub cooperative_matrices: bool,
}

impl Tuning {
    /// An unknown GPU without extensions; its variants run on every device.
    pub const GPU: Self = Self {
        processor: Processor::Gpu,
        extensions: Extensions::NONE,
        vendor: Vendor::Unknown,
        placement: Placement::Unknown,
        tile: None,
    };
    /// A software adapter without extensions.
    pub const SOFTWARE: Self = Self { processor: Processor::Software, ..Self::GPU };

    /// Whether products of f32 may use a tile by default.
    #[must_use]
    pub fn uses(self, tile: Tile) -> bool {
        match self.processor {
            Processor::Software => [Tile::Any, Tile::T64x64By64, Tile::T128x128].contains(&tile),
            Processor::Gpu => {
                let by_size = self.vendor.tiles().iter().filter(|large| large.least != u32::MAX);
                let mut all = by_size.map(|large| large.tile).chain([Tile::Any, SMALLEST]);
                all.any(|used| used == tile)
            }
        }
    }

    /// Whether variants for `other` can run and are useful on this kind of device.
    #[must_use]
    pub fn supports(self, other: Self) -> bool {
        let of_gpus = other.processor == Processor::Gpu;
        let (has, wants) = (self.extensions, other.extensions);
        (of_gpus || self.processor == Processor::Software)
            && (has.subgroups || !wants.subgroups)
            && (has.half || !wants.half)
            && (has.cooperative_matrices || !wants.cooperative_matrices)
    }
}

impl Extensions {
    /// Extensions of every WebGPU device.
    pub const NONE: Self = Self { subgroups: false, half: false, cooperative_matrices: false };
}

/// What the runtime does not report of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Its extensions beyond core WebGPU.
    pub extensions: Extensions,
    /// Who designed a GPU.
    pub vendor: Vendor,
    /// Where a GPU is.
    pub placement: Placement,
}

impl Properties {
    /// Of a device that is not registered.
    pub const UNKNOWN: Self = Self {
        extensions: Extensions::NONE,
        vendor: Vendor::Unknown,
        placement: Placement::Unknown,
    };
}

/// Registered properties of devices.
static KNOWN: RwLock<Vec<(CubeDevice, Properties)>> = RwLock::new(Vec::new());

thread_local! {
    static GIVEN: Cell<Option<Tuning>> = const { Cell::new(None) };
}

/// Registers what is known of a device.
pub fn register(device: &Device, properties: Properties) {
    let Some(device) = cube_device(device) else { return };
    let mut all = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    all.retain(|(known, _)| *known != device);
    all.push((device, properties));
}

/// Registers a device's extensions, in addition to what is known of it.
pub fn register_extensions(device: &Device, extensions: Extensions) {
    let known = cube_device(device).map_or(Properties::UNKNOWN, |device| known(&device));
    register(device, Properties { extensions, ..known });
}

/// Runs `work` with the variants of `tuning` on every device, on this thread, so that one machine can check the
/// variants for others.
pub fn with_tuning<T>(tuning: Tuning, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Tuning>);
    impl Drop for Restore {
        fn drop(&mut self) {
            GIVEN.set(self.0);
        }
    }
    let _restore = Restore(GIVEN.replace(Some(tuning)));
    work()
}

/// Whether this thread runs with a given tuning.
#[cfg(not(target_family = "wasm"))]
pub(super) fn pinned() -> bool {
    GIVEN.get().is_some()
}

/// The tuning of a device.
#[must_use]
pub fn tuned_for(device: &Device) -> Tuning {
    cube_device(device).map_or(Tuning::GPU, |device| of(&device))
}

/// The tuning of a tensor's device.
pub(in crate::ops) fn tuning(like: &CubeTensor) -> Tuning {
    GIVEN.get().unwrap_or_else(|| of(&like.device))
}

fn of(device: &CubeDevice) -> Tuning {
    let processor = match device {
        CubeDevice::Wgpu(wgpu) if wgpu.kind == WgpuDeviceKind::Cpu => Processor::Software,
        _ => Processor::Gpu,
    };
    let Properties { extensions, vendor, placement } = known(device);
    Tuning { processor, extensions, vendor, placement, tile: None }
}

fn known(device: &CubeDevice) -> Properties {
    let all = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let found = all.iter().find(|(known, _)| known == device);
    found.map_or(Properties::UNKNOWN, |(_, properties)| *properties)
}

pub(super) fn cube_device(device: &Device) -> Option<CubeDevice> {
    let tensor = Tensor::<1>::empty([1], &device.clone().inner());
    tensor.try_into_primitive::<CubeBackend>().ok().map(|tensor| tensor.device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_tuning_ends_with_its_work() {
        assert_eq!(GIVEN.get(), None);
        let inner = with_tuning(Tuning::GPU, || {
            let inner = with_tuning(Tuning::SOFTWARE, || GIVEN.get());
            (inner, GIVEN.get())
        });
        assert_eq!(inner, (Some(Tuning::SOFTWARE), Some(Tuning::GPU)));
        assert_eq!(GIVEN.get(), None);
    }

    #[test]
    fn missing_extensions_are_not_covered() {
        let subgroups = Extensions { subgroups: true, ..Extensions::NONE };
        let half = Extensions { half: true, ..subgroups };
        let cooperative = Extensions { cooperative_matrices: true, ..half };
        let all = [Extensions::NONE, subgroups, half, cooperative]
            .map(|extensions| Tuning { extensions, ..Tuning::GPU });
        for (i, has) in all.iter().enumerate() {
            for (j, wants) in all.iter().enumerate() {
                assert_eq!(has.supports(*wants), j <= i);
            }
        }
        assert!(Tuning::SOFTWARE.supports(Tuning::GPU) && !Tuning::GPU.supports(Tuning::SOFTWARE));
        // Nothing is registered for the CPU path.
        register_extensions(&Device::flex(), cooperative);
        assert_eq!(tuned_for(&Device::flex()), Tuning::GPU);
    }
}
