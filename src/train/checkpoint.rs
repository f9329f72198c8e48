//! Serialisation of an interrupted run.
//!
//! A safetensors file with the tensors of the run. The metadata contains, as JSON under [`KEY`], the counters
//! and everything that must be the same when the run is resumed.

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::CheckpointError;
use super::message::Message;
#[cfg(not(target_family = "wasm"))]
use super::message::WarningKind;
use super::settings::TrainConfig;
use super::state::{Counters, HostParts, Snapshot};
use crate::base::{TensorFile, write_f32};
use crate::bounds::MAX_JSON_BYTES;
use crate::model::Method;
#[cfg(not(target_family = "wasm"))]
use crate::ops::wgsl::{DeviceTiles, tiles_of, use_tiles};
#[cfg(not(target_family = "wasm"))]
use crate::printable::printable;

/// Metadata key of the description.
const KEY: &str = "lorb_checkpoint";

/// Name of what the method keeps between steps: AdaLoRA's, in format 3.
const METHOD_STATE: &str = "allocation";

/// Format version. Format 1 had another order of parameters in the last layer; format 2 supported only LoRA.
const VERSION: u64 = 3;

/// Settings that must be the same in a run and its continuation, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Identity(Map<String, Value>);

impl Identity {
    pub fn new(
        base_hash: &str,
        method: &Method,
        config: &TrainConfig,
        task: Map<String, Value>,
    ) -> Self {
        let mut map = Map::new();
        map.insert("base".into(), json!(base_hash));
        map.insert("method".into(), json!(method.name()));
        map.extend(method.settings().into_iter().map(|(name, value)| (name.to_owned(), value)));
        if let Ok(Value::Object(mut settings)) = serde_json::to_value(config) {
            // It affects the cost of a run, not its results.
            settings.remove("recompute");
            map.extend(settings);
        }
        map.extend(task);
        Self(map)
    }

    /// The first entry that differs in another run.
    fn check(&self, checkpoint: &Self) -> Result<(), CheckpointError> {
        // A setting that the checkpoint lacks is newer than the checkpoint, which was trained as if it
        // had its default.
        let defaults = serde_json::to_value(TrainConfig::default()).unwrap_or_default();
        let absent = Value::Null;
        let names = self.0.keys().chain(checkpoint.0.keys());
        for what in names {
            let now = self.0.get(what).unwrap_or(&absent);
            let then = checkpoint.0.get(what).or_else(|| defaults.get(what)).unwrap_or(&absent);
            if now != then {
                let (checkpoint, now) = (then.to_string(), now.to_string());
                return Err(CheckpointError::Mismatch { what: what.clone(), checkpoint, now });
            }
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Description {
    version: u64,
    identity: Identity,
    counters: Counters,
    /// Tiles that were measured on the run's device, so that a resumed run uses the same kernels.
    #[cfg(not(target_family = "wasm"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tiles: Option<DeviceTiles>,
}

/// Serialises a run on a device.
pub(super) fn write(
    run: &Snapshot,
    identity: &Identity,
    device: &Device,
) -> Result<Vec<u8>, CheckpointError> {
    #[cfg(target_family = "wasm")]
    let _ = device;
    let mut tensors = vec![
        ("parameters", run.parameters.as_slice()),
        ("moments.first", &run.first),
        ("moments.second", &run.second),
        ("history", &run.history),
    ];
    if !run.method_state.is_empty() {
        tensors.push((METHOD_STATE, &run.method_state));
    }
    tensors.extend(run.best.as_ref().map(|best| ("best", best.as_slice())));
    let loss = run.group.as_ref().map(|group| [group.ranking, group.correlation]);
    if let (Some(group), Some(loss)) = (&run.group, &loss) {
        tensors.extend([("group.gradient", group.gradient.as_slice()), ("group.loss", loss)]);
    }
    let description = Description {
        version: VERSION,
        identity: identity.clone(),
        counters: run.counters.clone(),
        #[cfg(not(target_family = "wasm"))]
        tiles: tiles_of(device).filter(|of| !of.tiles.is_empty()),
    };
    let description =
        serde_json::to_string(&description).map_err(|e| CheckpointError::Write(e.to_string()))?;
    let metadata = BTreeMap::from([(KEY.to_owned(), description)]);
    let shapes: Vec<[usize; 1]> = tensors.iter().map(|(_, values)| [values.len()]).collect();
    let named = tensors
        .iter()
        .zip(&shapes)
        .map(|((name, values), shape)| ((*name).to_owned(), &shape[..], *values));
    write_f32(&metadata, named).map_err(CheckpointError::Write)
}

/// Reads a run of `parameters` parameters that must have `identity`, whose method keeps `state` values
/// between steps. Also returns a warning if it continues with other kernels on `device`.
pub(super) fn read(
    bytes: &[u8],
    identity: &Identity,
    parameters: usize,
    state: usize,
    device: &Device,
) -> Result<(Snapshot, Option<Message>), CheckpointError> {
    let file = TensorFile::open(bytes)?;
    let text = file.metadata().get(KEY).ok_or(CheckpointError::Foreign { key: KEY })?;
    let unreadable = |e: serde_json::Error| CheckpointError::Description(e.to_string());
    if text.len() as u64 > MAX_JSON_BYTES {
        let length = text.len();
        let what = format!("it has {length} bytes; expected at most {MAX_JSON_BYTES}");
        return Err(CheckpointError::Description(what));
    }
    let value: Value = serde_json::from_str(text).map_err(unreadable)?;
    // Check the version first: another format may have another structure.
    let version = value.get("version").and_then(Value::as_u64);
    if let Some(found) = version.filter(|&found| found != VERSION) {
        return Err(CheckpointError::Version { found, expected: VERSION });
    }
    let description: Description = serde_json::from_value(value).map_err(unreadable)?;
    identity.check(&description.identity)?;
    let warning = other_tiles(&description, device);
    let counters = description.counters;
    let values = |name: &'static str, expected: usize| {
        let data = file.read(name)?.data;
        if data.len() == expected {
            Ok(data)
        } else {
            Err(CheckpointError::Length { name, found: data.len(), expected })
        }
    };
    let group = if counters.accumulated > 0 {
        let loss = values("group.loss", 2)?;
        let gradient = values("group.gradient", parameters)?;
        Some(HostParts { gradient, ranking: loss[0], correlation: loss[1] })
    } else {
        None
    };
    let run = Snapshot {
        parameters: values("parameters", parameters)?,
        first: values("moments.first", parameters)?,
        second: values("moments.second", parameters)?,
        method_state: if state > 0 { values(METHOD_STATE, state)? } else { Vec::new() },
        best: counters.best.map(|_| values("best", parameters)).transpose()?,
        group,
        history: values("history", counters.step)?,
        counters,
    };
    Ok((run, warning))
}

/// Uses the measured tiles of a checkpoint, or says why not.
#[cfg(not(target_family = "wasm"))]
fn other_tiles(description: &Description, device: &Device) -> Option<Message> {
    let tiles = description.tiles.clone()?;
    let adapter = printable(&tiles.adapter).into_owned();
    let text = format!(
        "the checkpoint's tiles of matrix products were measured on another device ({adapter}); results may differ in \
         their last digits from those of an undisturbed run"
    );
    (!use_tiles(device, tiles)).then_some(Message::Warning { kind: WarningKind::OtherTiles, text })
}

#[cfg(target_family = "wasm")]
fn other_tiles(_: &Description, _: &Device) -> Option<Message> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(settings: Value) -> Identity {
        let mut map = Map::new();
        map.insert("base".into(), json!("hash"));
        map.extend(settings.as_object().cloned().unwrap_or_default());
        Identity(map)
    }

    #[test]
    fn a_checkpoint_without_a_newer_setting_was_trained_with_its_default() {
        let beta = TrainConfig::default().beta;
        let now = |beta: f64| identity(json!({"lr": 0.5, "beta": beta}));
        let older = identity(json!({"lr": 0.5}));
        now(beta).check(&older).unwrap();
        let error = now(beta + 1.0).check(&older).unwrap_err();
        assert!(matches!(error, CheckpointError::Mismatch { what, .. } if what == "beta"));
        // Other entries have no default.
        assert!(identity(json!({"LoRA r": 8})).check(&identity(json!({}))).is_err());
    }
}
