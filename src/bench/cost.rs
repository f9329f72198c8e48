//! What an operation costs at the least, whoever computes it.
//!
//! **Floating-point operations** are those of products, two for each multiplication with its
//! addition: linear layers, low-rank terms, the products of attention, the score head. A backward
//! step counts the products of its gradients; what a kernel computes anew to spare memory is not
//! counted. Sums, exponentials and normalisations are not counted either.
//!
//! **Bytes** are those of every tensor that an operation reads or writes, once: activations,
//! weights, and what is kept for the backward pass. All are f32 but the weights of linear layers,
//! which may have 2 bytes, or 1 and an f32 for each output. What a kernel reads again because its cache is
//! small is not counted, nor what it gains from a cache that still holds its input.
//!
//! With T tokens, S sequences of lengths n, width H, a product `[R, K]` to `[R, O]`, and `b`
//! adapted blocks of `w` columns at rank r:
//!
//! ```text
//!                       floating-point operations        elements
//! linear                2 R K O                          R K + K O + O + R O,  + R O where GELU keeps its input
//!   by its input        2 R K O                          R O + K O + R K
//!   low-rank term       2 R b r (K + w)                  b r (K + w),          + R b r where x A^T is kept
//!   by x through it     2 R K b r                        R b r + b r K
//!   by its factors      2 R b r (K + 2 w)                2 R b w + R K + 3 R b r + b r (K + 2 w),
//!                                                        + 2 K where x is n gamma + beta
//! attention             4 H sum n^2                      4 T H,                + T heads where kept
//!   backward            8 H sum n^2                      8 T H + T heads
//! attention of [CLS]    4 H T                            2 S H + 2 T H,        + S heads where kept
//!   backward            8 H T                            4 S H + 4 T H + S heads
//! residual, LayerNorm                                    3 R H + 2 H,          + R H + R where kept
//!   backward                                             3 R H + R + H
//! embedding                                              2 T H + longest H + 3 H + 2 T
//! GELU backward                                          3 R I
//! gather, scatter                                        2 S H,  S H + T H
//! sum of two gradients                                   3 R H
//! score head            2 S H                            S H + H + 1 + S
//!   backward            4 S H                            2 S H + 2 (H + 1) + S
//! loss, both ways                                        6 S + 1
//! AdamW                                                  8 P
//! ```
//!
//! LoRA's factors are counted as two reads of B and one of A in `by its factors`, and one write of
//! both gradients.

use std::iter::Sum;
use std::ops::Add;

use super::op::{LowRank, Op, Product, Sizes, Source};
use crate::base::BertConfig;
use crate::ops::Precision;

/// Bytes of an f32.
const ELEMENT: u64 = 4;

/// Counted work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes moved at the least.
    pub bytes: u64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { flops: self.flops + other.flops, bytes: self.bytes + other.bytes }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Self::add)
    }
}

impl Cost {
    fn new(flops: usize, elements: usize) -> Self {
        Self { flops: flops as u64, bytes: ELEMENT * elements as u64 }
    }

    fn less(self, bytes: u64) -> Self {
        Self { bytes: self.bytes - bytes, ..self }
    }
}

/// Bytes that a linear layer's weight has less than in f32.
fn spared(product: &Product) -> u64 {
    let size = (product.inputs * product.outputs) as u64;
    match product.precision {
        Precision::F32 => 0,
        Precision::F16 => 2 * size,
        Precision::Int8 => 3 * size - ELEMENT * product.outputs as u64,
    }
}

/// `R b r`, `b r K` and `b r w`; zeros without a low-rank term.
fn low_rank(product: &Product) -> [usize; 3] {
    let Some(LowRank { adapted, width, rank }) = &product.low_rank else {
        return [0; 3];
    };
    let stacked = adapted.len() * rank;
    [product.rows * stacked, stacked * product.inputs, stacked * width]
}

impl Op {
    /// The cost of the operation in a base, for a batch of these sizes.
    #[must_use]
    pub fn cost(&self, base: &BertConfig, sizes: Sizes) -> Cost {
        let (hidden, inner, heads) =
            (base.hidden_size, base.intermediate_size, base.num_attention_heads);
        let Sizes { tokens, sequences, pairs, longest } = sizes;
        let (all, first) = (tokens * hidden, sequences * hidden);
        let kept = |kept: bool, elements: usize| if kept { elements } else { 0 };
        match self {
            Self::Embed => Cost::new(0, 2 * all + (longest + 3) * hidden + 2 * tokens),
            Self::Linear(product, keeps) => {
                let &Product { rows, inputs, outputs, gelu, .. } = product;
                let [u, a, b] = low_rank(product);
                let frozen = rows * inputs + inputs * outputs + outputs + rows * outputs;
                Cost::new(
                    2 * rows * (inputs * outputs + a + b),
                    frozen + a + b + kept(*keeps, u) + kept(*keeps && gelu, rows * outputs),
                )
                .less(spared(product))
            }
            Self::LinearBackward(product) => {
                let &Product { rows, inputs, outputs, .. } = product;
                let [u, a, _] = low_rank(product);
                let frozen = rows * outputs + inputs * outputs + rows * inputs;
                Cost::new(2 * rows * (inputs * outputs + a), frozen + u + a).less(spared(product))
            }
            Self::LoraGrads(product, source) => {
                let &Product { rows, inputs, .. } = product;
                let [u, a, b] = low_rank(product);
                let blocks = product.low_rank.as_ref().map_or(0, |l| l.adapted.len() * l.width);
                let scales = kept(*source == Source::Normalised, 2 * inputs);
                Cost::new(
                    2 * rows * (a + 2 * b),
                    2 * rows * blocks + rows * inputs + scales + 3 * u + a + 2 * b,
                )
            }
            Self::Attention { kept: keeps } => {
                Cost::new(4 * hidden * pairs, 4 * all + kept(*keeps, tokens * heads))
            }
            Self::AttentionBackward => Cost::new(8 * hidden * pairs, 8 * all + tokens * heads),
            Self::AttentionCls { kept: keeps } => {
                Cost::new(4 * all, 2 * first + 2 * all + kept(*keeps, sequences * heads))
            }
            Self::AttentionClsBackward => {
                Cost::new(8 * all, 4 * first + 4 * all + sequences * heads)
            }
            Self::AddLayerNorm { rows, kept: keeps } => {
                Cost::new(0, 3 * rows * hidden + 2 * hidden + kept(*keeps, rows * (hidden + 1)))
            }
            Self::AddLayerNormBackward { rows } => Cost::new(0, (3 * rows + 1) * hidden + rows),
            Self::GeluBackward { rows } => Cost::new(0, 3 * rows * inner),
            Self::GatherCls => Cost::new(0, 2 * first),
            Self::ScatterCls => Cost::new(0, first + all),
            Self::AddGradients { rows } => Cost::new(0, 3 * rows * hidden),
            Self::ScoreHead => Cost::new(2 * first, first + hidden + 1 + sequences),
            Self::ScoreHeadBackward => {
                Cost::new(4 * first, 2 * first + 2 * (hidden + 1) + sequences)
            }
            Self::Loss { .. } => Cost::new(0, 6 * sequences + 1),
            Self::Optimizer { parameters } => Cost::new(0, 8 * parameters),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Shape, rescoring, training};
    use super::*;
    use crate::methods::LoraConfig;
    use crate::model::Target;

    /// Three sequences of a base that one can count by hand.
    const LENGTHS: [usize; 3] = [2, 5, 3];

    fn small() -> (BertConfig, LoraConfig, Sizes) {
        let base = BertConfig {
            vocab_size: 9,
            hidden_size: 6,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 10,
            ..Shape::Tiny.config()
        };
        let targets = BTreeSet::from([Target::Query, Target::Value, Target::Output]);
        let lora = LoraConfig { rank: 3, targets, ..LoraConfig::default() };
        let sizes = Sizes {
            tokens: LENGTHS.iter().sum(),
            sequences: LENGTHS.len(),
            pairs: LENGTHS.iter().map(|n| n * n).sum(),
            longest: 5,
        };
        (base, lora, sizes)
    }

    /// Multiplications of `[m, k]` by `[k, n]`, counted one by one.
    fn product(m: usize, k: usize, n: usize) -> u64 {
        let mut count = 0;
        for _row in 0..m {
            for _column in 0..n {
                for _inner in 0..k {
                    count += 1;
                }
            }
        }
        count
    }

    /// A linear layer whose blocks of `width` outputs are adapted or not.
    fn linear(rows: usize, inputs: usize, width: usize, adapted: &[bool], rank: usize) -> u64 {
        let block = |&adapted: &bool| {
            let low_rank =
                if adapted { product(rows, inputs, rank) + product(rows, rank, width) } else { 0 };
            product(rows, inputs, width) + low_rank
        };
        adapted.iter().map(block).sum()
    }

    #[test]
    fn a_rescoring_pass_costs_what_one_counts() {
        let (base, lora, sizes) = small();
        let (h, i, r, t, s) = (6, 10, 3, sizes.tokens, sizes.sequences);
        let mut count = linear(t, h, h, &[true, false, true], r);
        for n in LENGTHS {
            for _head in 0..2 {
                count += product(n, h / 2, n) + product(n, n, h / 2);
            }
        }
        count += linear(t, h, h, &[false], r) + linear(t, h, i, &[false], r);
        count += linear(t, i, h, &[true], r);
        // The last layer.
        count += linear(t, h, h, &[false, true], r) + linear(s, h, h, &[true], r);
        for n in LENGTHS {
            for _head in 0..2 {
                count += product(1, h / 2, n) + product(1, n, h / 2);
            }
        }
        count += linear(s, h, h, &[false], r) + linear(s, h, i, &[false], r);
        count += linear(s, i, h, &[true], r) + product(s, h, 1);
        let flops = |lora: &LoraConfig, precision| -> u64 {
            let ops = rescoring(&base, lora, precision, sizes);
            ops.iter().map(|op| op.cost(&base, sizes).flops).sum()
        };
        assert_eq!(flops(&lora, Precision::F16), 2 * count);
        // Merged into weights in full, the terms cost nothing, whatever their rank.
        let lower = LoraConfig { rank: 1, ..lora.clone() };
        assert_eq!(flops(&lora, Precision::F32), flops(&lower, Precision::F32));
        assert!(flops(&lora, Precision::F32) < flops(&lower, Precision::F16));
    }

    #[test]
    fn a_backward_pass_costs_what_one_counts() {
        let (base, lora, sizes) = small();
        let (h, i, r, t, s) = (6, 10, 3, sizes.tokens, sizes.sequences);
        // Of `x w^T + (x A^T) B^T`: by u, by B, by A, and by x.
        let factors = |rows, inputs, width| 2 * product(rows, width, r) + product(rows, inputs, r);
        let input = |rows, inputs, width| product(rows, width, inputs);
        let low_rank_input = |rows, inputs| product(rows, r, inputs);
        // The score head by its input and its weight.
        let mut count = 2 * product(s, h, 1);
        // The last layer: its output layer, its intermediate layer, its attention.
        count += factors(s, i, h) + input(s, i, h) + low_rank_input(s, i);
        count += input(s, h, i) + input(s, h, h);
        for n in LENGTHS {
            for _head in 0..2 {
                // By probabilities and values, by queries and keys.
                count += 2 * product(1, h / 2, n) + 2 * product(1, n, h / 2);
            }
        }
        count += factors(s, h, h) + input(s, h, h) + low_rank_input(s, h);
        count += factors(t, h, h) + 2 * input(t, h, h) + low_rank_input(t, h);
        // The first: the same, but nothing by what it is given.
        count += factors(t, i, h) + input(t, i, h) + low_rank_input(t, i);
        count += input(t, h, i) + input(t, h, h);
        for n in LENGTHS {
            for _head in 0..2 {
                count += 2 * product(n, h / 2, n) + 2 * product(n, n, h / 2);
            }
        }
        count += 2 * factors(t, h, h);
        let sum = |ops: Vec<Op>| -> Cost { ops.iter().map(|op| op.cost(&base, sizes)).sum() };
        let (both, forward) = (
            sum(training(&base, &lora, Precision::F16, sizes, 1, 50)),
            sum(rescoring(&base, &lora, Precision::F16, sizes)),
        );
        assert_eq!(both.flops - forward.flops, 2 * count);
    }

    /// Tensors of an operation by their shapes.
    fn bytes(shapes: &[&[usize]]) -> u64 {
        shapes.iter().map(|shape| 4 * shape.iter().product::<usize>() as u64).sum()
    }

    #[test]
    fn bytes_are_those_of_the_tensors() {
        let (base, _, sizes) = small();
        let product = Product {
            name: "test",
            rows: 10,
            inputs: 6,
            outputs: 18,
            precision: Precision::F32,
            gelu: true,
            low_rank: Some(LowRank { adapted: vec![0, 2], width: 6, rank: 3 }),
        };
        let (x, w, bias, y) = (&[10, 6][..], &[18, 6][..], &[18][..], &[10, 18][..]);
        let (a, b, u) = (&[6, 6][..], &[12, 3][..], &[10, 6][..]);
        let frozen = Product { low_rank: None, ..product.clone() };
        let (row, norm) = (&[10, 6][..], &[6][..]);
        // Only the adapted blocks of a gradient are read for the factors.
        let g = &[10, 12][..];
        let cases: [(Op, Vec<&[usize]>); 16] = [
            (Op::Linear(frozen.clone(), false), vec![x, w, bias, y]),
            (Op::Linear(frozen.clone(), true), vec![x, w, bias, y, y]),
            (Op::Linear(product.clone(), false), vec![x, w, bias, a, b, y]),
            (Op::Linear(product.clone(), true), vec![x, w, bias, a, b, y, y, u]),
            (Op::LinearBackward(frozen.clone()), vec![y, w, x]),
            (Op::LinearBackward(product.clone()), vec![y, w, u, a, x]),
            (Op::LoraGrads(product.clone(), Source::Gelu), vec![g, b, u, g, x, u, u, a, b]),
            (
                Op::LoraGrads(product, Source::Normalised),
                vec![g, b, u, g, x, norm, norm, u, u, a, b],
            ),
            (Op::Attention { kept: true }, vec![&[10, 18], row, &[10, 2]]),
            (Op::AttentionBackward, vec![row, &[10, 18], row, &[10, 2], &[10, 18]]),
            (Op::AttentionCls { kept: false }, vec![&[3, 6], &[10, 12], &[3, 6]]),
            (
                Op::AttentionClsBackward,
                vec![&[3, 6], &[3, 6], &[10, 12], &[3, 6], &[3, 2], &[3, 6], &[10, 12]],
            ),
            (
                Op::AddLayerNorm { rows: 10, kept: true },
                vec![row, row, norm, norm, row, row, &[10, 1]],
            ),
            (Op::AddLayerNormBackward { rows: 10 }, vec![row, row, &[10, 1], norm, row]),
            (Op::Embed, vec![&[20], row, &[5, 6], norm, norm, norm, row]),
            (Op::ScoreHeadBackward, vec![&[3], &[3, 6], &[7], &[3, 6], &[7]]),
        ];
        for (op, shapes) in cases {
            assert_eq!(op.cost(&base, sizes).bytes, bytes(&shapes), "{op:?}");
        }
        let rest = bytes(&[x, bias, y]);
        for (precision, weight) in
            [(Precision::F32, 4 * 108), (Precision::F16, 2 * 108), (Precision::Int8, 108 + 4 * 18)]
        {
            let op = Op::Linear(Product { precision, ..frozen.clone() }, false);
            assert_eq!(op.cost(&base, sizes).bytes, rest + weight, "{precision}");
        }
    }

    #[test]
    fn a_training_step_costs_twice_a_rescoring_pass() {
        // With small ranks, the backward pass has one product per linear layer, as the forward
        // pass has, and two per product of attention.
        let base = Shape::BertBase.config();
        let sizes = Sizes { tokens: 4000, sequences: 200, pairs: 80_000, longest: 20 };
        let lora = LoraConfig { rank: 1, targets: Target::ALL.into(), ..LoraConfig::default() };
        let sum = |ops: Vec<Op>| -> Cost { ops.iter().map(|op| op.cost(&base, sizes)).sum() };
        let both = sum(training(&base, &lora, Precision::F32, sizes, 20, 1)).flops as f64;
        let forward = sum(rescoring(&base, &lora, Precision::F32, sizes)).flops as f64;
        assert!((1.95..2.05).contains(&(both / forward)), "{}", both / forward);
        // 85 million weights in the layers, less what the last layer spares.
        let per_token = forward / 4000.0;
        assert!((1.5e8..1.75e8).contains(&per_token), "{per_token}");
    }
}
