//! Full fine-tuning: every tensor of the encoder, as in RescoreBERT (Xu et al. 2022, arXiv 2202.01094).

use crate::methods::MethodInfo;
use crate::model::{BaseTensor, TuningMethod};

/// Full fine-tuning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full;

impl TuningMethod for Full {
    fn name(&self) -> &'static str {
        "full"
    }

    fn trains(&self, _tensor: BaseTensor) -> bool {
        true
    }
}

/// The method's line in the registry.
pub static INFO: MethodInfo = MethodInfo {
    name: "full",
    label: "Full fine-tuning",
    help: "the whole encoder",
    build: |_| Ok(Full.into()),
    ..MethodInfo::PLAIN
};
