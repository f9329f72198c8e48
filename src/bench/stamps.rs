//! The device's own time for every launch of a step, LoRB's and burn's, by timestamps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Tensor};
use burn_cubecl::CubeBackend;
use cubecl::logging::{
    Duration, LaunchObservation, LaunchObserver, ProfileDuration, TimingMethod, TimingRequest,
};

use super::row::KernelTime;

/// Counts launches while it exists, and times each of them by the device's timestamps if it has them. A timed launch is
/// submitted by itself, so the host's time of such a step means nothing.
pub(super) struct Stamped {
    launches: Arc<Launches>,
    _observation: LaunchObservation,
}

/// The launches of a step.
pub(super) struct DeviceTimes {
    /// How many.
    pub launches: f64,
    /// Their time by kernel, if all of them were timed.
    pub kernels: Option<BTreeMap<&'static str, KernelTime>>,
}

impl DeviceTimes {
    /// The sum of the times.
    pub fn milliseconds(&self) -> Option<f64> {
        let kernels = self.kernels.as_ref()?;
        Some(kernels.values().map(|kernel| kernel.milliseconds).sum())
    }
}

#[derive(Default)]
struct Launches {
    timed: bool,
    seen: Mutex<Vec<Launch>>,
}

enum Launch {
    Issued,
    Timed(&'static str, ProfileDuration),
}

impl LaunchObserver for Launches {
    fn launched(&self, _kernel: &'static str) {
        self.add(Launch::Issued);
    }

    fn timing(&self) -> TimingRequest {
        if self.timed { TimingRequest::Deferred } else { TimingRequest::None }
    }

    fn profiled(&self, kernel: &'static str, profile: ProfileDuration) {
        if profile.timing_method() == TimingMethod::Device {
            self.add(Launch::Timed(kernel, profile));
        }
    }

    // The runtime's own log of times is on, and has read the measurement.
    fn timed(&self, _kernel: &'static str, _duration: Duration, _method: TimingMethod) {}
}

impl Launches {
    fn add(&self, launch: Launch) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(launch);
    }
}

impl Stamped {
    /// Starts observing the launches of the process.
    pub fn begin(device: &Device) -> Self {
        let launches = Arc::new(Launches { timed: has_timestamps(device), ..Launches::default() });
        Self { _observation: LaunchObservation::new(launches.clone()), launches }
    }

    /// The launches since.
    pub async fn end(self) -> DeviceTimes {
        let seen =
            std::mem::take(&mut *self.launches.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let launches = seen.iter().filter(|launch| matches!(launch, Launch::Issued)).count();
        let (mut kernels, mut timed) = (BTreeMap::<_, KernelTime>::new(), 0);
        for launch in seen {
            let Launch::Timed(kernel, profile) = launch else { continue };
            let Some(ticks) = profile.resolve().await else { continue };
            timed += 1;
            let time = kernels.entry(kernel).or_default();
            time.launches += 1;
            time.milliseconds += 1e3 * ticks.duration().as_secs_f64();
        }
        let all = launches > 0 && timed == launches;
        DeviceTimes { launches: launches as f64, kernels: all.then_some(kernels) }
    }
}

/// Whether the runtime times a device by its own timestamps.
fn has_timestamps(device: &Device) -> bool {
    let tensor = Tensor::<1>::empty([1], &device.clone().inner());
    tensor
        .try_into_primitive::<CubeBackend>()
        .is_ok_and(|tensor| tensor.client.properties().timing_method == TimingMethod::Device)
}
