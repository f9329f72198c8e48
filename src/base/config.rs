//! `config.json` of a BERT: read, judged, and reduced to what the encoder needs.

use serde_json::{Map, Value};

use super::BaseError;

/// Largest value that a size in `config.json` may have. It keeps products of sizes far from
/// overflow; the largest BERT published has 24 layers of 1024, so nothing real comes near.
const SIZE_LIMIT: u64 = 1 << 24;

/// Sizes and constants of a BERT encoder, as `config.json` states them, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// Word pieces in the vocabulary: rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the hidden state, a multiple of the number of heads.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads a layer.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Longest sequence in tokens, `[CLS]` and `[SEP]` included.
    pub max_position_embeddings: usize,
    /// Rows of the token type embedding. LoRB uses type 0 alone.
    pub type_vocab_size: usize,
    /// Epsilon of every LayerNorm, added to the variance.
    pub layer_norm_eps: f64,
    /// Id of `[PAD]`. LoRB packs without padding; the id is kept for the record.
    pub pad_token_id: usize,
    /// `model_type` of the file: `bert`.
    pub model_type: String,
    /// Activation of the feed-forward layer: `gelu`, computed with the error function.
    pub hidden_act: String,
}

impl BertConfig {
    /// Reads `config.json` and checks that it describes a BERT that LoRB computes exactly.
    ///
    /// Values that the file leaves out take the defaults of BERT-base, as Transformers does; the
    /// four sizes that give the architecture its shape (`vocab_size`, `hidden_size`,
    /// `num_hidden_layers`, `num_attention_heads`) and `intermediate_size` must be there, since a
    /// guess would only fail later and less clearly.
    ///
    /// # Errors
    /// [`BaseError::Config`] names the key at fault, [`BaseError::Architecture`] the model type and
    /// why it is refused.
    pub fn from_json(bytes: &[u8]) -> Result<Self, BaseError> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|e| BaseError::ConfigJson(e.to_string()))?;
        let Value::Object(map) = value else {
            return Err(BaseError::ConfigJson("expected a JSON object".into()));
        };
        let model_type = model_type(&map)?;
        refuse_variants(&map)?;
        let hidden_act = text(&map, "hidden_act")?.unwrap_or("gelu").to_owned();
        if hidden_act != "gelu" {
            return Err(config(
                "hidden_act",
                format!(
                    "is {hidden_act:?}; LoRB computes \"gelu\" (with the error function) alone"
                ),
            ));
        }
        let config = Self {
            vocab_size: required(&map, "vocab_size")?,
            hidden_size: required(&map, "hidden_size")?,
            num_hidden_layers: required(&map, "num_hidden_layers")?,
            num_attention_heads: required(&map, "num_attention_heads")?,
            intermediate_size: required(&map, "intermediate_size")?,
            max_position_embeddings: whole(&map, "max_position_embeddings")?.unwrap_or(512),
            type_vocab_size: whole(&map, "type_vocab_size")?.unwrap_or(2),
            layer_norm_eps: number(&map, "layer_norm_eps")?.unwrap_or(1e-12),
            pad_token_id: whole(&map, "pad_token_id")?.unwrap_or(0),
            model_type,
            hidden_act,
        };
        config.check()?;
        Ok(config)
    }

    /// Checks relations between the sizes.
    ///
    /// # Errors
    /// [`BaseError::Config`] names the key at fault.
    pub fn check(&self) -> Result<(), BaseError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        for (key, value) in sizes {
            if value == 0 || value as u64 > SIZE_LIMIT {
                return Err(config(key, format!("is {value}; expected 1 to {SIZE_LIMIT}")));
            }
        }
        // Every layer costs a bounded amount of bookkeeping before the first tensor is looked for.
        if self.num_hidden_layers > 1024 {
            return Err(config(
                "num_hidden_layers",
                format!("is {}; expected at most 1024", self.num_hidden_layers),
            ));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(config(
                "num_attention_heads",
                format!(
                    "is {}, which does not divide hidden_size {}",
                    self.num_attention_heads, self.hidden_size
                ),
            ));
        }
        if self.max_position_embeddings < 2 {
            return Err(config(
                "max_position_embeddings",
                "is 1; [CLS] and [SEP] alone need 2".into(),
            ));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps <= 0.1) {
            return Err(config(
                "layer_norm_eps",
                format!("is {}; expected above 0, at most 0.1", self.layer_norm_eps),
            ));
        }
        Ok(())
    }

    /// Width of one attention head: `hidden_size / num_attention_heads`.
    #[must_use]
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }
}

fn config(key: &'static str, what: String) -> BaseError {
    BaseError::Config { key, what }
}

fn model_type(map: &Map<String, Value>) -> Result<String, BaseError> {
    let stated = text(map, "model_type")?;
    let name = match stated {
        Some(name) => name.to_owned(),
        None if architectures(map).any(|a| a.starts_with("Bert")) => "bert".to_owned(),
        None => return Err(config("model_type", "is missing; LoRB takes \"bert\"".into())),
    };
    let why = match name.as_str() {
        "bert" => return Ok(name),
        "roberta" | "xlm-roberta" | "camembert" => {
            "its positions start behind the padding id and its tokens are byte pieces, so a BERT would misread it"
        }
        "distilbert" => "its layers carry other names and it has no token types",
        "albert" => "its layers share one set of weights and its embedding is factorised",
        "electra" => "its embedding may be projected, and its score is trained on another task",
        "deberta" | "deberta-v2" => "its attention is disentangled from the positions",
        "modernbert" | "nomic_bert" => {
            "its positions are rotary and its feed-forward layer is gated"
        }
        "mpnet" => "its attention adds relative position biases",
        _ => "LoRB knows the architecture of BERT alone",
    };
    Err(BaseError::Architecture { model_type: name, why: why.to_owned() })
}

fn architectures(map: &Map<String, Value>) -> impl Iterator<Item = &str> {
    map.get("architectures")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Refuses switches of `config.json` that change what the encoder computes.
fn refuse_variants(map: &Map<String, Value>) -> Result<(), BaseError> {
    if let Some(kind) = text(map, "position_embedding_type")?
        && kind != "absolute"
    {
        return Err(config(
            "position_embedding_type",
            format!("is {kind:?}; LoRB computes \"absolute\" alone"),
        ));
    }
    for key in ["is_decoder", "add_cross_attention"] {
        match map.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => {}
            Some(_) => {
                return Err(config(
                    key,
                    "is set; LoRB computes the encoder, which sees both directions".into(),
                ));
            }
        }
    }
    if let Some(Value::Object(quantization)) = map.get("quantization_config")
        && !quantization.is_empty()
    {
        return Err(config(
            "quantization_config",
            "is set; LoRB reads weights in f32, f16 or bf16".into(),
        ));
    }
    Ok(())
}

fn text<'a>(map: &'a Map<String, Value>, key: &'static str) -> Result<Option<&'a str>, BaseError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(s)) => Ok(Some(s)),
        Some(other) => Err(config(key, format!("is {other}; expected a string"))),
    }
}

fn whole(map: &Map<String, Value>, key: &'static str) -> Result<Option<usize>, BaseError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(n) if n <= SIZE_LIMIT => Ok(Some(n as usize)),
            _ => Err(config(
                key,
                format!("is {value}; expected a whole number of at most {SIZE_LIMIT}"),
            )),
        },
    }
}

fn required(map: &Map<String, Value>, key: &'static str) -> Result<usize, BaseError> {
    whole(map, key)?.ok_or_else(|| config(key, "is missing".into()))
}

fn number(map: &Map<String, Value>, key: &'static str) -> Result<Option<f64>, BaseError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_f64()
            .map(Some)
            .ok_or_else(|| config(key, format!("is {value}; expected a number"))),
    }
}
