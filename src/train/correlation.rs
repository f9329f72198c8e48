//! The correlation term, which penalises correlated dimensions of `[CLS]`.

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
/// 2205.07208. With the division, a given weight means the same at every width d. The minimum of the term in
/// practice is not 0: n independent rows of independent columns give about `1 / sqrt(n - 1)`. Batches with few
/// texts therefore have a larger term, regardless of the model.
///
/// `None` if n or d is below 2, where the term is 0. Returned as `[1]`.
#[must_use]
pub fn correlation(cls: Tensor<2>) -> Option<Tensor<1>> {
    let [n, d] = cls.dims();
    if n < 2 || d < 2 {
        return None;
    }
    Some(ops::correlation(cls))
}
