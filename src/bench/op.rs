//! Which operations a pass consists of.
//!
//! The lists below follow `model::encoder` and, for what is differentiated, the `step.rs` of each operation: a
//! gradient is computed where something before it is trained, and nowhere else. So the first layer
//! has no gradient by its input, and the layers before the first adapted one have no backward pass.
//! Dropout is left out, and so is the correlation term: both are off by default.

use crate::base::BertConfig;
use crate::methods::LoraConfig;
use crate::model::{PackedBatch, Target};
use crate::ops::Precision;

/// Sizes of a packed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Tokens of all sequences, T.
    pub tokens: usize,
    /// Sequences, S.
    pub sequences: usize,
    /// Pairs of tokens of the same sequence: the sum of squared lengths.
    pub pairs: usize,
    /// Tokens of the longest sequence.
    pub longest: usize,
}

impl Sizes {
    /// Those of a batch.
    #[must_use]
    pub fn of(batch: &PackedBatch) -> Self {
        let lengths = || batch.offsets.windows(2).map(|pair| pair[1] - pair[0]);
        Self {
            tokens: batch.len(),
            sequences: batch.sequences(),
            pairs: lengths().map(|length| length * length).sum(),
            longest: lengths().max().unwrap_or(0),
        }
    }
}

/// The low-rank term of a linear layer; see [`LoraPlan`](crate::ops::LoraPlan).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LowRank {
    /// Adapted blocks of the output, ascending.
    pub adapted: Vec<usize>,
    /// Columns of a block.
    pub width: usize,
    /// Rank of each pair of factors.
    pub rank: usize,
}

/// A linear layer applied to a batch: `[rows, inputs]` to `[rows, outputs]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Which layer.
    pub name: &'static str,
    /// Rows of input and output.
    pub rows: usize,
    /// Columns of the input.
    pub inputs: usize,
    /// Columns of the output.
    pub outputs: usize,
    /// How the weight is kept.
    pub precision: Precision,
    /// Whether GELU follows.
    pub gelu: bool,
    /// Its low-rank term, where it is adapted.
    pub low_rank: Option<LowRank>,
}

/// What a linear layer's backward step reads its input from; see `ops::SavedInput`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The input.
    Rows,
    /// What it is the GELU of.
    Gelu,
    /// Its normalised rows, before gamma and beta.
    Normalised,
}

/// One operation of the model. `kept` says that the operation keeps what its backward step needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sum of embeddings, normalised.
    Embed,
    /// A linear layer.
    Linear(Product, bool),
    /// Its gradient by the input.
    LinearBackward(Product),
    /// Its gradients by the low-rank factors.
    LoraGrads(Product, Source),
    /// Attention within sequences.
    Attention {
        /// See [`Op`].
        kept: bool,
    },
    /// Its gradient.
    AttentionBackward,
    /// Attention of `[CLS]` alone.
    AttentionCls {
        /// See [`Op`].
        kept: bool,
    },
    /// Its gradients.
    AttentionClsBackward,
    /// Residual and LayerNorm.
    AddLayerNorm {
        /// Rows normalised.
        rows: usize,
        /// See [`Op`].
        kept: bool,
    },
    /// Its gradient.
    AddLayerNormBackward {
        /// Rows normalised.
        rows: usize,
    },
    /// Gradient through GELU.
    GeluBackward {
        /// Rows of the feed-forward layer.
        rows: usize,
    },
    /// Rows of `[CLS]`.
    GatherCls,
    /// Its gradient.
    ScatterCls,
    /// Sum of the gradients by a tensor that two operations read.
    AddGradients {
        /// Rows of that tensor.
        rows: usize,
    },
    /// The score head.
    ScoreHead,
    /// Its gradients.
    ScoreHeadBackward,
    /// MWER over lists, with its gradient by the scores.
    Loss {
        /// Number of lists.
        lists: usize,
    },
    /// Norm of the gradient, clipping and AdamW.
    Optimizer {
        /// Trained numbers, P.
        parameters: usize,
    },
}

/// The operations of a rescoring pass over a batch, in order.
#[must_use]
pub fn rescoring(
    base: &BertConfig,
    lora: &LoraConfig,
    precision: Precision,
    sizes: Sizes,
) -> Vec<Op> {
    let mut tape = Tape::new(base, lora, precision, sizes, false);
    tape.model();
    tape.forward
}

/// The operations of a training step over a batch of `lists` lists, in order.
#[must_use]
pub fn training(
    base: &BertConfig,
    lora: &LoraConfig,
    precision: Precision,
    sizes: Sizes,
    lists: usize,
    parameters: usize,
) -> Vec<Op> {
    let mut tape = Tape::new(base, lora, precision, sizes, true);
    tape.model();
    let Tape { mut forward, backward, .. } = tape;
    forward.push(Op::Loss { lists });
    forward.extend(backward.into_iter().rev());
    forward.push(Op::Optimizer { parameters });
    forward
}

/// Runs the model without computing anything. Functions return whether their result depends on
/// what is trained.
struct Tape<'a> {
    base: &'a BertConfig,
    lora: &'a LoraConfig,
    precision: Precision,
    sizes: Sizes,
    training: bool,
    forward: Vec<Op>,
    /// In the order of the forward pass.
    backward: Vec<Op>,
}

impl<'a> Tape<'a> {
    fn new(
        base: &'a BertConfig,
        lora: &'a LoraConfig,
        precision: Precision,
        sizes: Sizes,
        training: bool,
    ) -> Self {
        Self { base, lora, precision, sizes, training, forward: vec![], backward: vec![] }
    }

    fn model(&mut self) {
        self.forward.push(Op::Embed);
        let count = self.base.num_hidden_layers;
        let adapted = self.lora.layer_indices(self.base).unwrap_or_default();
        let mut tracked = false;
        for layer in 0..count {
            tracked = self.layer(tracked, layer + 1 == count, adapted.contains(&layer));
        }
        self.forward.push(Op::ScoreHead);
        if self.training {
            self.backward.push(Op::ScoreHeadBackward);
        }
    }

    fn layer(&mut self, tracked: bool, last: bool, adapted: bool) -> bool {
        use Target::{AttentionOutput, Intermediate, Key, Output, Query, Value};
        let rows = if last { self.sizes.sequences } else { self.sizes.tokens };
        // The input is read by the projections and by the residual (or by what gathers it).
        self.meet(tracked, self.sizes.tokens);
        let context = if last {
            self.step(Op::GatherCls, tracked, Op::ScatterCls);
            self.meet(tracked, rows);
            let kv = self.linear("key, value", self.sizes.tokens, &[Key, Value], adapted, tracked);
            let q = self.linear("query", rows, &[Query], adapted, tracked);
            let kept = self.training && (q || kv);
            self.step(Op::AttentionCls { kept }, kept, Op::AttentionClsBackward)
        } else {
            let targets = [Query, Key, Value];
            let qkv = self.linear("query, key, value", rows, &targets, adapted, tracked);
            self.step(Op::Attention { kept: qkv }, qkv, Op::AttentionBackward)
        };
        let attended = self.linear("attention.output", rows, &[AttentionOutput], adapted, context);
        let normed = self.add_layer_norm(rows, attended || tracked);
        self.meet(normed, rows);
        let inner = self.linear("intermediate", rows, &[Intermediate], adapted, normed);
        let fed = self.linear("output", rows, &[Output], adapted, inner);
        self.add_layer_norm(rows, fed || normed)
    }

    fn step(&mut self, forward: Op, tracked: bool, backward: Op) -> bool {
        self.forward.push(forward);
        if tracked {
            self.backward.push(backward);
        }
        tracked
    }

    /// Where two operations read a tensor, its gradients are added.
    fn meet(&mut self, tracked: bool, rows: usize) {
        if tracked {
            self.backward.push(Op::AddGradients { rows });
        }
    }

    fn add_layer_norm(&mut self, rows: usize, tracked: bool) -> bool {
        let forward = Op::AddLayerNorm { rows, kept: tracked };
        self.step(forward, tracked, Op::AddLayerNormBackward { rows })
    }

    /// The layers `targets` as one product.
    fn linear(
        &mut self,
        name: &'static str,
        rows: usize,
        targets: &[Target],
        adapted: bool,
        tracked: bool,
    ) -> bool {
        let (width, inputs) = targets[0].features(self.base);
        // Rescoring merges the low-rank terms into weights that are kept in full.
        let adapted = adapted && (self.training || self.precision != Precision::F32);
        let blocks: Vec<usize> = (0..targets.len())
            .filter(|&block| adapted && self.lora.targets.contains(&targets[block]))
            .collect();
        let low_rank = (!blocks.is_empty()).then_some(LowRank {
            adapted: blocks,
            width,
            rank: self.lora.rank,
        });
        let outputs = width * targets.len();
        let gelu = targets == [Target::Intermediate];
        let precision = self.precision;
        let product = Product { name, rows, inputs, outputs, precision, gelu, low_rank };
        let trained = product.low_rank.is_some();
        let kept = self.training && (tracked || trained);
        self.forward.push(Op::Linear(product.clone(), kept));
        if kept {
            // Reversed later: the gradient goes through GELU first.
            if tracked {
                self.backward.push(Op::LinearBackward(product.clone()));
            }
            if trained {
                // As `model::encoder` hands inputs on: what is not tracked has no step that keeps it.
                let source = match targets {
                    [Target::Output] if tracked => Source::Gelu,
                    [Target::Query] | [Target::AttentionOutput] => Source::Rows,
                    _ if tracked => Source::Normalised,
                    _ => Source::Rows,
                };
                self.backward.push(Op::LoraGrads(product, source));
            }
            if gelu {
                self.backward.push(Op::GeluBackward { rows });
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Shape;
    use super::*;

    const SIZES: Sizes = Sizes { tokens: 30, sequences: 3, pairs: 302, longest: 11 };

    fn count(ops: &[Op], which: fn(&Op) -> bool) -> usize {
        ops.iter().filter(|op| which(op)).count()
    }

    #[test]
    fn sizes_of_a_batch() {
        let ids: [&[u32]; 3] = [&[1; 10], &[2; 11], &[3; 9]];
        assert_eq!(Sizes::of(&ids.into_iter().collect()), SIZES);
    }

    #[test]
    fn what_nothing_trained_comes_before_has_no_backward_pass() {
        let base = Shape::MiniLm.config();
        let with = |targets: &[Target], layers| {
            let lora = LoraConfig {
                targets: BTreeSet::from_iter(targets.iter().copied()),
                layers,
                ..LoraConfig::default()
            };
            training(&base, &lora, Precision::F32, SIZES, 1, 1)
        };
        // All of them: of the first layer, the projections alone have no gradient by their input.
        let ops = with(&Target::ALL, None);
        assert_eq!(count(&ops, |op| matches!(op, Op::Linear(..))), 5 * 4 + 5);
        assert_eq!(count(&ops, |op| matches!(op, Op::LoraGrads(..))), 5 * 4 + 5);
        // Behind GELU; behind a normalisation, but for the embeddings'; attention and rows of [CLS].
        let from = |source| {
            ops.iter().filter(|op| matches!(op, Op::LoraGrads(_, s) if *s == source)).count()
        };
        assert_eq!([Source::Gelu, Source::Normalised, Source::Rows].map(from), [6, 6 + 5, 6 + 2]);
        assert_eq!(count(&ops, |op| matches!(op, Op::LinearBackward(_))), 5 * 4 + 5 - 1);
        assert_eq!(count(&ops, |op| matches!(op, Op::AttentionBackward)), 5);
        assert_eq!(count(&ops, |op| matches!(op, Op::ScatterCls)), 1);
        // The feed-forward layer alone: nothing of the first attention is differentiated.
        let ops = with(&[Target::Output], None);
        assert_eq!(count(&ops, |op| matches!(op, Op::AttentionBackward)), 4);
        assert_eq!(count(&ops, |op| matches!(op, Op::GeluBackward { .. })), 5);
        // The last layer alone: its linear layers, but none by the input of query, key and value.
        let ops = with(&Target::ALL, Some(vec![5]));
        assert_eq!(count(&ops, |op| matches!(op, Op::LinearBackward(_))), 3);
        assert_eq!(count(&ops, |op| matches!(op, Op::ScatterCls | Op::AttentionBackward)), 0);
        assert_eq!(count(&ops, |op| matches!(op, Op::AddGradients { .. })), 1);
    }

    #[test]
    fn a_rescoring_pass_keeps_nothing() {
        let (base, lora) = (Shape::Tiny.config(), LoraConfig::default());
        let ops = rescoring(&base, &lora, Precision::F32, SIZES);
        let kept = |op: &Op| {
            matches!(
                op,
                Op::Linear(_, true)
                    | Op::Attention { kept: true }
                    | Op::AttentionCls { kept: true }
                    | Op::AddLayerNorm { kept: true, .. }
            )
        };
        assert_eq!(count(&ops, kept), 0);
        // Embedding, one whole layer, one for [CLS] alone, the head.
        assert_eq!(ops.len(), 1 + 7 + 9 + 1);
    }
}
