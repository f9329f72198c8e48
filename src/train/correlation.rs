//! The correlation term: hidden dimensions of `[CLS]` shall not say the same.

use burn::tensor::Tensor;

use crate::ops;

/// The root mean square correlation between the dimensions of `cls [n, d]`, one row per distinct
/// text of the batch:
///
/// ```text
/// z   = (cls - mean) / max(std, 1e-5)     by column, std with n - 1
/// R   = z^T z / (n - 1)
/// cor = || R - I ||_F / sqrt(d (d - 1))
/// ```
///
/// The term is `|| R - I ||_F` in Yu et al., arXiv 2309.15223, after Zhang et al., arXiv
/// 2205.07208. The division makes one weight mean the same at every width d. The term is not 0 at
/// its best: n independent rows of independent columns give about `1 / sqrt(n - 1)`. Hence batches
/// of few texts have a larger one, whatever the model does.
///
/// `None` where n or d is below 2: the term is 0 there. Returned as `[1]`.
#[must_use]
pub fn correlation(cls: Tensor<2>) -> Option<Tensor<1>> {
    let [n, d] = cls.dims();
    if n < 2 || d < 2 {
        return None;
    }
    Some(ops::correlation(cls))
}
