//! The cost of attention: see [`record`](crate::ops::record).

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Tensor;

use super::{AttentionForward, AttentionSaved, ClsAttentionGrads, ClsAttentionSaved};
use crate::ops::record::{Cost, Operation, Sample};
use crate::ops::{Kernels, Segments};

/// Pairs of tokens of the same sequence.
fn pairs(segments: &Segments) -> usize {
    segments.ranges().map(|range| range.len() * range.len()).sum()
}

pub(in crate::ops) fn forward<B: Backend>(
    qkv: &FloatTensor<B>,
    segments: &Segments,
    heads: usize,
    saves: bool,
) -> Operation {
    let [tokens, columns] = qkv.shape().dims();
    let hidden = columns / 3;
    let saved = if saves { tokens * heads } else { 0 };
    let cost = Cost::new(4 * hidden * pairs(segments), 4 * tokens * hidden + saved);
    Operation::new("attention", String::new(), cost).saving(saves)
}

pub(in crate::ops) fn cls_forward<B: Backend>(
    q: &FloatTensor<B>,
    kv: &FloatTensor<B>,
    heads: usize,
    saves: bool,
) -> Operation {
    let ([sequences, hidden], tokens) = (q.shape().dims(), kv.shape()[0]);
    let saved = if saves { sequences * heads } else { 0 };
    let cost = Cost::new(4 * tokens * hidden, 2 * (sequences + tokens) * hidden + saved);
    Operation::new("attention of [CLS]", String::new(), cost).saving(saves)
}

impl<B: Backend> AttentionSaved<B> {
    pub(in crate::ops) fn operation(&self) -> Operation {
        let [tokens, hidden] = self.out.shape().dims();
        let flops = 8 * hidden * pairs(&self.segments);
        let cost = Cost::new(flops, 8 * tokens * hidden + tokens * self.heads);
        Operation::new("attention, backward", String::new(), cost)
    }
}

impl<B: Backend> ClsAttentionSaved<B> {
    pub(in crate::ops) fn operation(&self) -> Operation {
        let ([sequences, hidden], tokens) = (self.q.shape().dims(), self.kv.shape()[0]);
        let elements = 4 * (sequences + tokens) * hidden + sequences * self.heads;
        let cost = Cost::new(8 * tokens * hidden, elements);
        Operation::new("attention of [CLS], backward", String::new(), cost)
    }
}

impl<B: Kernels> Sample for AttentionForward<B> {
    fn sample(self) -> Tensor<2> {
        self.out.sample()
    }
}

impl<B: Kernels> Sample for ClsAttentionGrads<B> {
    fn sample(self) -> Tensor<2> {
        self.q.sample()
    }
}
