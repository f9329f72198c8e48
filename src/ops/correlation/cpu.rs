//! The correlation term on the CPU: composed, because nearly all of it is one matrix product.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::{Correlation, CorrelationForward, CorrelationKernels, composed};

impl Correlation for Flex {
    fn correlation(cls: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::correlation::<Self>(cls).value
    }
}

impl CorrelationKernels for Flex {
    fn correlation_forward(cls: FloatTensor<Self>) -> CorrelationForward<Self> {
        composed::correlation(cls)
    }

    fn correlation_backward(
        g: FloatTensor<Self>,
        saved: CorrelationForward<Self>,
    ) -> FloatTensor<Self> {
        composed::correlation_backward(g, saved)
    }
}
