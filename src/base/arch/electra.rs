//! ELECTRA (Clark et al. 2020, arXiv 2003.10555), with the names of Transformers' `ElectraModel`: BERT whose embeddings may
//! be narrower than its layers. The discriminator was pretrained to detect replaced words; only the generator has a
//! masked-language-model head.

use super::bert::BERT;
use super::{Architecture, ConfigKeys, EmbeddingNames, MaskedHeadNames};

/// ELECTRA.
pub static ELECTRA: Architecture = Architecture {
    name: "ELECTRA",
    model_types: &["electra"],
    classes: &["Electra"],
    keys: ConfigKeys { embedding_size: Some("embedding_size"), ..BERT.keys },
    attribute: "electra",
    roots: &["embeddings", "embeddings_project", "encoder"],
    renamed: &[],
    embeddings: EmbeddingNames { projection: Some("embeddings_project"), ..BERT.embeddings },
    pooler: None,
    masked_head: MaskedHeadNames {
        dense: "generator_predictions.dense",
        norm: "generator_predictions.LayerNorm",
        bias: "generator_lm_head.bias",
    },
    ..BERT
};
