//! Loading and saving adapters.

use js_sys::{Object, Reflect, Uint8Array};
use lorb::adapter::AdapterFiles;
use lorb::methods::lora_config;
use lorb::model::Adapter;
use lorb::rescorer::LoadedAdapter;
use serde_json::{Map, Value, json};
use wasm_bindgen::prelude::*;

use crate::convert::{from_js, to_js};
use crate::error::WebError;
use crate::model::Model;
use crate::options::AdapterOptions;

/// What a page learns about an adapter.
pub fn info(name: &str, loaded: &LoadedAdapter) -> Value {
    let LoadedAdapter { adapter: Adapter { method, layout, .. }, meta, .. } = loaded;
    let lora = lora_config(method);
    let targets: Option<Vec<String>> =
        lora.map(|lora| lora.targets.iter().map(ToString::to_string).collect());
    json!({
        "name": name,
        "method": method.name(),
        "rank": lora.map(|lora| lora.rank),
        "alpha": lora.map(|lora| lora.alpha),
        "dropout": method.dropout(),
        "rslora": lora.is_some_and(|lora| lora.rslora),
        "targets": targets.unwrap_or_default(),
        "layers": lora.and_then(|lora| lora.layers.clone()),
        "parameters": layout.len(),
        "beta": meta.weights.as_ref().map(|weights| weights.beta),
        "gamma": meta.weights.as_ref().map(|weights| weights.gamma),
        "parts": meta.weights.as_ref().map(|weights| &weights.parts),
        "baseHash": meta.base_hash,
        "baseName": meta.base_name,
        "objective": meta.objective,
        "conventions": meta.conventions,
    })
}

impl Model {
    fn info(&self, name: &str) -> Result<Value, WebError> {
        Ok(info(name, self.shared.snapshot().adapter(name)?))
    }
}

#[wasm_bindgen]
impl Model {
    /// Loads the two files of a PEFT directory under a name.
    ///
    /// # Errors
    /// `AdapterError`, also for an adapter of another base.
    #[wasm_bindgen(js_name = readAdapter)]
    pub fn read_adapter(
        &self,
        name: &str,
        config: Vec<u8>,
        weights: Vec<u8>,
    ) -> Result<JsValue, JsValue> {
        let files = AdapterFiles { config, weights };
        self.shared
            .change(|rescorer| rescorer.read_adapter(name, &files))
            .map_err(WebError::from)?;
        Ok(to_js(&self.info(name)?)?)
    }

    /// Makes a new adapter under a name: `{method, seed}` and the method's settings, all
    /// optional. Methods that train tensors of the base cannot start here: the base is on the device only.
    ///
    /// # Errors
    /// `BadInputError` names the setting.
    #[wasm_bindgen(js_name = initAdapter)]
    pub fn init_adapter(&self, name: &str, options: JsValue) -> Result<JsValue, JsValue> {
        let options = AdapterOptions::try_from(from_js::<Map<String, Value>>(&options, "options")?)
            .map_err(WebError::input)?;
        let method = options.method().map_err(WebError::from)?;
        let added = self.shared.change(|rescorer| {
            let adapter = rescorer.new_adapter(method, options.seed)?;
            rescorer.add_adapter(name, adapter, rescorer.new_meta())
        });
        added.map_err(WebError::from)?;
        Ok(to_js(&self.info(name)?)?)
    }

    /// Removes an adapter; `false` if there is none with this name.
    #[wasm_bindgen(js_name = removeAdapter)]
    #[must_use]
    pub fn remove_adapter(&self, name: &str) -> bool {
        self.shared.change(|rescorer| rescorer.remove_adapter(name))
    }

    /// `{config, weights}`: the two files of a PEFT directory.
    ///
    /// # Errors
    /// `AdapterError` if a value is not finite.
    #[wasm_bindgen(js_name = writeAdapter)]
    pub fn write_adapter(&self, name: &str) -> Result<JsValue, JsValue> {
        let files = self.shared.snapshot().write_adapter(name).map_err(WebError::from)?;
        let object = Object::new();
        for (key, bytes) in [("config", &files.config), ("weights", &files.weights)] {
            Reflect::set(&object, &key.into(), &Uint8Array::from(bytes.as_slice()))?;
        }
        Ok(object.into())
    }
}
