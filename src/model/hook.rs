//! Where a tuning method acts: in linear layers, in attention, and after a step of the optimiser.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use burn::tensor::Tensor;

use super::encoder::{Context, Linear};
use super::error::ModelError;
use super::trainable::TrainableTensors;
use crate::ops::{Activation, Activations};

/// What a method does in a linear layer, or in several that run as one product.
pub trait LinearHook: fmt::Debug + Send + Sync {
    /// The layer's output `[T, out]` for `x [T, in]`, with the activation applied.
    fn forward(
        &self,
        linear: &Linear,
        x: Activations,
        activation: Activation,
        context: &mut Context<'_>,
    ) -> Activations;

    /// The layer's weight `[out, in]` that gives the same outputs without this hook, if there is one.
    /// Without gradients: it is for rescoring.
    fn merged(&self, _linear: &Linear, _tensors: &TrainableTensors) -> Option<Tensor<2>> {
        None
    }

    /// This layer's terms of the method's penalty, `[1]` each.
    fn penalties(&self, _tensors: &TrainableTensors) -> Vec<Tensor<1>> {
        Vec::new()
    }
}

/// What a method does in the attention of a layer.
pub trait AttentionHook: fmt::Debug + Send + Sync {
    /// Attention of all rows: `qkv [T, 3H]` to `[T, H]`.
    fn attention(&self, qkv: Tensor<2>, context: &Context<'_>) -> Tensor<2>;

    /// Attention of `[CLS]` only: `q [S, H]` and `kv [T, 2H]` to `[S, H]`.
    fn attention_cls(&self, q: Tensor<2>, kv: Tensor<2>, context: &Context<'_>) -> Tensor<2>;
}

/// What a method does after every step of the optimiser. It may keep separate tensors `[P]` between steps;
/// checkpoints store them.
pub trait StepHook: fmt::Debug + Send + Sync {
    /// The initial tensors that it keeps, concatenated, for a run with `parameters` parameters.
    fn initial_state(&self, _parameters: usize) -> Vec<f32> {
        Vec::new()
    }

    /// Changes the result of a step. `step` counts from 1.
    fn after_step<'a>(
        &'a self,
        step: usize,
        update: StepUpdate,
        gradient: &'a Tensor<1>,
    ) -> Pin<Box<dyn Future<Output = Result<StepUpdate, ModelError>> + 'a>>;

    /// The number of steps in the optimiser's moments after `step` steps of the run.
    fn moment_steps(&self, step: usize) -> usize {
        step
    }

    /// Whether an evaluation after `step` steps may be the best of the run.
    fn may_be_best(&self, _step: usize) -> bool {
        true
    }
}

/// The result of a step of the optimiser.
#[derive(Clone, Debug)]
pub struct StepUpdate {
    /// The new parameters, `[P]`.
    pub parameters: Tensor<1>,
    /// The tensors that the method keeps, `[P]` each.
    pub state: Vec<Tensor<1>>,
    /// Whether the optimiser's moments start again from zero.
    pub restart: bool,
}
