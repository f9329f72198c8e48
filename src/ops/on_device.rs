//! A device's data derived from data of the host.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// What a device needs of a batch's indices, made at the first use and shared by clones.
///
/// The host's data must not change after that.
#[derive(Clone, Default)]
pub struct OnDevice(Arc<OnceLock<Box<dyn Any + Send + Sync>>>);

impl OnDevice {
    /// The data, created by `make` on first use. `None` if data of another type is already stored.
    pub(super) fn get<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.0.get_or_init(|| Box::new(make())).downcast_ref()
    }
}

impl fmt::Debug for OnDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDevice").finish_non_exhaustive()
    }
}
