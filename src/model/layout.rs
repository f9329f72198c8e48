//! The position of every trainable parameter in one flat vector, which includes the score head.

use std::ops::Range;

use super::attach::attach;
use super::error::ModelError;
use super::method::Method;
use crate::base::{Architecture, BertConfig, expected_tensors};

/// Module name of the score head, as PEFT saves it.
pub const SCORE_HEAD: &str = "score";

/// Parameters of a base's encoder.
#[must_use]
pub fn base_parameters(base: &BertConfig) -> usize {
    expected_tensors(base).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// The content of a slot, by the name of the tensor. Methods name their own kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotKind(pub &'static str);

impl SlotKind {
    /// A weight: of the base, trained itself, or of a module that a method adds. `[out, in]` of a linear
    /// layer, `[rows, H]` of an embedding, `[H]` of a layer norm.
    pub const WEIGHT: Self = Self("weight");
    /// A bias of the base or of a module that a method adds, `[out]`.
    pub const BIAS: Self = Self("bias");
    /// Weight of the score head, `[1, H]`.
    pub const HEAD_WEIGHT: Self = Self("head_weight");
    /// Bias of the score head, `[1]`.
    pub const HEAD_BIAS: Self = Self("head_bias");
}

/// The initial values of a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// Zeros.
    Zeros,
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// `U(-1/sqrt(in), 1/sqrt(in))` by the slot's second dimension: the Kaiming uniform distribution with
    /// `a = sqrt(5)` that PEFT uses for A.
    Kaiming,
    /// The base's tensor of that module and name.
    BaseTensor,
    /// The norms of the rows of the module's weight in the base.
    BaseRowNorms,
}

impl Initial {
    /// Whether it uses values of the base.
    pub(super) fn is_of_base(self) -> bool {
        matches!(self, Self::BaseTensor | Self::BaseRowNorms)
    }
}

/// One tensor in the flat vector, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The architecture's name of the module, such as `encoder.layer.0.attention.self.query`, or `score`.
    pub module: String,
    /// The tensor of the module.
    pub kind: SlotKind,
    /// Index of the first element in the flat vector.
    pub offset: usize,
    /// Shape, row-major.
    pub shape: Vec<usize>,
    /// Its initial values.
    pub initial: Initial,
}

impl Slot {
    /// Elements of the slot.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// The slot's elements in the flat vector.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.size()
    }
}

/// Identifies a trainable tensor: a part of the flat parameters that the forward pass reads as a whole.
#[derive(Clone, Copy, Debug)]
pub struct TensorId(pub(super) usize);

/// The slots of an adapter while they are laid out.
#[derive(Debug)]
pub struct Slots<'a> {
    base: &'a BertConfig,
    pub(super) layout: Layout,
    /// The parts of the flat parameters that the forward pass reads, by [`TensorId`].
    pub(super) tensors: Vec<Range<usize>>,
}

impl<'a> Slots<'a> {
    pub(super) fn new(base: &'a BertConfig) -> Self {
        Self {
            base,
            layout: Layout { architecture: base.architecture, slots: Vec::new(), len: 0 },
            tensors: Vec::new(),
        }
    }

    /// Shape of the base.
    #[must_use]
    pub fn base(&self) -> &'a BertConfig {
        self.base
    }

    /// Appends a slot; returns its elements in the flat vector.
    pub fn push(
        &mut self,
        module: String,
        kind: SlotKind,
        shape: &[usize],
        initial: Initial,
    ) -> Range<usize> {
        let slot = Slot { module, kind, offset: self.layout.len, shape: shape.to_vec(), initial };
        let range = slot.range();
        self.layout.len = range.end;
        self.layout.slots.push(slot);
        range
    }

    /// Makes one tensor of elements that are contiguous: of one slot, or of several that were appended one
    /// after the other.
    pub fn tensor(&mut self, elements: Range<usize>) -> TensorId {
        self.tensors.push(elements);
        TensorId(self.tensors.len() - 1)
    }

    /// [`push`](Self::push) and [`tensor`](Self::tensor).
    pub fn push_tensor(
        &mut self,
        module: String,
        kind: SlotKind,
        shape: &[usize],
        initial: Initial,
    ) -> TensorId {
        let elements = self.push(module, kind, shape, initial);
        self.tensor(elements)
    }
}

/// The order of all slots.
///
/// The embeddings come first, then the layers in order, then the score head (weight, bias). Within a layer come
/// what a method adds to the attention, then query, key and value as one group, the attention output, the
/// intermediate and the output layer. A group has its weights, then its biases, then what a method adds. Each
/// output layer is followed by its layer norm. The last layer computes its query for `[CLS]` only, so the
/// query is a separate group there, before key and value.
///
/// LoRA's slots of a group are every A, then every B, then what a variant adds. Layers that run as one product
/// therefore have contiguous factors: A `[n r, in]`, then B `[n out, r]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    architecture: &'static Architecture,
    slots: Vec<Slot>,
    len: usize,
}

impl Layout {
    /// The layout of an adapter for a base.
    ///
    /// # Errors
    /// [`ModelError::Lora`] or [`ModelError::Method`] if a setting does not fit the base.
    pub fn new(base: &BertConfig, method: &Method) -> Result<Self, ModelError> {
        method.validate(base)?;
        Ok(attach(base, &**method).layout)
    }

    /// The same modules with slots of other shapes.
    pub(crate) fn resized(&self, shape: impl Fn(&Slot) -> Vec<usize>) -> Self {
        let mut layout = Self { architecture: self.architecture, slots: Vec::new(), len: 0 };
        for slot in &self.slots {
            let slot = Slot { offset: layout.len, shape: shape(slot), ..slot.clone() };
            layout.len = slot.range().end;
            layout.slots.push(slot);
        }
        layout
    }

    /// The architecture of the base, by which modules are named.
    #[must_use]
    pub fn architecture(&self) -> &'static Architecture {
        self.architecture
    }

    /// All slots by ascending offset, without gaps.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot of a module's tensor, if the module is adapted.
    #[must_use]
    pub fn find(&self, module: &str, kind: SlotKind) -> Option<&Slot> {
        self.slots.iter().find(|s| s.kind == kind && s.module == module)
    }

    /// Number of parameters: the length of the flat vector.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: a layout contains at least the score head.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
