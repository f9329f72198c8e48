//! Dropout: elements become zero at random, and the others grow so that the mean is the same. Srivastava et al., JMLR
//! 15, 2014.
//!
//! The mask is a function of its [`DropoutMask`] and an element's place, so all devices compute the same one, the
//! gradient computes it again, and it is never stored or copied to a device.

mod cpu;
mod philox;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, TensorData};

use super::differentiate::backward_step;
use super::record::{Cost, Operation};
use super::{Kernels, record};
use philox::philox;
pub(in crate::ops) use wgsl::cases;

/// Which elements of a matrix are dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutMask {
    /// The rate, in `[0, 1)`.
    pub probability: f32,
    /// Masks with different seeds are independent.
    pub seed: u64,
    /// So are those of different layers,
    pub layer: u32,
    /// and of different places within a layer.
    pub place: u32,
}

impl DropoutMask {
    /// The lowest random word of an element that is kept.
    fn threshold(&self) -> u32 {
        (f64::from(self.probability) * 2f64.powi(32)) as u32
    }

    /// The factor of kept elements.
    fn scale(&self) -> f32 {
        1.0 / (1.0 - self.probability)
    }

    /// The low and the high word of the seed.
    fn key(&self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    /// The random words of elements `4 quad` to `4 quad + 3`.
    fn words(&self, quad: usize) -> [u32; 4] {
        philox([quad as u32, self.layer, self.place, 0], self.key())
    }

    /// Drops elements of a part of a matrix, which starts at its element `first`.
    fn apply(&self, part: &mut [f32], first: usize) {
        let (threshold, scale) = (self.threshold(), self.scale());
        let mut words = self.words(first / 4);
        for (i, value) in (first..).zip(part) {
            if i % 4 == 0 {
                words = self.words(i / 4);
            }
            *value = if words[i % 4] < threshold { 0.0 } else { scale * *value };
        }
    }
}

/// Dropout.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait Dropout: Backend {
    /// `x [T, K]` with dropped elements. The operation is its own gradient.
    fn dropout(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self>;
}

fn operation<B: Backend>(name: &'static str, x: &FloatTensor<B>) -> Operation {
    let [rows, columns] = x.shape().dims();
    Operation::new(name, format!("[{rows}, {columns}]"), Cost::new(0, 2 * rows * columns))
}

backward_step!(DropoutStep<1>, DropoutMask, |g, mask, [to], grads| {
    if let Some(to) = to {
        let describe = |g: &_| operation::<B>("dropout, backward", g);
        grads.register::<B>(to.id, record::run(g, describe, move |g| B::dropout(g, mask)));
    }
});

impl<B: Kernels, C: CheckpointStrategy> Dropout for Autodiff<B, C> {
    fn dropout(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let y = B::dropout(x.into_primitive(), mask);
        match DropoutStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(mask, y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }
}

/// A product with the mask, which is computed on the host.
fn composed_dropout<B: Backend>(x: FloatTensor<B>, mask: DropoutMask) -> FloatTensor<B> {
    let shape = x.shape();
    let mut factors = vec![1.0; shape.num_elements()];
    mask.apply(&mut factors, 0);
    let data = TensorData::new(factors, shape).convert_dtype(x.dtype());
    B::float_mul(x.clone(), B::float_from_data(data, &x.device()))
}

/// `x [T, K]` with the elements that `mask` selects set to zero, and the others divided by `1 - probability`.
#[must_use]
pub fn dropout(x: Tensor<2>, mask: DropoutMask) -> Tensor<2> {
    let describe = |x: &_| operation::<Dispatch>("dropout", x);
    record::run(x.into_dispatch(), describe, move |x| -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::dropout(x, mask))
    })
}
