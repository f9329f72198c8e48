//! Host data that kernels read: one copy to the device for all that a batch needs.
//!
//! On a GPU a copy first submits the work before it, so several small ones cost more than one.

use std::fmt;
use std::sync::{Arc, OnceLock};

use burn::tensor::Tensor;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeDevice};

use super::wgsl::packing::{Packing, send};

/// Data of the host that kernels read, such as the indices of a batch. It must not change after its first use.
pub trait HostData {
    /// Adds its parts, none of them empty.
    fn pack(&self, packing: &mut Packing);

    /// Its copy on a device.
    fn on_device(&self) -> &OnDevice;
}

/// A copy of [`HostData`] on a device, made at the first use and shared by clones.
#[derive(Clone, Default)]
pub struct OnDevice(Arc<OnceLock<(CubeDevice, Vec<CubeTensor>)>>);

impl OnDevice {
    fn get(&self, device: &CubeDevice) -> Option<&[CubeTensor]> {
        self.0.get().filter(|(of, _)| of == device).map(|(_, parts)| parts.as_slice())
    }
}

impl fmt::Debug for OnDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDevice").finish_non_exhaustive()
    }
}

/// Copies all that is not there yet to the device of `like`, at once. The CPU path reads the host's data in place.
pub fn upload(data: &[&dyn HostData], like: &Tensor<2>) {
    let Ok(like) = like.clone().try_into_primitive::<CubeBackend>() else { return };
    let missing: Vec<&dyn HostData> =
        data.iter().copied().filter(|data| data.on_device().get(&like.device).is_none()).collect();
    if !missing.is_empty() {
        copy(&missing, &like);
    }
}

/// Copies data at once, and keeps the copies. Returns the parts of each.
fn copy(data: &[&dyn HostData], like: &CubeTensor) -> Vec<Vec<CubeTensor>> {
    let copies = send(data, like);
    for (data, parts) in data.iter().zip(&copies) {
        // Data that is already on another device is copied at each use.
        let _ = data.on_device().0.set((like.device.clone(), parts.clone()));
    }
    copies
}

/// The parts of `data` on the device of `like`, copied there if necessary.
///
/// # Panics
/// If `data` has another number of parts.
pub(in crate::ops) fn parts<const N: usize>(
    data: &dyn HostData,
    like: &CubeTensor,
) -> [CubeTensor; N] {
    let parts = match data.on_device().get(&like.device) {
        Some(parts) => parts.to_vec(),
        None => copy(&[data], like).remove(0),
    };
    parts.try_into().expect("the number of parts that the data packs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::device::gpu;
    use crate::ops::tests::support::lists;
    use crate::ops::{Objective, Segments};

    fn host(tensor: CubeTensor) -> Vec<u32> {
        let tensor = Tensor::<1, burn::tensor::Int>::from_primitive::<CubeBackend>(tensor);
        let values = tensor.into_data().convert::<i64>().try_into_vec::<i64>().unwrap();
        values.into_iter().map(|value| value as u32).collect()
    }

    #[test]
    fn data_is_copied_together_and_only_once() {
        let Some(gpu) = gpu() else { return };
        let like = Tensor::<2>::zeros([1, 1], &gpu);
        let (segments, other) = (Segments::new(&[0, 3, 7]), Segments::new(&[0, 5]));
        let lists = lists(Objective::Mwer, &[2, 3], 4);
        let device = like.clone().try_into_primitive::<CubeBackend>().unwrap();
        let held = |data: &dyn HostData| data.on_device().get(&device.device).map(<[_]>::len);
        upload(&[&segments, &lists], &like);
        assert_eq!((held(&segments), held(&other), held(&lists)), (Some(2), None, Some(4)));
        let first = |data: &dyn HostData| data.on_device().get(&device.device).unwrap().as_ptr();
        // Windows on one buffer begin at different places.
        let starts = |data: &dyn HostData| {
            let parts = data.on_device().get(&device.device).unwrap();
            parts.iter().map(|part| part.handle.offset_start.unwrap_or(0)).collect::<Vec<_>>()
        };
        let all = [starts(&segments), starts(&lists)].concat();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        let before = first(&segments);
        upload(&[&segments.clone(), &other], &like);
        assert_eq!(before, first(&segments));
        assert_eq!(starts(&other)[0], 0);
        let [offsets, _] = parts(&segments, &device);
        assert_eq!(host(offsets), [0, 3, 7]);
        let [offsets, rows, _, _] = parts(&lists, &device);
        assert_eq!((host(offsets), host(rows)), (vec![0, 2, 5], vec![0, 3, 2, 1, 0]));
    }

    #[test]
    fn the_cpu_path_copies_nothing() {
        let segments = Segments::new(&[0, 3]);
        upload(&[&segments], &Tensor::zeros([1, 1], &burn::tensor::Device::flex()));
        assert!(segments.on_device().0.get().is_none());
    }
}
