//! RoBERTa (Liu et al. 2019, arXiv 1907.11692), XLM-RoBERTa (arXiv 1911.02116) and CamemBERT (arXiv 1911.03894), with the
//! names of Transformers' `RobertaModel`: BERT with other tokens, whose positions start after the padding id.

use super::bert::BERT;
use super::{Architecture, MaskedHeadNames, Tokenizer, TokenizerKind};

/// RoBERTa.
pub static ROBERTA: Architecture = Architecture {
    name: "RoBERTa",
    model_types: &["roberta", "xlm-roberta", "camembert"],
    classes: &["Roberta", "XLMRoberta", "Camembert"],
    attribute: "roberta",
    renamed: &[],
    // Row 1 is that of the padding id.
    first_position: 2,
    masked_head: MaskedHeadNames {
        dense: "lm_head.dense",
        norm: "lm_head.layer_norm",
        bias: "lm_head.bias",
    },
    tokenizer: Tokenizer {
        kind: TokenizerKind::Json,
        padding: "<pad>",
        unknown: "<unk>",
        start: "<s>",
        end: "</s>",
        mask: "<mask>",
    },
    ..BERT
};
