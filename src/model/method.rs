//! The interface between a tuning method, the model and the trainer. The methods are in [`crate::methods`].

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::Value;

use super::adapter::Adapter;
use super::error::ModelError;
use super::hook::{AttentionHook, LinearHook, StepHook};
use super::layout::{Layout, Slots};
use super::target::Target;
use super::trainable::TrainableTensors;
use crate::base::{Architecture, BertConfig};

/// A tuning method with its settings: which parameters it trains, and what they do in the forward pass.
///
/// Every method also trains the score head; the model adds that itself. Most functions have a default that
/// does nothing, so a method states only what it changes.
pub trait TuningMethod: Any + fmt::Debug + Send + Sync {
    /// The name in flags, files and tables.
    fn name(&self) -> &'static str;

    /// Everything that a run and its continuation from a checkpoint must have in common, by name.
    fn settings(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// The same for display: names and values, with the module names of an architecture.
    fn describe(&self, _architecture: &Architecture) -> Vec<(&'static str, String)> {
        self.settings().into_iter().map(|(name, value)| (name, value.to_string())).collect()
    }

    /// Validates all settings against the base.
    ///
    /// # Errors
    /// [`ModelError::Lora`] or [`ModelError::Method`] names the setting and its valid range.
    fn validate(&self, _base: &BertConfig) -> Result<(), ModelError> {
        Ok(())
    }

    /// Whether a tensor of the base is trained itself. It then starts at the base's values, and the model
    /// uses the trained tensor in place of the frozen one.
    fn trains(&self, _tensor: BaseTensor) -> bool {
        false
    }

    /// Adds this method's parameters in a linear layer, or in several that run as one product, and returns
    /// what they do there.
    fn linear(
        &self,
        _site: &LinearSite<'_>,
        _slots: &mut Slots<'_>,
    ) -> Option<Arc<dyn LinearHook>> {
        None
    }

    /// Adds this method's parameters in the attention of a layer, and returns what they do there. `module`
    /// is the attention's name.
    fn attention(&self, _module: &str, _slots: &mut Slots<'_>) -> Option<Arc<dyn AttentionHook>> {
        None
    }

    /// Virtual tokens before every text, P: they take the first P positions.
    fn virtual_tokens(&self) -> usize {
        0
    }

    /// Probability that an input of an adapted layer is dropped in training; see
    /// [`Context::dropout`](super::Context::dropout).
    fn dropout(&self) -> f32 {
        0.0
    }

    /// A term `[1]` that training adds to the loss, with its weight.
    fn penalty(&self, _tensors: &TrainableTensors) -> Option<(Tensor<1>, f64)> {
        None
    }

    /// What happens after every step of the optimiser, in a run of `steps`.
    fn step_hook(&self, _layout: &Layout, _steps: usize) -> Option<Box<dyn StepHook>> {
        None
    }

    /// The adapter to save after training, if it differs from the trained one.
    fn finish(&self, _adapter: &Adapter) -> Option<Adapter> {
        None
    }

    /// The method of the adapter that [`finish`](Self::finish) returns, if it is another one.
    fn finished_method(&self) -> Option<Method> {
        None
    }
}

/// A tensor of the base that a method may train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseTensor {
    /// The kind of module that it is part of.
    pub part: Part,
    /// Whether it is a bias, and not a weight.
    pub is_bias: bool,
}

/// A kind of module of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A table of embeddings.
    Embedding,
    /// A layer norm.
    Norm,
    /// A linear layer.
    Linear(Target),
}

/// A linear layer of the base, or several that run as one product.
#[derive(Clone, Copy, Debug)]
pub struct LinearSite<'a> {
    /// Shape of the base.
    pub base: &'a BertConfig,
    /// The encoder layer, counted from 0.
    pub layer: usize,
    /// The linear layers, in the order of the product's outputs.
    pub targets: &'a [Target],
}

impl LinearSite<'_> {
    /// Name of a module of the base.
    #[must_use]
    pub fn module(&self, target: Target) -> String {
        target.module(self.base.architecture, self.layer)
    }

    /// Name of the module of a bottleneck after this layer; `None` if it is not an output layer.
    #[must_use]
    pub fn bottleneck(&self) -> Option<String> {
        let architecture = self.base.architecture;
        let path = match self.targets {
            [Target::AttentionOutput] => architecture.layer.attention_bottleneck,
            [Target::Output] => architecture.layer.output_bottleneck,
            _ => return None,
        };
        Some(architecture.module(self.layer, path))
    }
}

/// A tuning method, shared.
#[derive(Clone)]
pub struct Method(Arc<dyn TuningMethod>);

impl Method {
    /// The settings as type `M`, if the method has that type.
    #[must_use]
    pub fn downcast<M: TuningMethod>(&self) -> Option<&M> {
        let method: &dyn Any = &*self.0;
        method.downcast_ref()
    }
}

impl<M: TuningMethod> From<M> for Method {
    fn from(method: M) -> Self {
        Self(Arc::new(method))
    }
}

impl Deref for Method {
    type Target = dyn TuningMethod;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Method {
    /// By name and settings.
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.settings() == other.settings()
    }
}
