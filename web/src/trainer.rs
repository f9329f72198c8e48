//! A training run.

use std::rc::Rc;

use js_sys::Uint8Array;
use lorb::rescorer::Run;
use lorb::train::{Message, TrainError};
use wasm_bindgen::prelude::*;

use crate::adapters::info;
use crate::convert::{from_js, to_js};
use crate::error::WebError;
use crate::lists::utterances;
use crate::model::{Model, Shared};
use crate::options::train_config;
use crate::start::clock;

/// A run on a model. Calls must not overlap.
#[wasm_bindgen]
pub struct Trainer {
    shared: Rc<Shared>,
    run: Run,
    /// Duration of a read-back from the idle device, in seconds; measured at the first call.
    read_back: Option<f64>,
    /// Running mean of the time between two steps, in seconds.
    step: Option<f64>,
}

/// Weight of the last step in the running mean.
const SMOOTHING: f64 = 0.1;

/// Each step that is launched ahead waits in the device's queue before the page's own drawing.
const MOST_AHEAD: f64 = 8.0;

#[wasm_bindgen]
impl Model {
    /// Prepares a run that starts from a loaded adapter or continues from a checkpoint. `options` are the core's
    /// settings in camel case; `train` and `dev` are JSON lines or objects; `dev` is optional.
    ///
    /// # Errors
    /// `BadInputError` names the setting or the line, `IntegrityError` for a damaged checkpoint.
    #[wasm_bindgen(js_name = createTrainer)]
    pub fn create_trainer(
        &self,
        adapter: &str,
        options: JsValue,
        train: JsValue,
        dev: JsValue,
        checkpoint: Option<Vec<u8>>,
    ) -> Result<Trainer, JsValue> {
        let config = train_config(&from_js(&options, "options")?)?;
        let (train, dev) = (utterances(&train, "train")?, utterances(&dev, "dev")?);
        // Training needs the memory more.
        self.shared.unmerge();
        let rescorer = self.shared.snapshot();
        let start = rescorer.adapter(adapter).map_err(WebError::from)?.adapter.clone();
        let run = rescorer.run(start, &train, &dev, config, checkpoint.as_deref());
        let run = run.map_err(WebError::from)?;
        Ok(Trainer { run, shared: self.shared.clone(), read_back: None, step: None })
    }
}

impl Trainer {
    async fn read_back(&mut self) -> Result<f64, WebError> {
        if let Some(measured) = self.read_back {
            return Ok(measured);
        }
        let start = clock();
        self.run.trainer.parameters().await.map_err(WebError::from)?;
        Ok(*self.read_back.insert(clock() - start))
    }
}

#[wasm_bindgen]
impl Trainer {
    /// Does the next piece of work and returns its message `{type, ...}`; `undefined` at the end of the run.
    ///
    /// # Errors
    /// `DeviceLostError`, and `LorbError` if training diverges; use [`Trainer::kept`] then. `DeviceRefusedError` if a
    /// kernel returns wrong results.
    pub async fn next(&mut self) -> Result<JsValue, JsValue> {
        let read_back = self.read_back().await?;
        let start = clock();
        let message = self.run.trainer.next().await;
        if let Ok(Some(Message::Step { .. })) = message {
            // Some browsers take up to 100 ms for a read-back. Steps queued meanwhile keep the GPU busy. A call may launch
            // several steps or none, so only the mean counts.
            let now = clock() - start;
            let mean = self.step.map_or(now, |mean| mean + SMOOTHING * (now - mean));
            self.step = Some(mean);
            let ahead = (read_back / mean.max(1e-3)).ceil().clamp(1.0, MOST_AHEAD);
            self.run.trainer.launch_ahead(ahead as usize);
        }
        // Also if a run diverged, because a faulty kernel may be the cause.
        if !matches!(message, Err(TrainError::Device { .. })) {
            self.shared.watched.trusted().await?;
        }
        match message.map_err(WebError::from)? {
            Some(message) => Ok(to_js(&message)?),
            None => Ok(JsValue::UNDEFINED),
        }
    }

    /// The serialised run, for [`Model::create_trainer`].
    ///
    /// # Errors
    /// `DeviceLostError`.
    pub async fn checkpoint(&mut self) -> Result<Uint8Array, JsValue> {
        let bytes = self.run.trainer.checkpoint().await.map_err(WebError::from)?;
        self.shared.watched.trusted().await?;
        Ok(Uint8Array::from(bytes.as_slice()))
    }

    /// The last copy of the run on the host, at [`Trainer::kept_step`]; needs no device.
    ///
    /// # Errors
    /// `LorbError` if it cannot be serialised.
    pub fn kept(&self) -> Result<Uint8Array, JsValue> {
        let bytes = self.run.trainer.kept().map_err(WebError::from)?;
        Ok(Uint8Array::from(bytes.as_slice()))
    }

    /// The step of [`Trainer::kept`].
    #[wasm_bindgen(js_name = keptStep)]
    #[must_use]
    pub fn kept_step(&self) -> usize {
        self.run.trainer.kept_step()
    }

    /// Finished steps.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn step(&self) -> usize {
        self.run.trainer.step()
    }

    /// Steps of the whole run.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn steps(&self) -> usize {
        self.run.trainer.steps()
    }

    /// Stores the best adapter of the run in the model under a name, with its tuned weights, and returns information
    /// about it. Before the first evaluation this is the current adapter, with the beta that corresponds to training.
    ///
    /// # Errors
    /// `DeviceLostError` if there was no evaluation yet.
    pub async fn best(&mut self, name: String) -> Result<JsValue, JsValue> {
        let trained = self.run.best_async().await.map_err(WebError::from)?;
        self.shared.watched.trusted().await?;
        let described = self.shared.change(|rescorer| {
            rescorer.add_adapter(&name, trained.adapter, trained.meta)?;
            Ok::<_, WebError>(info(&name, rescorer.adapter(&name)?))
        })?;
        Ok(to_js(&described)?)
    }
}
