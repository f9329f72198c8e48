//! `config.json` of a base: read, checked, and reduced to what the encoder needs.

use serde_json::{Map, Value};

use super::BaseError;
use super::arch::{Architecture, Block, ConfigKeys};
use super::rotary::Rotary;
use crate::bounds::{MAX_BASE_PARAMETERS, MAX_CONFIG_SIZE, MAX_JSON_BYTES};
use crate::foreign::{Expected, Foreign};

/// The activation of the feed-forward layer that the kernels compute: GELU by the error function.
const ACTIVATION: &str = "gelu";

/// Sizes and constants of an encoder, as `config.json` states them, checked. The fields are named as in
/// BERT's file, whatever the keys of the architecture are.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// The architecture, which names the parts of the base.
    pub architecture: &'static Architecture,
    /// Word pieces in the vocabulary: rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the embeddings, if the architecture has its own; see [`embedding_width`](Self::embedding_width).
    pub embedding_size: Option<usize>,
    /// Width of the hidden state, a multiple of the number of heads.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads per layer.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Rows of the position embedding, or the longest text in tokens if positions are rotary.
    pub max_position_embeddings: usize,
    /// Rows of the token type embedding, of which LoRB uses row 0; 0 if the architecture has none.
    pub type_vocab_size: usize,
    /// Epsilon of every LayerNorm, added to the variance.
    pub layer_norm_eps: f64,
    /// Rotary positions, if the base has them in place of a position embedding.
    pub rotary: Option<Rotary>,
    /// Class of the tokenizer in Transformers, if the file states it or the model type has one that is not BERT's;
    /// `tokenizer_config.json` may state another.
    pub tokenizer_class: Option<String>,
}

impl BertConfig {
    /// Reads `config.json` and checks that it describes an encoder that LoRB computes exactly.
    ///
    /// Missing values take the defaults of Transformers; the sizes that give the encoder
    /// its shape (vocabulary, hidden and feed-forward width, layers and heads) must be present, because a
    /// guess would only fail later, with a less clear error.
    ///
    /// # Errors
    /// [`BaseError::Config`] names the invalid key, [`BaseError::Architecture`] the model type and why it is not
    /// supported.
    pub fn from_json(bytes: &[u8]) -> Result<Self, BaseError> {
        if let Some(what) = Foreign::of(bytes, Expected::Text) {
            return Err(BaseError::Foreign { file: "config.json", what });
        }
        if bytes.len() as u64 > MAX_JSON_BYTES {
            let length = bytes.len();
            let what = format!("it has {length} bytes; expected at most {MAX_JSON_BYTES}");
            return Err(BaseError::ConfigJson(what));
        }
        let value: Value =
            serde_json::from_slice(bytes).map_err(|e| BaseError::ConfigJson(e.to_string()))?;
        let Value::Object(map) = value else {
            return Err(BaseError::ConfigJson("expected a JSON object".into()));
        };
        let architecture = architecture(&map)?;
        let keys = &architecture.keys;
        refuse_variants(&map, architecture)?;
        let types = keys.token_types.map(|key| whole(&map, key)).transpose()?;
        let epsilon = keys.norm_epsilon.map(|key| number(&map, key)).transpose()?;
        let hidden_size = required(&map, keys.hidden_size)?;
        let embedding_size = keys.embedding_size.map(|key| required(&map, key)).transpose()?;
        let num_hidden_layers = required(&map, keys.layers)?;
        let rotary = match architecture.block {
            Block::PostNorm => None,
            Block::PreNorm { .. } => Some(Rotary::read(&map, num_hidden_layers)?),
        };
        let config = Self {
            architecture,
            embedding_size,
            vocab_size: required(&map, keys.vocab_size)?,
            hidden_size,
            num_hidden_layers,
            num_attention_heads: required(&map, keys.heads)?,
            intermediate_size: required(&map, keys.intermediate_size)?,
            max_position_embeddings: whole(&map, keys.positions)?.unwrap_or(keys.default_positions),
            type_vocab_size: types.map_or(0, |stated| stated.unwrap_or(2)),
            layer_norm_eps: epsilon.flatten().unwrap_or(keys.default_norm_epsilon),
            rotary,
            tokenizer_class: text(&map, "tokenizer_class")?
                .or(tokenizer_of(&map))
                .map(str::to_owned),
        };
        config.check()?;
        Ok(config)
    }

    /// Checks that the sizes are consistent.
    ///
    /// # Errors
    /// [`BaseError::Config`] names the invalid key.
    pub fn check(&self) -> Result<(), BaseError> {
        let keys = &self.architecture.keys;
        let sizes = [
            (keys.vocab_size, self.vocab_size),
            (keys.hidden_size, self.hidden_size),
            (keys.layers, self.num_hidden_layers),
            (keys.heads, self.num_attention_heads),
            (keys.intermediate_size, self.intermediate_size),
            (keys.positions, self.max_position_embeddings),
        ];
        let optional = [
            keys.token_types.map(|key| (key, self.type_vocab_size)),
            keys.embedding_size.map(|key| (key, self.embedding_width())),
        ];
        for (key, value) in sizes.into_iter().chain(optional.into_iter().flatten()) {
            if value == 0 || value as u64 > MAX_CONFIG_SIZE {
                return Err(fault(key, format!("is {value}; expected 1 to {MAX_CONFIG_SIZE}")));
            }
        }
        // Limits the work per layer before the first tensor is checked.
        if self.num_hidden_layers > 1024 {
            return Err(fault(
                keys.layers,
                format!("is {}; expected at most 1024", self.num_hidden_layers),
            ));
        }
        let parameters = self.parameters();
        if parameters > MAX_BASE_PARAMETERS {
            let what = format!(
                "gives, with the other sizes, {parameters} parameters; expected at most {MAX_BASE_PARAMETERS}"
            );
            return Err(fault(keys.hidden_size, what));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(fault(
                keys.heads,
                format!(
                    "is {}, which does not divide {} {}",
                    self.num_attention_heads, keys.hidden_size, self.hidden_size
                ),
            ));
        }
        if self.rotary.is_some() && !(self.hidden_size / self.num_attention_heads).is_multiple_of(2)
        {
            let what = format!(
                "is {}, so a head has an odd width, which rotary positions do not allow",
                self.num_attention_heads
            );
            return Err(fault(keys.heads, what));
        }
        let least = 2 + self.architecture.first_position;
        if self.max_position_embeddings < least {
            let found = self.max_position_embeddings;
            let what =
                format!("is {found}; an empty text takes {least} with its two special tokens");
            return Err(fault(keys.positions, what));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps <= 0.1) {
            return Err(fault(
                keys.norm_epsilon.unwrap_or("layer_norm_eps"),
                format!("is {}; expected above 0, at most 0.1", self.layer_norm_eps),
            ));
        }
        Ok(())
    }

    /// Number of parameters of the encoder.
    fn parameters(&self) -> u64 {
        // Sizes are at most 2^24 and layers 1024, so sums of products of two sizes fit.
        let size = |value: usize| value as u64;
        let (hidden, inner) = (size(self.hidden_size), size(self.intermediate_size));
        let rows = size(self.vocab_size)
            + self.rotary.as_ref().map_or(size(self.max_position_embeddings), |_| 0);
        let products = if self.architecture.has_gate() { 3 } else { 2 };
        let layer = 4 * hidden * hidden + products * hidden * inner + 9 * hidden + inner;
        let embedding = size(self.embedding_width());
        let projection = self.projection().map_or(0, |_| (embedding + 1) * hidden);
        (rows + size(self.type_vocab_size) + 2) * embedding
            + projection
            + size(self.num_hidden_layers) * layer
    }

    /// Width of the embeddings, E.
    #[must_use]
    pub fn embedding_width(&self) -> usize {
        self.embedding_size.unwrap_or(self.hidden_size)
    }

    /// The linear layer after the embeddings, if they are not as wide as the hidden state.
    #[must_use]
    pub fn projection(&self) -> Option<&'static str> {
        let name = self.architecture.embeddings.projection;
        name.filter(|_| self.embedding_width() != self.hidden_size)
    }

    /// Longest text in tokens, the special tokens at both ends included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_position_embeddings - self.architecture.first_position
    }
}

pub(super) fn fault(key: &'static str, what: String) -> BaseError {
    BaseError::Config { key, what }
}

fn architecture(map: &Map<String, Value>) -> Result<&'static Architecture, BaseError> {
    match text(map, "model_type")? {
        Some(name) => Architecture::of_model_type(name).ok_or_else(|| BaseError::Architecture {
            model_type: name.to_owned(),
            why: Architecture::reason(name),
            known: Architecture::known_model_types(),
        }),
        None => classes(map).find_map(Architecture::of_class).ok_or_else(|| {
            let known = Architecture::known_model_types();
            fault("model_type", format!("is missing; LoRB reads {known}"))
        }),
    }
}

/// The class of a model type's tokenizer.
fn tokenizer_of(map: &Map<String, Value>) -> Option<&'static str> {
    match map.get("model_type")?.as_str()? {
        "roberta" => Some("RobertaTokenizer"),
        "xlm-roberta" => Some("XLMRobertaTokenizer"),
        "camembert" => Some("CamembertTokenizer"),
        _ => None,
    }
}

fn classes(map: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let classes = map.get("architectures").and_then(Value::as_array);
    classes.into_iter().flatten().filter_map(Value::as_str)
}

/// Rejects options of `config.json` that change the computation of the encoder.
fn refuse_variants(map: &Map<String, Value>, architecture: &Architecture) -> Result<(), BaseError> {
    let keys: &ConfigKeys = &architecture.keys;
    if let Some(padding) = architecture.first_position.checked_sub(1)
        && let Some(other) = whole(map, "pad_token_id")?.filter(|id| *id != padding)
    {
        let what = format!("is {other}; expected {padding}, because positions start after it");
        return Err(fault("pad_token_id", what));
    }
    if let Some(kind) = text(map, keys.activation)?.filter(|kind| *kind != ACTIVATION) {
        let what =
            format!("is {kind:?}; LoRB computes only {ACTIVATION:?} (by the error function)");
        return Err(fault(keys.activation, what));
    }
    if let Some(kind) = text(map, "position_embedding_type")?.filter(|kind| *kind != "absolute") {
        let what = format!("is {kind:?}; LoRB computes only \"absolute\"");
        return Err(fault("position_embedding_type", what));
    }
    if architecture.block != Block::PostNorm {
        for key in ["attention_bias", "mlp_bias", "norm_bias", "classifier_bias"] {
            if !matches!(map.get(key), None | Some(Value::Null | Value::Bool(false))) {
                let what =
                    format!("is set; LoRB computes {} without these biases", architecture.name);
                return Err(fault(key, what));
            }
        }
    }
    for key in ["is_decoder", "add_cross_attention"] {
        match map.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(_) => {
                return Err(fault(key, "is set; LoRB supports only bidirectional encoders".into()));
            }
        }
    }
    if let Some(Value::Object(quantization)) = map.get("quantization_config")
        && !quantization.is_empty()
    {
        return Err(fault(
            "quantization_config",
            "is set; LoRB reads weights in f32, f16 or bf16".into(),
        ));
    }
    Ok(())
}

pub(super) fn text<'a>(
    map: &'a Map<String, Value>,
    key: &'static str,
) -> Result<Option<&'a str>, BaseError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(s)) => Ok(Some(s)),
        Some(other) => Err(fault(key, format!("is {other}; expected a string"))),
    }
}

pub(super) fn whole(
    map: &Map<String, Value>,
    key: &'static str,
) -> Result<Option<usize>, BaseError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(n) if n <= MAX_CONFIG_SIZE => Ok(Some(n as usize)),
            _ => Err(fault(
                key,
                format!("is {value}; expected an integer of at most {MAX_CONFIG_SIZE}"),
            )),
        },
    }
}

fn required(map: &Map<String, Value>, key: &'static str) -> Result<usize, BaseError> {
    whole(map, key)?.ok_or_else(|| fault(key, "is missing".into()))
}

pub(super) fn number(
    map: &Map<String, Value>,
    key: &'static str,
) -> Result<Option<f64>, BaseError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_f64()
            .map(Some)
            .ok_or_else(|| fault(key, format!("is {value}; expected a number"))),
    }
}
