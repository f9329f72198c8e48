//! The device to compute on: a GPU through wgpu, the CPU path, or a software adapter.
//!
//! Graphics APIs are tried in the platform's order: Vulkan, Metal or DX12. A software adapter (llvmpipe, SwiftShader)
//! runs the GPU's code on the CPU. It is slower than the CPU path, is meant for tests, and is used only on request.
//!
//! A device on which LoRB's kernels return wrong results is refused: see [`crate::ops::probe`].

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use burn::backend::{Backend, Dispatch};
use burn::tensor::wgpu::{WgpuBackend, WgpuInitError, wgpu};
use burn::tensor::{Device, DeviceKind, read_sync};

use crate::model::watch_faults;
use crate::ops::probe::{CaseSet, ProbeError, RUNTIME, probe, runs_own_kernels};
use crate::ops::wgsl::{
    Extensions, MOST_LAUNCHES, Placement, Properties, Vendor, name_adapter, register,
    register_extensions,
};
use crate::ops::{Precision, UnsupportedPrecision};
use crate::remedy::Remedy;

/// Which device the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A GPU if there is one, otherwise the CPU path.
    #[default]
    Auto,
    /// A GPU; an error if there is none.
    Gpu,
    /// The CPU path.
    Cpu,
    /// A software adapter; an error if there is none.
    Software,
}

impl DeviceChoice {
    /// All choices, in documentation order.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Gpu, Self::Cpu, Self::Software];
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
            Self::Software => "software",
        })
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let found = Self::ALL.into_iter().find(|choice| choice.to_string() == name);
        found.ok_or_else(|| DeviceError::UnknownChoice { name: name.to_owned() })
    }
}

/// The kind of a selected device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectedKind {
    /// A GPU through wgpu.
    Gpu,
    /// The CPU path.
    Cpu,
    /// A software adapter through wgpu.
    Software,
}

/// A device that is ready to use.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The device; without autodiff.
    pub device: Device,
    /// Display name: the GPU's name and graphics API, or the CPU path.
    pub name: String,
    /// The kind of device.
    pub kind: SelectedKind,
    /// Why `auto` selected the CPU path, if it did.
    pub fallback: Option<Fallback>,
}

/// Why [`DeviceChoice::Auto`] selected the CPU path.
#[derive(Debug, Clone)]
pub enum Fallback {
    /// There is no GPU.
    NoGpu,
    /// There is a GPU, but it cannot be used: worth a warning.
    Refused(Arc<DeviceError>),
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoGpu => f.write_str("no GPU was found"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name is not one of the choices.
    #[error("unknown device {name:?}; choose auto, gpu, cpu or software")]
    UnknownChoice {
        /// The given name.
        name: String,
    },
    /// No device of the requested kind.
    #[error("no {wanted} was found through Vulkan, Metal or DX12 ({found})")]
    NoAdapter {
        /// GPU or software adapter.
        wanted: &'static str,
        /// What was found instead.
        found: String,
    },
    /// The adapter exists, but cannot be opened.
    #[error("{name} cannot be opened: {source}")]
    Init {
        /// The adapter.
        name: String,
        /// The error from wgpu.
        source: WgpuInitError,
    },
    /// burn's runtime compiles to a shader language other than WGSL, so it cannot run LoRB's kernels.
    #[error(
        "{name} runs on {found}, but LoRB's kernels need {RUNTIME}; build without burn's features `vulkan` and `metal`"
    )]
    Runtime {
        /// The adapter.
        name: String,
        /// The runtime that was set up.
        found: String,
    },
    /// The adapter lacks the matrix units that the experimental kernels need.
    #[error(
        "{name} has no cooperative matrices of 16 by 16 f16 with sums in f32 in subgroups of 32 (it has {found})"
    )]
    NoCooperativeMatrices {
        /// The device.
        name: String,
        /// What it supports instead.
        found: String,
    },
    /// The device does not compute in a precision.
    #[error("{name}: {source}")]
    Precision {
        /// The device.
        name: String,
        /// What it lacks.
        source: UnsupportedPrecision,
    },
    /// The adapter returns wrong results.
    #[error("{name} returns wrong results: {source}")]
    Wrong {
        /// The adapter.
        name: String,
        /// The fault.
        source: ProbeError,
    },
}

impl DeviceError {
    /// Remedies, the most promising first.
    #[must_use]
    pub fn remedies(&self) -> &'static [Remedy] {
        use Remedy::{CheckKernels, ListAdapters, NoMatrixUnits, UpdateDriver, UseCpu};
        match self {
            Self::UnknownChoice { .. } | Self::Runtime { .. } => &[],
            Self::NoAdapter { .. } => &[ListAdapters],
            Self::Init { .. } => &[UpdateDriver, UseCpu],
            Self::NoCooperativeMatrices { .. } => &[NoMatrixUnits],
            Self::Precision { source, .. } => source.remedies(),
            Self::Wrong { .. } => &[UpdateDriver, UseCpu, CheckKernels],
        }
    }
}

/// A wgpu adapter.
#[derive(Debug, Clone)]
pub struct AdapterReport {
    /// Name, driver, graphics API and type.
    pub info: wgpu::AdapterInfo,
    /// Maximum limits of a device.
    pub limits: wgpu::Limits,
    /// Features beyond core WebGPU.
    pub features: wgpu::Features,
    /// Matrix products that its matrix units support in WGSL.
    pub cooperative_matrices: Vec<wgpu::CooperativeMatrixProperties>,
}

impl AdapterReport {
    /// Whether it runs on the CPU.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// Who designed it.
    #[must_use]
    pub fn vendor(&self) -> Vendor {
        Vendor::of(self.info.vendor, &self.info.name)
    }

    fn placement(&self) -> Placement {
        match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => Placement::Discrete,
            wgpu::DeviceType::IntegratedGpu => Placement::Integrated,
            _ => Placement::Unknown,
        }
    }

    /// Whether it supports the kernels for cooperative matrices.
    ///
    /// # Errors
    /// What it supports instead.
    pub fn cooperative(&self) -> Result<(), String> {
        use wgpu::CooperativeScalarType::{F16, F32};
        let wanted = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SUBGROUP;
        let suits = |m: &wgpu::CooperativeMatrixProperties| {
            (m.m_size, m.n_size, m.k_size) == (16, 16, 16) && (m.ab_type, m.cr_type) == (F16, F32)
        };
        let (least, most) = (self.info.subgroup_min_size, self.info.subgroup_max_size);
        let matrices = self.cooperative_matrices.as_slice();
        if self.features.contains(wanted) && (least, most) == (32, 32) && matrices.iter().any(suits)
        {
            return Ok(());
        }
        Err(format!("{} kinds of product, subgroups of {least} to {most}", matrices.len()))
    }

    /// Name, graphics API and driver: what the speed of kernels depends on.
    fn with_driver(&self) -> String {
        format!("{}, {} {}", self.name(), self.info.driver, self.info.driver_info)
    }

    fn name(&self) -> String {
        format!("{} ({:?})", self.info.name, self.info.backend)
    }
}

/// All wgpu adapters that LoRB can run on, in the order of preference of `auto`.
///
/// OpenGL is excluded, because its compute shaders lack what the kernels need.
#[must_use]
pub fn adapters() -> Vec<AdapterReport> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let descriptor = wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    };
    let instance = wgpu::Instance::new(descriptor);
    let found = read_sync(instance.enumerate_adapters(backends));
    found
        .into_iter()
        .map(|adapter| AdapterReport {
            info: adapter.get_info(),
            limits: adapter.limits(),
            features: adapter.features(),
            cooperative_matrices: adapter.cooperative_matrix_properties(),
        })
        .collect()
}

/// Opens the device for `choice`. The first time in a process, it runs the quick probe, except on the CPU path.
/// Repeated calls return the same device.
///
/// # Errors
/// [`DeviceError`]. Never with [`DeviceChoice::Auto`]: the CPU path is always available, and `fallback` then says why
/// it was selected.
pub fn select(choice: DeviceChoice) -> Result<Selected, DeviceError> {
    find(choice, probed)
}

/// As [`select`], but without the probe: for `lorb doctor`, which runs a more thorough one.
///
/// # Errors
/// As for [`select`].
pub fn select_unprobed(choice: DeviceChoice) -> Result<Selected, DeviceError> {
    find(choice, |opened| Ok(opened.selected.clone()))
}

/// Enables rescoring on the matrix units of a device from [`select`], with factors rounded to f16, if they pass the
/// probe. Experimental: it has not run on any device yet.
///
/// # Errors
/// [`DeviceError::NoCooperativeMatrices`] if there are none, [`DeviceError::Wrong`] if their results differ.
pub fn use_cooperative_matrices(selected: &Selected) -> Result<(), DeviceError> {
    let all = OPENED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let name = selected.name.clone();
    let opened = all.iter().find(|opened| opened.selected.name == name);
    let nothing = Err("no GPU matrix units".to_owned());
    if let Err(found) = opened.map_or(nothing, |opened| opened.matrices.clone()) {
        return Err(DeviceError::NoCooperativeMatrices { name, found });
    }
    register_extensions(
        &selected.device,
        Extensions { subgroups: true, half: true, cooperative_matrices: true },
    );
    probe_with(selected, CaseSet::Quick)
}

/// Checks that a device from [`select`] computes in a precision, and probes the kernels that only this precision uses.
///
/// # Errors
/// [`DeviceError::Precision`] if it does not, [`DeviceError::Wrong`] if the results differ from the CPU's.
pub fn check_precision(selected: &Selected, precision: Precision) -> Result<(), DeviceError> {
    precision.check(&selected.device).map_err(|source| {
        let name = selected.name.clone();
        DeviceError::Precision { name, source }
    })?;
    match precision {
        Precision::F32 | Precision::F16 | Precision::Int8 => Ok(()),
        Precision::Mixed => probe_with(selected, CaseSet::Mixed),
    }
}

fn probe_with(selected: &Selected, cases: CaseSet) -> Result<(), DeviceError> {
    let wrong = |source| DeviceError::Wrong { name: selected.name.clone(), source };
    read_sync(probe(&selected.device, cases)).map(|_| ()).map_err(wrong)
}

/// wgpu's handles to a device from [`select`] and its queue, for benchmarks; `None` for the CPU path.
#[must_use]
pub fn handles(selected: &Selected) -> Option<(wgpu::Device, wgpu::Queue)> {
    let all = OPENED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let opened = all.iter().find(|opened| opened.selected.name == selected.name);
    opened.and_then(|opened| opened.handles.clone())
}

/// Finishes the setup of an open device.
type Accept = fn(&mut Opened) -> Result<Selected, DeviceError>;

fn probed(opened: &mut Opened) -> Result<Selected, DeviceError> {
    let Selected { device, name, .. } = &opened.selected;
    let run = || read_sync(probe(device, CaseSet::Quick)).map(|_| ());
    match opened.verdict.get_or_insert_with(run) {
        Ok(()) => Ok(opened.selected.clone()),
        Err(error) => Err(DeviceError::Wrong { name: name.clone(), source: error.clone() }),
    }
}

fn find(choice: DeviceChoice, accept: Accept) -> Result<Selected, DeviceError> {
    match choice {
        DeviceChoice::Cpu => Ok(cpu()),
        DeviceChoice::Gpu => gpu(&adapters(), accept),
        DeviceChoice::Software => {
            let all = adapters();
            let Some(adapter) = all.iter().find(|adapter| adapter.is_software()) else {
                return Err(DeviceError::NoAdapter {
                    wanted: "software adapter",
                    found: listed(&all),
                });
            };
            open(adapter, DeviceKind::Cpu, SelectedKind::Software, accept)
        }
        DeviceChoice::Auto => Ok(match gpu(&adapters(), accept) {
            Ok(selected) => selected,
            Err(DeviceError::NoAdapter { .. }) => {
                Selected { fallback: Some(Fallback::NoGpu), ..cpu() }
            }
            Err(error) => Selected { fallback: Some(Fallback::Refused(Arc::new(error))), ..cpu() },
        }),
    }
}

fn cpu() -> Selected {
    Selected {
        device: Device::flex(),
        name: "CPU".to_owned(),
        kind: SelectedKind::Cpu,
        fallback: None,
    }
}

fn gpu(all: &[AdapterReport], accept: Accept) -> Result<Selected, DeviceError> {
    use wgpu::DeviceType::{DiscreteGpu, IntegratedGpu, VirtualGpu};
    for wanted in [DiscreteGpu, IntegratedGpu, VirtualGpu] {
        if let Some(adapter) = all.iter().find(|adapter| adapter.info.device_type == wanted) {
            let kind = match wanted {
                DiscreteGpu => DeviceKind::DiscreteGpu(0),
                IntegratedGpu => DeviceKind::IntegratedGpu(0),
                _ => DeviceKind::VirtualGpu(0),
            };
            return open(adapter, kind, SelectedKind::Gpu, accept);
        }
    }
    Err(DeviceError::NoAdapter { wanted: "GPU", found: listed(all) })
}

fn listed(all: &[AdapterReport]) -> String {
    if all.is_empty() {
        return "no adapters at all".to_owned();
    }
    let names: Vec<String> =
        all.iter().map(|a| format!("{}: {:?}", a.name(), a.info.device_type)).collect();
    format!("found {}", names.join(", "))
}

/// An opened device.
struct Opened {
    key: (DeviceKind, wgpu::Backend),
    selected: Selected,
    /// wgpu's handles to it.
    handles: Option<(wgpu::Device, wgpu::Queue)>,
    /// Whether it supports the kernels for cooperative matrices, or what it supports instead.
    matrices: Result<(), String>,
    /// The result of the quick probe, once it has run.
    verdict: Option<Result<(), ProbeError>>,
}

/// Opened devices: the runtime does not allow setting up the same one twice.
static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

fn open(
    adapter: &AdapterReport,
    kind: DeviceKind,
    selected: SelectedKind,
    accept: Accept,
) -> Result<Selected, DeviceError> {
    let key = (kind, adapter.info.backend);
    let mut all = OPENED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(opened) = all.iter_mut().find(|opened| opened.key == key) {
        return accept(opened);
    }
    let api = match adapter.info.backend {
        wgpu::Backend::Vulkan => WgpuBackend::Vulkan,
        wgpu::Backend::Metal => WgpuBackend::Metal,
        wgpu::Backend::Dx12 => WgpuBackend::Dx12,
        _ => WgpuBackend::Auto,
    };
    let name = adapter.name();
    let (device, setup) = Device::wgpu_options()
        .device_kind(key.0.clone())
        .graphics_api(api)
        .tasks_max(MOST_LAUNCHES)
        .init_with_setup()
        .map_err(|source| DeviceError::Init { name: name.clone(), source })?;
    watch_faults(&device, &setup.device);
    if !runs_own_kernels(&device) {
        let found = <Dispatch as Backend>::name(device.as_dispatch());
        return Err(DeviceError::Runtime { name, found });
    }
    let has = |feature| setup.device.features().contains(feature);
    let (subgroups, half) = (has(wgpu::Features::SUBGROUP), has(wgpu::Features::SHADER_F16));
    let extensions = Extensions { subgroups, half, ..Extensions::NONE };
    let (vendor, placement) = (adapter.vendor(), adapter.placement());
    register(&device, Properties { extensions, vendor, placement });
    name_adapter(&device, &adapter.with_driver());
    let selected = Selected { device, name, kind: selected, fallback: None };
    let handles = Some((setup.device, setup.queue));
    all.push(Opened { key, selected, handles, matrices: adapter.cooperative(), verdict: None });
    accept(all.last_mut().expect("just pushed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::probe::Fault;
    use crate::test_gpu;

    #[test]
    fn missing_matrix_units_are_an_error() {
        let error = use_cooperative_matrices(&cpu()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("CPU has no cooperative matrices of 16 by 16"), "{text}");
        assert_eq!(error.remedies(), [Remedy::NoMatrixUnits]);
    }

    #[test]
    fn software_adapters_have_no_matrix_units() {
        let all = adapters();
        let software: Vec<_> = all.iter().filter(|adapter| adapter.is_software()).collect();
        if software.is_empty() {
            return test_gpu::not_run("no software adapter");
        }
        for adapter in software {
            let found = adapter.cooperative().expect_err("llvmpipe has none");
            assert!(found.contains("kinds of product"), "{}: {found}", adapter.name());
        }
    }

    #[test]
    fn a_device_with_wrong_results_is_refused_every_time_with_what_to_do() {
        let error = ProbeError {
            operation: "gelu".to_owned(),
            result: "output".to_owned(),
            kernels: vec!["gelu_forward"],
            fault: Fault::AllZero,
        };
        let mut opened = Opened {
            key: (DeviceKind::DiscreteGpu(0), wgpu::Backend::Vulkan),
            selected: Selected { name: "Card (Vulkan)".to_owned(), ..cpu() },
            handles: None,
            matrices: Ok(()),
            verdict: Some(Err(error)),
        };
        for _ in 0..2 {
            let error = probed(&mut opened).expect_err("refused");
            assert_eq!(
                error.to_string(),
                "Card (Vulkan) returns wrong results: the output of gelu is all zero (kernel gelu_forward)"
            );
            assert_eq!(
                error.remedies(),
                [Remedy::UpdateDriver, Remedy::UseCpu, Remedy::CheckKernels]
            );
        }
    }

    #[test]
    fn a_device_with_correct_results_is_probed_once() {
        let mut opened = Opened {
            key: (DeviceKind::Cpu, wgpu::Backend::Vulkan),
            selected: cpu(),
            handles: None,
            matrices: Ok(()),
            verdict: None,
        };
        assert_eq!(probed(&mut opened).expect("the reference itself").name, "CPU");
        assert_eq!(opened.verdict, Some(Ok(())));
    }
}
