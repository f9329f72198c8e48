//! The trainable tensors on a device: views of the flat parameters, which the forward pass reads.

use burn::tensor::{Device, Gradients, Tensor};

use super::adapter::Adapter;
use super::attach::{Attached, EmbeddingTensors, LayerTensors, attach};
use super::error::ModelError;
use super::fault::{DeviceFault, FaultKind};
use super::layout::TensorId;
use super::method::{Method, TuningMethod};
use crate::base::BertConfig;
use crate::ops;

/// A part of the flat parameters.
#[derive(Clone, Debug)]
struct View {
    offset: usize,
    tensor: Tensor<1>,
}

/// An adapter's parameters on a device, ready for the encoder.
///
/// All of them are views of one flat tensor, so that an optimiser step is one operation on one buffer. The gradient has
/// the same flat order.
#[derive(Clone, Debug)]
pub struct TrainableTensors {
    views: Vec<View>,
    pub(super) embeddings: EmbeddingTensors,
    pub(super) layers: Vec<LayerTensors>,
    head: TensorId,
    /// Probability of dropping an input of an adapted layer in training.
    pub(super) dropout: f32,
    /// Virtual tokens before every text, P.
    pub(super) virtual_tokens: usize,
    /// The lowest layer with a trainable tensor; `None` if there is none above the embeddings.
    lowest: Option<usize>,
    len: usize,
}

/// The score head only.
#[derive(Debug)]
struct Bare;

impl TuningMethod for Bare {
    fn name(&self) -> &'static str {
        "bare"
    }
}

impl TrainableTensors {
    /// An adapter's parameters on `device`, without gradients: for scoring.
    #[must_use]
    pub fn new(base: &BertConfig, adapter: &Adapter, device: &Device) -> Self {
        let flat = Tensor::<1>::from_floats(adapter.parameters.as_slice(), &device.clone().inner());
        Self::untracked(base, &adapter.method, &flat)
    }

    /// Checks that a device can store an adapter's parameters, which are one buffer. Only methods that train most of the
    /// base need more than the least that WebGPU guarantees.
    ///
    /// # Errors
    /// [`ModelError::Device`] with [`FaultKind::TooManyParameters`].
    pub fn check(adapter: &Adapter, device: &Device) -> Result<(), ModelError> {
        let count = adapter.parameters.len();
        let bytes = (count * size_of::<f32>()) as u64;
        match ops::wgsl::largest_buffer(device) {
            Some(most) if bytes > most => {
                let message = format!(
                    "method {} trains {count} parameters, which need {bytes} bytes, at most {most}",
                    adapter.method.name()
                );
                let kind = FaultKind::TooManyParameters;
                Err(ModelError::Device(DeviceFault { kind, message }))
            }
            _ => Ok(()),
        }
    }

    /// No adapter, and a score head of zeros: for the bare encoder's `[CLS]`.
    #[must_use]
    pub fn bare(base: &BertConfig, device: &Device) -> Self {
        let head = Tensor::zeros([base.hidden_size + 1], &device.clone().inner());
        Self::of(base, &Bare, &head)
    }

    /// The flat parameters `flat [P]`, tracked by autodiff: for training.
    #[must_use]
    pub fn tracked(base: &BertConfig, method: &Method, flat: &Tensor<1>) -> Self {
        Self::untracked(base, method, flat).track()
    }

    /// The same tensors, tracked by autodiff from now on. Their values are shared, not copied.
    #[must_use]
    pub fn track(&self) -> Self {
        let mut tensors = self.clone();
        for view in &mut tensors.views {
            view.tensor = view.tensor.clone().autodiff().require_grad();
        }
        tensors
    }

    /// The flat parameters `flat [P]` on their own device, without gradients. The method must suit the base.
    #[must_use]
    pub fn untracked(base: &BertConfig, method: &Method, flat: &Tensor<1>) -> Self {
        Self::of(base, &**method, flat)
    }

    fn of(base: &BertConfig, method: &dyn TuningMethod, flat: &Tensor<1>) -> Self {
        let Attached { layout, tensors, embeddings, layers, head, lowest } = attach(base, method);
        let view = |range: std::ops::Range<usize>| {
            let tensor = ops::cut(flat, range.start, range.len());
            View { offset: range.start, tensor }
        };
        Self {
            views: tensors.into_iter().map(view).collect(),
            embeddings,
            layers,
            head,
            dropout: method.dropout(),
            virtual_tokens: method.virtual_tokens(),
            lowest,
            len: layout.len(),
        }
    }

    /// A trainable tensor, flat.
    #[must_use]
    pub fn at(&self, id: TensorId) -> &Tensor<1> {
        &self.views[id.0].tensor
    }

    /// The mean of what [`LinearHook::penalties`](super::LinearHook::penalties) returns for all linear
    /// layers, `[1]`; `None` if there are none.
    #[must_use]
    pub fn mean_penalty(&self) -> Option<Tensor<1>> {
        let hooks = self.layers.iter().flat_map(LayerTensors::hooks);
        let terms: Vec<Tensor<1>> = hooks.flat_map(|hook| hook.penalties(self)).collect();
        let count = terms.len() as f64;
        terms.into_iter().reduce(|sum, term| sum + term).map(|sum| sum.div_scalar(count))
    }

    /// Weight and bias of the score head, `[H + 1]`.
    pub(super) fn head(&self) -> &Tensor<1> {
        self.at(self.head)
    }

    /// The lowest layer in which something is trained: no gradients are needed below it.
    #[must_use]
    pub fn lowest_trained(&self) -> Option<usize> {
        self.lowest
    }

    /// Whether an embedding table or its normalisation is trained.
    #[must_use]
    pub fn embeddings_trained(&self) -> bool {
        let EmbeddingTensors { words, positions, types, norm, projection } = &self.embeddings;
        [words, positions, types, &norm.gamma, &norm.beta, &projection.weight, &projection.bias]
            .into_iter()
            .any(Option::is_some)
    }

    /// The gradient with respect to all parameters, flat `[P]`, on the device without autodiff.
    ///
    /// A tensor that the loss does not depend on has a gradient of zeros.
    #[must_use]
    pub fn gradient(&self, gradients: &Gradients) -> Tensor<1> {
        self.gather(std::slice::from_ref(gradients))
    }

    /// The same from a backward pass in several parts, each of which reached some of the tensors. Gradients of
    /// a tensor that several parts reached are added.
    #[must_use]
    pub fn gather(&self, parts: &[Gradients]) -> Tensor<1> {
        let pieces: Vec<(usize, Tensor<1>)> = self
            .views
            .iter()
            .map(|view| {
                let grads = parts.iter().filter_map(|part| view.tensor.grad(part));
                let grad = grads.reduce(|sum, grad| sum + grad);
                (view.offset, grad.unwrap_or_else(|| view.tensor.clone().inner().zeros_like()))
            })
            .collect();
        ops::join(&pieces, self.len)
    }
}
