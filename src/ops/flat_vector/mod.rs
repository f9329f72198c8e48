//! Flat vectors: slicing and concatenation.

mod cpu;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind,
    ExtensionType, backend_extension,
};
use burn::tensor::{Slice, Tensor};

use super::Kernels;
use super::differentiate::{frozen, untracked};
use super::record::{self, Cost, Operation};
pub(in crate::ops) use wgsl::{cases, owned};

/// Vectors, and the offset of each in a flat one.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<B: Backend>(pub Vec<(usize, FloatTensor<B>)>);

/// burn can derive this only for structs with a fixed number of tensors.
impl<B: Backend> ExtensionType<B> for Pieces<B> {
    type Target = Pieces<Dispatch>;

    fn map_to_dispatch<F>(self, map_kind: F, autodiff: DispatchAutodiffContext) -> Pieces<Dispatch>
    where
        F: Fn(BackendTensor<B>) -> DispatchTensorKind,
    {
        let wrap =
            |tensor| DispatchTensor { kind: map_kind(BackendTensor::Float(tensor)), autodiff };
        Pieces(self.0.into_iter().map(|(at, tensor)| (at, wrap(tensor))).collect())
    }

    fn map_from_dispatch<F>(target: Pieces<Dispatch>, unwrap_kind: F) -> Self
    where
        F: Fn(DispatchTensor) -> BackendTensor<B>,
    {
        Self(target.0.into_iter().map(|(at, tensor)| (at, unwrap_kind(tensor).float())).collect())
    }

    fn routing_tensor(target: &Pieces<Dispatch>) -> Option<&DispatchTensor> {
        target.0.first().map(|(_, tensor)| tensor)
    }

    fn routing_float_tensor(target: &Pieces<Dispatch>) -> Option<&DispatchTensor> {
        Self::routing_tensor(target)
    }

    fn autodiff_context(target: &Pieces<Dispatch>) -> DispatchAutodiffContext {
        let contexts = target.0.iter().map(|(_, tensor)| tensor.autodiff);
        contexts.fold(DispatchAutodiffContext::Disabled, DispatchAutodiffContext::merge)
    }
}

/// Slicing.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait FlatVector: Backend {
    /// Elements `offset..offset + len` of `flat [P]`, without a copy if the device supports that. Not differentiable
    /// with respect to `flat`.
    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self>;
}

/// Concatenation.
#[backend_extension(Cube, Flex)]
pub(crate) trait FlatVectorKernels: Backend {
    /// Writes every piece to its offset in `flat [P]`.
    fn pack(flat: FloatTensor<Self>, #[extension_type] pieces: Pieces<Self>) -> FloatTensor<Self>;
}

/// Elements `offset..offset + len`, composed of burn's operations.
fn composed_cut<B: Backend>(flat: FloatTensor<B>, offset: usize, len: usize) -> FloatTensor<B> {
    B::float_slice(flat, &[Slice::from(offset..offset + len)])
}

impl<B: Kernels, C: CheckpointStrategy> FlatVector for Autodiff<B, C> {
    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self> {
        // Track each window separately: the gradient of the whole vector would be mostly zeros for each window.
        let [flat] = frozen::<B, C, _>([flat]);
        untracked::<B, C>(B::cut(flat, offset, len))
    }
}

/// Elements `offset..offset + len` of `flat`, without a copy if the device supports that. Not differentiable with
/// respect to `flat`.
pub fn cut(flat: &Tensor<1>, offset: usize, len: usize) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::cut(flat.clone().into_dispatch(), offset, len))
}

/// One vector of `len` elements from pieces and their offsets, which cover it without overlap.
///
/// # Panics
/// If there are no pieces.
pub fn join(pieces: &[(usize, Tensor<1>)], len: usize) -> Tensor<1> {
    let flat = Tensor::<1>::empty([len], &pieces[0].1.device());
    let pieces = pieces.iter().map(|(at, piece)| (*at, piece.clone().into_dispatch())).collect();
    record::run(
        (flat.into_dispatch(), Pieces(pieces)),
        move |_| {
            let cost = Cost::new(0, 2 * len);
            Operation::new("joined vectors", format!("[{len}]"), cost).not_composable()
        },
        |(flat, pieces)| -> Tensor<1> { Tensor::from_dispatch(Dispatch::pack(flat, pieces)) },
    )
}

/// Concatenates vectors, to read them back at once.
///
/// # Panics
/// If there are none.
pub fn end_to_end(pieces: Vec<Tensor<1>>) -> Tensor<1> {
    let mut len = 0;
    let mut place = |piece: Tensor<1>| {
        let at = len;
        len += piece.dims()[0];
        (at, piece)
    };
    let pieces: Vec<_> = pieces.into_iter().map(&mut place).collect();
    join(&pieces, len)
}
