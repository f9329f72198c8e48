//! AdamW on all parameters, with clipping of the gradient.

mod cpu;
mod settings;
mod wgsl;

#[cfg(test)]
mod composed;
#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::record::{self, Cost, Operation, Sample};
pub use settings::{AdamW, AdamWStep};
pub(in crate::ops) use wgsl::cases;

/// The state that a step updates, `[P]` each.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct OptimizerState<B: Backend> {
    /// The parameters.
    pub parameters: FloatTensor<B>,
    /// Moving average of the gradient.
    pub first: FloatTensor<B>,
    /// Moving average of its square.
    pub second: FloatTensor<B>,
}

/// The result of a step.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct OptimizerUpdate<B: Backend> {
    /// The new state; undefined if the norm of the gradient is not finite.
    #[extension_type]
    pub state: OptimizerState<B>,
    /// Norm of the gradient before clipping, `[1]`.
    pub norm: FloatTensor<B>,
}

/// The optimiser.
#[backend_extension(Cube, Flex)]
pub(crate) trait AdamWKernels: Backend {
    /// One step along the gradient `g [P]`.
    fn adamw(
        #[extension_type] state: OptimizerState<Self>,
        g: FloatTensor<Self>,
        step: AdamWStep,
    ) -> OptimizerUpdate<Self>;

    /// Partial sums of the squares of `x [P]`, `[1 or more]`.
    fn square_sums(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The state that [`adamw`] updates, `[P]` each.
#[derive(Clone, Debug)]
pub struct AdamWState {
    /// The parameters.
    pub parameters: Tensor<1>,
    /// Moving average of the gradient.
    pub first: Tensor<1>,
    /// Moving average of its square.
    pub second: Tensor<1>,
}

/// One step along the gradient `g [P]`; returns the new state, and the norm of the gradient before clipping,
/// `[1]`. The state is undefined if the norm of the gradient is not finite.
pub fn adamw(state: AdamWState, g: Tensor<1>, step: AdamWStep) -> (AdamWState, Tensor<1>) {
    let state = OptimizerState {
        parameters: state.parameters.into_dispatch(),
        first: state.first.into_dispatch(),
        second: state.second.into_dispatch(),
    };
    record::run(
        (state, g.into_dispatch()),
        |(_, g)| {
            let parameters = g.shape().num_elements();
            let cost = Cost::new(0, 8 * parameters);
            Operation::new("clipping, AdamW", format!("[{parameters}]"), cost).not_composable()
        },
        move |(state, g)| {
            let OptimizerUpdate { state, norm } = Dispatch::adamw(state, g, step.clone());
            let state = AdamWState {
                parameters: Tensor::from_dispatch(state.parameters),
                first: Tensor::from_dispatch(state.first),
                second: Tensor::from_dispatch(state.second),
            };
            (state, Tensor::from_dispatch(norm))
        },
    )
}

/// Partial sums of the squares of `x [P]`. How many depends on the device; they add up to the sum of all squares. A
/// non-finite element makes its sum non-finite. The order of the sums is fixed, so equal inputs give equal results.
///
/// The last sum is left to the reader: of burn's full sums, one uses float atomics, which not all GPUs support, and the
/// other a single thread.
#[must_use]
pub fn square_sums(x: Tensor<1>) -> Tensor<1> {
    record::run(
        x.into_dispatch(),
        |x| {
            let elements = x.shape().num_elements();
            Operation::new("sum of squares", format!("[{elements}]"), Cost::new(0, elements))
                .not_composable()
        },
        |x| -> Tensor<1> { Tensor::from_dispatch(Dispatch::square_sums(x)) },
    )
}

impl Sample for (AdamWState, Tensor<1>) {
    fn sample(self) -> Tensor<2> {
        self.0.parameters.sample()
    }
}
