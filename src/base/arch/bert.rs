//! BERT (Devlin et al. 2018, arXiv 1810.04805), with the names of Transformers' `BertModel`.

use super::{
    Architecture, Block, ConfigKeys, EmbeddingNames, LayerNames, LinearName, MaskedHeadNames,
    Tokenizer, TokenizerKind,
};

/// BERT.
pub static BERT: Architecture = Architecture {
    name: "BERT",
    model_types: &["bert"],
    classes: &["Bert"],
    keys: ConfigKeys {
        vocab_size: "vocab_size",
        embedding_size: None,
        hidden_size: "hidden_size",
        layers: "num_hidden_layers",
        heads: "num_attention_heads",
        intermediate_size: "intermediate_size",
        positions: "max_position_embeddings",
        default_positions: 512,
        token_types: Some("type_vocab_size"),
        norm_epsilon: Some("layer_norm_eps"),
        default_norm_epsilon: 1e-12,
        activation: "hidden_act",
    },
    block: Block::PostNorm,
    attribute: "bert",
    roots: &["embeddings", "encoder"],
    buffers: &["embeddings.position_ids", "embeddings.token_type_ids"],
    // TensorFlow's names.
    renamed: &[("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")],
    first_position: 0,
    embeddings: EmbeddingNames {
        words: "embeddings.word_embeddings",
        positions: Some("embeddings.position_embeddings"),
        types: Some("embeddings.token_type_embeddings"),
        norm: "embeddings.LayerNorm",
        projection: None,
    },
    layers: "encoder.layer",
    layer: LayerNames {
        attention: "attention.self",
        query: LinearName { path: "attention.self.query", peft: "query" },
        key: LinearName { path: "attention.self.key", peft: "key" },
        value: LinearName { path: "attention.self.value", peft: "value" },
        attention_output: LinearName {
            path: "attention.output.dense",
            peft: "attention.output.dense",
        },
        attention_bottleneck: "attention.output.adapter",
        attention_norm: "attention.output.LayerNorm",
        intermediate: LinearName { path: "intermediate.dense", peft: "intermediate.dense" },
        output: LinearName { path: "output.dense", peft: "output.dense" },
        output_bottleneck: "output.adapter",
        output_norm: "output.LayerNorm",
    },
    pooler: Some("pooler.dense"),
    masked_head: MaskedHeadNames {
        dense: "cls.predictions.transform.dense",
        norm: "cls.predictions.transform.LayerNorm",
        bias: "cls.predictions.bias",
    },
    tokenizer: TOKENIZER,
};

/// BERT's WordPiece, also used by DistilBERT.
pub(super) const TOKENIZER: Tokenizer = Tokenizer {
    kind: TokenizerKind::WordPiece,
    padding: "[PAD]",
    unknown: "[UNK]",
    start: "[CLS]",
    end: "[SEP]",
    mask: "[MASK]",
};
