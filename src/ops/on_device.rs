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
    /// The data on `device`, made once. It is made anew for every other device, and if data of another type is already
    /// stored.
    pub(super) fn of<D, T>(&self, device: &D, make: impl Fn() -> T) -> T
    where
        D: Any + Clone + PartialEq + Send + Sync,
        T: Any + Clone + Send + Sync,
    {
        let stored = self.0.get_or_init(|| Box::new((device.clone(), make())));
        match stored.downcast_ref::<(D, T)>() {
            Some((of, data)) if of == device => data.clone(),
            _ => make(),
        }
    }
}

impl fmt::Debug for OnDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnDevice").finish_non_exhaustive()
    }
}
