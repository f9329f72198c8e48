//! DistilBERT (Sanh et al. 2019, arXiv 1910.01108), with the names of Transformers' `DistilBertModel`: BERT
//! without token types and pooler.

use super::bert::TOKENIZER;
use super::{
    Architecture, Block, ConfigKeys, EmbeddingNames, LayerNames, LinearName, MaskedHeadNames,
};

/// DistilBERT.
pub static DISTILBERT: Architecture = Architecture {
    name: "DistilBERT",
    model_types: &["distilbert"],
    classes: &["DistilBert"],
    keys: ConfigKeys {
        vocab_size: "vocab_size",
        embedding_size: None,
        hidden_size: "dim",
        layers: "n_layers",
        heads: "n_heads",
        intermediate_size: "hidden_dim",
        positions: "max_position_embeddings",
        default_positions: 512,
        token_types: None,
        norm_epsilon: None,
        default_norm_epsilon: 1e-12,
        activation: "activation",
    },
    block: Block::PostNorm,
    attribute: "distilbert",
    roots: &["embeddings", "transformer"],
    buffers: &["embeddings.position_ids"],
    renamed: &[],
    first_position: 0,
    embeddings: EmbeddingNames {
        words: "embeddings.word_embeddings",
        positions: Some("embeddings.position_embeddings"),
        types: None,
        norm: "embeddings.LayerNorm",
        projection: None,
    },
    layers: "transformer.layer",
    layer: LayerNames {
        attention: "attention",
        query: LinearName { path: "attention.q_lin", peft: "q_lin" },
        key: LinearName { path: "attention.k_lin", peft: "k_lin" },
        value: LinearName { path: "attention.v_lin", peft: "v_lin" },
        attention_output: LinearName { path: "attention.out_lin", peft: "out_lin" },
        attention_bottleneck: "attention.adapter",
        attention_norm: "sa_layer_norm",
        intermediate: LinearName { path: "ffn.lin1", peft: "lin1" },
        output: LinearName { path: "ffn.lin2", peft: "lin2" },
        output_bottleneck: "ffn.adapter",
        output_norm: "output_layer_norm",
    },
    pooler: None,
    masked_head: MaskedHeadNames {
        dense: "vocab_transform",
        norm: "vocab_layer_norm",
        bias: "vocab_projector.bias",
    },
    tokenizer: TOKENIZER,
};
