//! Architectures as tables: names of tensors and settings, and differences from BERT.
//!
//! All code that reads or writes a tensor or module name consults the table of the base's architecture
//! ([`BertConfig::architecture`](super::BertConfig::architecture)). A new one needs a file here and a line in
//! [`ARCHITECTURES`], if it has the same computation as BERT:
//!
//! ```text
//! x = LayerNorm(word + position (+ type 0))         projected, if narrower than the layers
//! x = LayerNorm(x + attention(x))                  for every layer: multi-head, over the whole text
//! x = LayerNorm(x + W2 gelu(W1 x + b1) + b2)       with the exact GELU
//! ```
//!
//! with learned absolute positions. [`Block`] has the other computation that LoRB knows, that of ModernBERT.

mod bert;
mod distilbert;
mod electra;
mod modernbert;
mod roberta;
#[cfg(test)]
mod tests;

pub use bert::BERT;
pub use distilbert::DISTILBERT;
pub use electra::ELECTRA;
pub use modernbert::MODERNBERT;
pub use roberta::ROBERTA;

/// All supported architectures.
pub static ARCHITECTURES: [&Architecture; 5] =
    [&BERT, &DISTILBERT, &ELECTRA, &ROBERTA, &MODERNBERT];

/// Known unsupported architectures, and why.
const UNSUPPORTED: [(&[&str], &str); 6] = [
    (
        &["roberta-prelayernorm", "xlm-roberta-xl"],
        "it normalises before the attention and the feed-forward layers",
    ),
    (&["albert"], "its layers share weights and its embedding is factorised"),
    (&["deberta", "deberta-v2"], "it uses disentangled attention"),
    (&["nomic_bert"], "its positions are rotary and its feed-forward layer is gated"),
    (&["mpnet"], "its attention adds relative position biases"),
    (
        &["gpt2", "llama", "qwen2", "qwen3"],
        "it is a causal model, which reads only from left to right",
    ),
];

/// The names of an architecture.
///
/// Names of modules are those of the bare encoder in Transformers (`BertModel`, `DistilBertModel`); a
/// module's tensors are `<module>.weight` and `<module>.bias`.
#[derive(Clone, Copy, PartialEq)]
pub struct Architecture {
    /// Display name.
    pub name: &'static str,
    /// Values of `model_type` in `config.json`.
    pub model_types: &'static [&'static str],
    /// Prefixes of the class names in `architectures`, for a `config.json` without `model_type`.
    pub classes: &'static [&'static str],
    /// Keys of `config.json`.
    pub keys: ConfigKeys,
    /// What a layer computes.
    pub block: Block,
    /// Attribute of the encoder in a model with a head, and part of its tensors' prefix there.
    pub attribute: &'static str,
    /// First components of the encoder's tensor names; an unknown tensor under them is an error.
    pub roots: &'static [&'static str],
    /// Tensors under these roots that are not parameters.
    pub buffers: &'static [&'static str],
    /// Suffixes of tensor names in old files, and their current form.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Row of the position embedding for the first token: 0, or the row after that of the padding id.
    pub first_position: usize,
    /// Modules of the embeddings.
    pub embeddings: EmbeddingNames,
    /// The list of encoder layers: layer `i` is the module `<layers>.<i>`.
    pub layers: &'static str,
    /// Modules within a layer.
    pub layer: LayerNames,
    /// A linear layer after the encoder that PEFT adapts too and that LoRB's score does not use.
    pub pooler: Option<&'static str>,
    /// The masked-language-model head.
    pub masked_head: MaskedHeadNames,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
}

/// What a layer computes from its input x.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// BERT's, see [`arch`](self).
    PostNorm,
    /// ModernBERT's (Warner et al. 2024, arXiv 2412.13663):
    ///
    /// ```text
    /// x = x + attention(LayerNorm(x))                 no such LayerNorm in the first layer
    /// x = x + W2 (gelu(a) * b), [a, b] = W1 LayerNorm(x)
    /// ```
    ///
    /// with rotary positions in place of an embedding of positions. Query, key and value are one linear layer, and no
    /// layer has a bias.
    PreNorm {
        /// Layer norm after the last layer.
        last_norm: &'static str,
    },
}

/// Keys of `config.json`, by their meaning in BERT.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfigKeys {
    /// Rows of the word embedding.
    pub vocab_size: &'static str,
    /// Width of the embeddings; `None` if it is always that of the hidden state.
    pub embedding_size: Option<&'static str>,
    /// Width of the hidden state.
    pub hidden_size: &'static str,
    /// Number of encoder layers.
    pub layers: &'static str,
    /// Number of attention heads.
    pub heads: &'static str,
    /// Width of the feed-forward layer.
    pub intermediate_size: &'static str,
    /// Rows of the position embedding, or the longest text.
    pub positions: &'static str,
    /// Its value without such a key.
    pub default_positions: usize,
    /// Rows of the token type embedding, 2 by default; `None` if there is no such embedding.
    pub token_types: Option<&'static str>,
    /// Epsilon of every layer norm.
    pub norm_epsilon: Option<&'static str>,
    /// Its value without such a key.
    pub default_norm_epsilon: f64,
    /// Activation of the feed-forward layer, `gelu` by default.
    pub activation: &'static str,
}

/// Modules of the embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingNames {
    /// Word embedding, `[V, E]`.
    pub words: &'static str,
    /// Position embedding, `[positions, E]`; `None` if positions are rotary.
    pub positions: Option<&'static str>,
    /// Token type embedding, `[types, E]`, of which LoRB uses row 0; `None` if there is none.
    pub types: Option<&'static str>,
    /// Layer norm of the sum.
    pub norm: &'static str,
    /// Linear layer from the width E of the embeddings to H, if the two differ.
    pub projection: Option<&'static str>,
}

/// A linear layer of every encoder layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearName {
    /// Module within the layer.
    pub path: &'static str,
    /// Its usual name in PEFT's `target_modules`: a suffix of the path, after a dot.
    pub peft: &'static str,
}

/// Modules within an encoder layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerNames {
    /// The attention module, which a prefix belongs to.
    pub attention: &'static str,
    /// Query projection, `[H, H]`. If query, key and value have the same name, they are one layer, `[3H, H]`.
    pub query: LinearName,
    /// Key projection, `[H, H]`.
    pub key: LinearName,
    /// Value projection, `[H, H]`.
    pub value: LinearName,
    /// Output projection of the attention, `[H, H]`.
    pub attention_output: LinearName,
    /// Name of LoRB's bottleneck after that projection; the base has no such module.
    pub attention_bottleneck: &'static str,
    /// Layer norm after the attention, or before it; see [`Block`].
    pub attention_norm: &'static str,
    /// First feed-forward layer, `[I, H]`, or `[2I, H]` with a gate.
    pub intermediate: LinearName,
    /// Second feed-forward layer, `[H, I]`.
    pub output: LinearName,
    /// Name of LoRB's bottleneck after that layer; the base has no such module.
    pub output_bottleneck: &'static str,
    /// Layer norm after the feed-forward layers, or before them.
    pub output_norm: &'static str,
}

/// The masked-language-model head: `softmax(E LayerNorm(gelu(D x + d)) + e)`, with E the word embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaskedHeadNames {
    /// The linear layer D, `[E, H]`.
    pub dense: &'static str,
    /// The layer norm.
    pub norm: &'static str,
    /// The tensor e, `[V]`.
    pub bias: &'static str,
}

/// The tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokenizer {
    /// The model behind a vocabulary file.
    pub kind: TokenizerKind,
    /// Padding.
    pub padding: &'static str,
    /// An unknown word.
    pub unknown: &'static str,
    /// Start of a text; the score head reads its last hidden state.
    pub start: &'static str,
    /// End of a text.
    pub end: &'static str,
    /// A masked token.
    pub mask: &'static str,
}

/// The model behind a tokenizer's vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerKind {
    /// WordPiece: greedy longest match, continued with `##`; `vocab.txt` has one piece per line.
    WordPiece,
    /// Any; only `tokenizer.json` has it whole.
    Json,
}

impl Architecture {
    /// The architecture of a `model_type`.
    #[must_use]
    pub fn of_model_type(model_type: &str) -> Option<&'static Self> {
        ARCHITECTURES.into_iter().find(|known| known.model_types.contains(&model_type))
    }

    /// The architecture of a class of Transformers, such as `BertForMaskedLM`.
    #[must_use]
    pub fn of_class(class: &str) -> Option<&'static Self> {
        // Another architecture's prefix may begin with the same letters.
        let rest = |prefix: &&str| class.strip_prefix(*prefix);
        let whole = |rest: &str| {
            ["Model", "For", "PreTrainedModel", "LMHeadModel"]
                .iter()
                .any(|end| rest.starts_with(end))
        };
        ARCHITECTURES.into_iter().find(|known| known.classes.iter().filter_map(rest).any(whole))
    }

    /// Why a `model_type` is not supported.
    pub(super) fn reason(model_type: &str) -> &'static str {
        let found = UNSUPPORTED.iter().find(|(types, _)| types.contains(&model_type));
        found.map_or("LoRB does not support this architecture", |(_, why)| why)
    }

    /// The supported values of `model_type`, quoted, for messages.
    #[must_use]
    pub fn known_model_types() -> String {
        let types = ARCHITECTURES.iter().flat_map(|known| known.model_types);
        types.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or ")
    }

    /// Name of a module of an encoder layer, such as `encoder.layer.0.output.dense`.
    #[must_use]
    pub fn module(&self, layer: usize, path: &str) -> String {
        format!("{}.{layer}.{path}", self.layers)
    }

    /// Layer and path of a name, the inverse of [`module`](Self::module); `None` outside the layers.
    #[must_use]
    pub fn split<'a>(&self, name: &'a str) -> Option<(usize, &'a str)> {
        let (layer, path) = name.strip_prefix(self.layers)?.strip_prefix('.')?.split_once('.')?;
        // `parse` would also accept "+1" and "01", which do not name a layer.
        let index = layer.parse().ok().filter(|index: &usize| index.to_string() == layer)?;
        Some((index, path))
    }

    /// The linear layers of an encoder layer, in order of computation.
    #[must_use]
    pub fn linears(&self) -> Vec<LinearName> {
        let LayerNames { query, key, value, attention_output, intermediate, output, .. } =
            self.layer;
        let mut all = vec![query, key, value, attention_output, intermediate, output];
        all.dedup();
        all
    }

    /// Whether query, key and value are one linear layer.
    #[must_use]
    pub fn joins_projections(&self) -> bool {
        self.layer.query == self.layer.value
    }

    /// Whether the first feed-forward layer computes a gate too.
    #[must_use]
    pub fn has_gate(&self) -> bool {
        matches!(self.block, Block::PreNorm { .. })
    }

    /// Whether linear layers and layer norms have biases.
    #[must_use]
    pub fn has_biases(&self) -> bool {
        self.block == Block::PostNorm
    }

    /// The layer norm after the last layer, if there is one.
    #[must_use]
    pub fn last_norm(&self) -> Option<&'static str> {
        match self.block {
            Block::PostNorm => None,
            Block::PreNorm { last_norm } => Some(last_norm),
        }
    }

    /// Whether a layer (from 0) has the layer norm of the attention.
    #[must_use]
    pub fn has_attention_norm(&self, layer: usize) -> bool {
        self.block == Block::PostNorm || layer > 0
    }

    /// The name of a module or tensor without [`attribute`](Self::attribute).
    #[must_use]
    pub fn without_attribute<'a>(&self, name: &'a str) -> &'a str {
        let rest = name.strip_prefix(self.attribute).and_then(|rest| rest.strip_prefix('.'));
        rest.unwrap_or(name)
    }

    /// A tensor's name with current suffixes.
    pub(super) fn current_name(&self, name: &str) -> String {
        for (old, new) in self.renamed {
            if let Some(head) = name.strip_suffix(old) {
                return format!("{head}{new}");
            }
        }
        name.to_owned()
    }

    /// Whether a tensor with this name is part of the encoder, known or unknown.
    pub(super) fn is_of_encoder(&self, name: &str) -> bool {
        let below = |root: &str| name.strip_prefix(root).is_some_and(|rest| rest.starts_with('.'));
        self.roots.iter().any(|root| below(root)) && !self.buffers.contains(&name)
    }

    /// Whether a tensor is the weight of a linear layer, which may have lower precision.
    pub(super) fn is_linear(&self, name: &str, shape: &[usize]) -> bool {
        self.split(name).is_some() && name.ends_with(".weight") && shape.len() == 2
    }

    /// Whether a file may store a tensor in int8 with a scale per row: linear weights and the word embeddings.
    pub(super) fn has_scales(&self, name: &str, shape: &[usize]) -> bool {
        self.is_linear(name, shape) || name.strip_suffix(".weight") == Some(self.embeddings.words)
    }

    /// The name of the layer list in PEFT's `layers_pattern`.
    #[must_use]
    pub fn layers_pattern(&self) -> &'static str {
        self.layers.rsplit('.').next().unwrap_or(self.layers)
    }
}

impl std::fmt::Debug for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
