//! Positions of the rows of a packed batch in their texts, on the host and on a device.

use std::sync::Arc;

use burn_cubecl::tensor::CubeTensor;

use super::upload::{HostData, OnDevice, parts};
use super::wgsl::packing::Packing;

/// The position of each row in its text, from 0, `[T]`. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Places {
    rows: Arc<[u32]>,
    on_device: OnDevice,
}

impl Places {
    /// Of at least one row.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = u32>) -> Self {
        Self { rows: rows.into_iter().collect(), on_device: OnDevice::default() }
    }

    /// The positions on the host.
    #[must_use]
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The positions on the device of `like`, uploaded once per batch.
    pub(in crate::ops) fn on(&self, like: &CubeTensor) -> CubeTensor {
        let [places] = parts(self, like);
        places
    }
}

impl HostData for Places {
    fn pack(&self, packing: &mut Packing) {
        packing.integers(self.rows.iter().copied());
    }

    fn on_device(&self) -> &OnDevice {
        &self.on_device
    }
}

/// Which tokens a token attends to: those at most `reach` positions away.
#[derive(Clone, Debug)]
pub struct Window {
    /// Positions of all rows.
    pub places: Places,
    /// The largest distance.
    pub reach: usize,
}

impl Window {
    /// Whether row `a` attends to row `b` of the same text.
    #[must_use]
    pub fn sees(&self, a: usize, b: usize) -> bool {
        let rows = self.places.rows();
        (rows[a].abs_diff(rows[b]) as usize) <= self.reach
    }
}
