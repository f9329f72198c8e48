//! ModernBERT (Warner et al. 2024, arXiv 2412.13663) and the Ettin encoders (arXiv 2507.11412), with the names of
//! Transformers' `ModernBertModel`. Every third layer attends to the whole text, the others only to near tokens.

use super::bert::{BERT, TOKENIZER};
use super::{
    Architecture, Block, ConfigKeys, EmbeddingNames, LayerNames, LinearName, MaskedHeadNames,
    Tokenizer, TokenizerKind,
};

/// Query, key and value.
const PROJECTIONS: LinearName = LinearName { path: "attn.Wqkv", peft: "Wqkv" };

/// ModernBERT.
pub static MODERNBERT: Architecture = Architecture {
    name: "ModernBERT",
    model_types: &["modernbert"],
    classes: &["ModernBert"],
    keys: ConfigKeys {
        default_positions: 8192,
        token_types: None,
        norm_epsilon: Some("norm_eps"),
        default_norm_epsilon: 1e-5,
        activation: "hidden_activation",
        ..BERT.keys
    },
    block: Block::PreNorm { last_norm: "final_norm" },
    attribute: "model",
    roots: &["embeddings", "layers", "final_norm"],
    buffers: &[],
    renamed: &[],
    first_position: 0,
    embeddings: EmbeddingNames {
        words: "embeddings.tok_embeddings",
        positions: None,
        types: None,
        norm: "embeddings.norm",
        projection: None,
    },
    layers: "layers",
    layer: LayerNames {
        attention: "attn",
        query: PROJECTIONS,
        key: PROJECTIONS,
        value: PROJECTIONS,
        attention_output: LinearName { path: "attn.Wo", peft: "attn.Wo" },
        attention_bottleneck: "attn.adapter",
        attention_norm: "attn_norm",
        intermediate: LinearName { path: "mlp.Wi", peft: "Wi" },
        output: LinearName { path: "mlp.Wo", peft: "mlp.Wo" },
        output_bottleneck: "mlp.adapter",
        output_norm: "mlp_norm",
    },
    pooler: None,
    masked_head: MaskedHeadNames { dense: "head.dense", norm: "head.norm", bias: "decoder.bias" },
    tokenizer: Tokenizer { kind: TokenizerKind::Json, ..TOKENIZER },
};
