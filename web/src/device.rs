//! Devices: WebGPU, or the CPU path in wasm.

use std::cell::RefCell;
use std::rc::Rc;

use burn::tensor::Device;
use burn::tensor::wgpu::wgpu;
use js_sys::{Function, Object, Promise, Reflect};
use lorb::model::{FaultKind, fault_behind, watch_faults};
use lorb::ops::probe::{Fault, FirstUse, ProbeError, runs_own_kernels};
use lorb::ops::wgsl::{Extensions, MOST_LAUNCHES, Properties, Vendor, register};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::error::WebError;
use crate::loader::precision;

/// A device whose kernels are checked at first use.
pub struct CheckedDevice {
    pub device: Device,
    name: String,
    checks: RefCell<FirstUse>,
}

/// A device that is ready to use.
#[wasm_bindgen]
pub struct GpuDevice {
    pub(crate) watched: Rc<CheckedDevice>,
    kind: &'static str,
}

#[wasm_bindgen]
impl GpuDevice {
    /// Opens `webgpu` or `wasm`. On a GPU, faults are detected and kernels are checked at first use. An instance opens
    /// a device only once.
    ///
    /// # Errors
    /// `WebGPUNotAvailableError`, `DeviceRefusedError` if LoRB's shaders do not run; `BadInputError` for another kind.
    pub async fn open(kind: String) -> Result<GpuDevice, JsValue> {
        Ok(match kind.as_str() {
            "wasm" => Self::new("CPU (WebAssembly)".to_owned(), Device::flex(), "wasm"),
            "webgpu" => open_gpu().await?,
            other => {
                let message = format!("unknown device {other:?}; choose 'webgpu' or 'wasm'");
                return Err(WebError::input(message).into());
            }
        })
    }

    /// Checks that the device computes in a dtype, before a base is downloaded for it.
    ///
    /// # Errors
    /// `DeviceRefusedError` if it does not, `BadInputError` for an unknown dtype.
    #[wasm_bindgen(js_name = checkDtype)]
    pub fn check_dtype(&self, dtype: &str) -> Result<(), JsValue> {
        Ok(precision(dtype)?.check(&self.watched.device).map_err(WebError::from)?)
    }

    /// `webgpu` or `wasm`.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn kind(&self) -> String {
        self.kind.to_owned()
    }

    /// Display name of the GPU, from the browser.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn name(&self) -> String {
        self.watched.name.clone()
    }
}

async fn open_gpu() -> Result<GpuDevice, WebError> {
    let opened = Device::wgpu_options().tasks_max(MOST_LAUNCHES).init_with_setup_async().await;
    let (device, setup) = opened.map_err(|error| {
        let message = format!("WebGPU is not available ({error}); use the device 'wasm'");
        WebError::new("WebGPUNotAvailableError", message)
    })?;
    watch_faults(&device, &setup.device);
    let info = setup.adapter.get_info();
    let name = if info.name.is_empty() { "GPU (WebGPU)".to_owned() } else { info.name };
    let vendor = Vendor::of(0, &vendor().await.unwrap_or_default());
    let half = setup.device.features().contains(wgpu::Features::SHADER_F16);
    let extensions = Extensions { half, ..Extensions::NONE };
    register(&device, Properties { extensions, vendor, ..Properties::UNKNOWN });
    let opened = GpuDevice::new(name, device, "webgpu");
    if !runs_own_kernels(&opened.watched.device) {
        return Err(opened.watched.refused("does not run LoRB's shaders"));
    }
    Ok(opened)
}

/// The GPU's vendor by the browser's name for it, which wgpu does not pass on.
async fn vendor() -> Option<String> {
    let get = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).ok();
    let gpu = get(&get(&js_sys::global(), "navigator")?, "gpu")?;
    let request: Function = get(&gpu, "requestAdapter")?.dyn_into().ok()?;
    // As the runtime requests it.
    let options = JsValue::from(Object::new());
    Reflect::set(&options, &"powerPreference".into(), &"high-performance".into()).ok()?;
    let adapter: Promise = request.call1(&gpu, &options).ok()?.dyn_into().ok()?;
    let adapter = JsFuture::from(adapter).await.ok()?;
    get(&get(&adapter, "info")?, "vendor")?.as_string()
}

impl GpuDevice {
    fn new(name: String, device: Device, kind: &'static str) -> Self {
        let watched = Rc::new(CheckedDevice { device, name, checks: RefCell::default() });
        Self { watched, kind }
    }
}

impl CheckedDevice {
    /// Whether it is a GPU, not the CPU path.
    pub fn is_gpu(&self) -> bool {
        self.device != Device::flex()
    }

    /// Checks the kernels that were used for the first time. Await this before returning their results.
    pub async fn trusted(&self) -> Result<(), WebError> {
        // Not borrowed while waiting: concurrent calls check for themselves.
        let mut checks = self.checks.take();
        let verdict = checks.check(&self.device).await;
        self.checks.replace(checks);
        match verdict {
            Ok(_) => Ok(()),
            Err(error) => Err(self.wrong(&error)),
        }
    }

    fn wrong(&self, error: &ProbeError) -> WebError {
        let said = if let Fault::Failed(said) = &error.fault { said.as_str() } else { "" };
        // A device that is lost or out of memory computes nothing.
        let fault = fault_behind(&self.device, said);
        if fault.kind != FaultKind::Runtime {
            return fault.into();
        }
        self.refused(&format!("returns wrong results: {error}"))
    }

    fn refused(&self, why: &str) -> WebError {
        let message =
            format!("{} {why}; update browser and driver, or use the device 'wasm'", self.name);
        WebError::new("DeviceRefusedError", message)
    }
}
