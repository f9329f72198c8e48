//! Rotary positions (Su et al. 2021, arXiv 2104.09864) and the reach of attention, as `config.json` has them.

use serde_json::{Map, Value};

use super::BaseError;
use super::config::{fault, number, text, whole};

/// Rotary positions of the layers of a base, and how far they attend.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Base of the angles in layers that attend to the whole text.
    pub global_theta: f64,
    /// Base of the angles in the other layers.
    pub local_theta: f64,
    /// How far those attend, in tokens to either side.
    pub reach: usize,
    /// For each layer, whether it attends only that far.
    pub local: Vec<bool>,
}

/// ModernBERT's name of a layer that attends to the whole text, and of the other kind.
const KINDS: [&str; 2] = ["full_attention", "sliding_attention"];

/// Largest base of angles; published models have up to 1e6.
const MOST_THETA: f64 = 1e9;

impl Rotary {
    /// The settings of a base with this many layers: Transformers 5 has them by kind of layer (`layer_types`,
    /// `rope_parameters`), older versions in keys of their own.
    ///
    /// # Errors
    /// [`BaseError::Config`] names the key.
    pub(super) fn read(map: &Map<String, Value>, layers: usize) -> Result<Self, BaseError> {
        if map.get("rope_scaling").is_some_and(|scaling| !scaling.is_null()) {
            let what = "is set; LoRB computes rotary positions without scaling".to_owned();
            return Err(fault("rope_scaling", what));
        }
        let width = whole(map, "local_attention")?.unwrap_or(128);
        let [global_theta, local_theta] = [
            theta(map, KINDS[0], "global_rope_theta", 160_000.0)?,
            theta(map, KINDS[1], "local_rope_theta", 10_000.0)?,
        ];
        Ok(Self { global_theta, local_theta, reach: width / 2, local: local(map, layers)? })
    }
}

fn theta(
    map: &Map<String, Value>,
    kind: &str,
    key: &'static str,
    default: f64,
) -> Result<f64, BaseError> {
    const KEY: &str = "rope_parameters";
    let of_kind = map.get(KEY).and_then(|kinds| kinds.get(kind)).and_then(Value::as_object);
    if let Some(other) = of_kind.map(|map| text(map, "rope_type")).transpose()?.flatten()
        && other != "default"
    {
        let what = format!("has the `rope_type` {other:?}; LoRB computes only \"default\"");
        return Err(fault(KEY, what));
    }
    let (key, found) = match of_kind.map(|map| number(map, "rope_theta")).transpose()?.flatten() {
        Some(theta) => (KEY, Some(theta)),
        None => (key, number(map, key)?),
    };
    let value = found.unwrap_or(default);
    if value > 0.0 && value <= MOST_THETA {
        return Ok(value);
    }
    Err(fault(key, format!("has the base {value}; expected above 0, at most {MOST_THETA:e}")))
}

/// For each layer, whether it is local.
fn local(map: &Map<String, Value>, layers: usize) -> Result<Vec<bool>, BaseError> {
    let Some(types) = map.get("layer_types").filter(|types| !types.is_null()) else {
        let key = "global_attn_every_n_layers";
        let every = whole(map, key)?.unwrap_or(3);
        if every == 0 {
            return Err(fault(key, "is 0; expected 1 or more".into()));
        }
        return Ok((0..layers).map(|layer| layer % every != 0).collect());
    };
    let key = "layer_types";
    let kinds = types.as_array().map(Vec::as_slice).unwrap_or_default();
    if kinds.len() != layers {
        let what = format!("has {} entries for {layers} layers", kinds.len());
        return Err(fault(key, what));
    }
    let is_local = |kind: &Value| match kind.as_str() {
        Some(kind) if kind == KINDS[0] => Ok(false),
        Some(kind) if kind == KINDS[1] => Ok(true),
        _ => Err(fault(key, format!("has {kind}; expected {:?} or {:?}", KINDS[0], KINDS[1]))),
    };
    kinds.iter().map(is_local).collect()
}
