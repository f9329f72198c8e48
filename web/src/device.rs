//! Where the numbers are computed: WebGPU, or the CPU path in wasm.

use burn::tensor::Device;
use burn::tensor::wgpu::wgpu;
use lorb::model::watch_faults;
use lorb::ops::probe::{Extent, probe, runs_own_kernels};
use wasm_bindgen::prelude::*;

use crate::error::WebError;

/// A device that is ready to compute.
#[wasm_bindgen]
pub struct GpuDevice {
    name: String,
    pub(crate) device: Device,
    /// The GPU's, where it is one.
    setup: Option<wgpu::Device>,
}

#[wasm_bindgen]
impl GpuDevice {
    /// Opens `webgpu` or `wasm`. A GPU is watched for faults and probed: one that computes wrongly is
    /// refused. An instance opens it once.
    ///
    /// # Errors
    /// `WebGPUNotAvailableError`, `DeviceRefusedError`; `BadInputError` for another kind.
    pub async fn open(kind: String) -> Result<GpuDevice, JsValue> {
        Ok(match kind.as_str() {
            "wasm" => {
                Self { name: "CPU (WebAssembly)".to_owned(), device: Device::flex(), setup: None }
            }
            "webgpu" => open_gpu().await?,
            other => {
                let message = format!("unknown device {other:?}; choose 'webgpu' or 'wasm'");
                return Err(WebError::input(message).into());
            }
        })
    }

    /// `webgpu` or `wasm`.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn kind(&self) -> String {
        if self.setup.is_some() { "webgpu" } else { "wasm" }.to_owned()
    }

    /// For people: what the browser says of the GPU.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Takes the GPU away, as a driver's reset does: for tests of what happens then.
    pub fn destroy(&self) {
        if let Some(setup) = &self.setup {
            setup.destroy();
        }
    }
}

async fn open_gpu() -> Result<GpuDevice, WebError> {
    let opened = Device::wgpu_options().init_with_setup_async().await;
    let (device, setup) = opened.map_err(|error| {
        let message = format!("no GPU can be had through WebGPU ({error}); take the device 'wasm'");
        WebError::new("WebGPUNotAvailableError", message)
    })?;
    watch_faults(&device, &setup.device);
    let info = setup.adapter.get_info();
    let name = if info.name.is_empty() { "GPU (WebGPU)".to_owned() } else { info.name };
    let refused = |why: String| {
        let message = format!("{name} {why}; update browser and driver, or take the device 'wasm'");
        WebError::new("DeviceRefusedError", message)
    };
    if !runs_own_kernels(&device) {
        return Err(refused("does not run LoRB's shaders".to_owned()));
    }
    if let Err(error) = probe(&device, Extent::Quick).await {
        return Err(refused(format!("computes wrongly: {error}")));
    }
    Ok(GpuDevice { name, device, setup: Some(setup.device) })
}
