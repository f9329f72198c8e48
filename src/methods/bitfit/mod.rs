//! BitFit (Ben Zaken et al. 2021, arXiv 2106.10199): every bias of the encoder, including those of layer norms.

use crate::methods::MethodInfo;
use crate::model::{BaseTensor, TuningMethod};

/// BitFit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitFit;

impl TuningMethod for BitFit {
    fn name(&self) -> &'static str {
        "bitfit"
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
