//! The loss over lists of hypotheses.

mod cost;
mod cpu;
mod lists;
mod objective;
mod step;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use super::record;
pub use lists::Lists;
pub use objective::{Objective, ObjectiveInfo};
pub(in crate::ops) use wgsl::cases;

/// The result of the forward pass: the loss and its slopes.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct ListLossForward<B: Backend> {
    /// The sum of all lists' losses, `[1]`.
    pub loss: FloatTensor<B>,
    /// Its derivative with respect to the score of each hypothesis, `[L]`.
    pub slopes: FloatTensor<B>,
}

/// Inputs of the backward pass.
#[derive(Clone, Debug, ExtensionType)]
pub(crate) struct ListLossSaved<B: Backend> {
    /// See [`ListLossForward::slopes`].
    pub slopes: FloatTensor<B>,
    /// The lists.
    pub lists: Lists,
    /// Number of distinct texts, S.
    pub texts: usize,
}

/// The loss.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait ListLoss: Backend {
    /// The sum over lists, `[1]`, from the scores of their distinct texts, `[S]`; see [`Objective`].
    fn list_loss(scores: FloatTensor<Self>, lists: Lists) -> FloatTensor<Self>;
}

/// Its forward pass for training, and its gradient.
#[backend_extension(Cube, Flex)]
pub(crate) trait ListLossKernels: Backend {
    /// The loss with its slopes.
    fn list_loss_forward(scores: FloatTensor<Self>, lists: Lists) -> ListLossForward<Self>;

    /// Gradient with respect to the scores, `[S]`, from that of the loss, `g [1]`.
    fn list_loss_backward(
        g: FloatTensor<Self>,
        #[extension_type] saved: ListLossSaved<Self>,
    ) -> FloatTensor<Self>;
}

/// The sum of all lists' losses, `[1]`, from the scores of their distinct texts, `[S]`; see [`Objective`].
pub fn list_loss(scores: Tensor<1>, lists: &Lists) -> Tensor<1> {
    record::run(
        (scores.into_dispatch(), lists.clone()),
        |(scores, lists)| cost::forward::<Dispatch>(scores, lists),
        |(scores, lists)| -> Tensor<1> {
            Tensor::from_dispatch(Dispatch::list_loss(scores, lists))
        },
    )
}
