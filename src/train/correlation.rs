//! The correlation term: hidden dimensions of `[CLS]` shall not say the same.

use burn::tensor::Tensor;

/// Smallest standard deviation of a dimension that is divided by.
const MIN_STD: f64 = 1e-5;

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
    let degrees = (n - 1) as f64;
    let centred = cls.clone() - cls.mean_dim(0);
    // The variance is held instead of its root: at a constant column the root has no derivative.
    let variance = centred.clone().square().sum_dim(0).div_scalar(degrees);
    let z = centred / variance.clamp_min(MIN_STD * MIN_STD).sqrt();
    let r = z.clone().transpose().matmul(z).div_scalar(degrees);
    let off = r.clone() - Tensor::eye(d, &r.device().inner());
    let pairs = (d * (d - 1)) as f64;
    Some(off.square().sum().div_scalar(pairs).clamp_min(f64::from(f32::MIN_POSITIVE)).sqrt())
}
