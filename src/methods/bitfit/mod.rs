//! BitFit (Ben Zaken et al. 2021, arXiv 2106.10199): every bias of the encoder, including those of layer norms.

use crate::base::BertConfig;
use crate::methods::MethodInfo;
use crate::model::{BaseTensor, ModelError, TuningMethod};

/// BitFit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitFit;

impl TuningMethod for BitFit {
    fn name(&self) -> &'static str {
        "bitfit"
    }

    fn validate(&self, base: &BertConfig) -> Result<(), ModelError> {
        let architecture = base.architecture;
        if architecture.has_biases() {
            return Ok(());
        }
        let why = "it has no biases";
        Err(ModelError::Unsuited { method: self.name(), architecture: architecture.name, why })
    }

    fn trains(&self, tensor: BaseTensor) -> bool {
        tensor.is_bias
    }
}

/// The method's line in the registry.
pub static INFO: MethodInfo = MethodInfo {
    name: "bitfit",
    label: "BitFit",
    help: "the biases of the encoder",
    build: |_| Ok(BitFit.into()),
    ..MethodInfo::PLAIN
};
