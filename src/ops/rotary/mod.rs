//! Rotary positions: queries and keys turn by angles that grow with the position, so that their products depend on
//! distances. Su et al. 2021, arXiv 2104.09864.
//!
//! In a head of width d, elements i and i + d/2 are a pair, which turns by `position * theta^(-2i/d)`.

mod cpu;
mod wgsl;

#[cfg(test)]
pub(in crate::ops) mod tests;

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::strategy::CheckpointStrategy,
    ops::{Backward, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Device, Shape, Slice, Tensor, TensorData};

use super::composed::indices;
use super::differentiate::{backward_step, frozen};
use super::places::Places;
use super::record::{Cost, Operation};
use super::{Kernels, record};
pub(in crate::ops) use wgsl::cases;

/// A rotation of queries and keys.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    /// Positions of the rows.
    pub places: Places,
    /// Number of heads.
    pub heads: usize,
    /// Whether it turns back.
    pub back: bool,
}

/// The rotation.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait Rotary: Backend {
    /// Turns queries and keys of `qkv [T, 3H]`; values stay. `angles [P, d]` has the cosines of a position's d/2 angles,
    /// then their sines. Turning back is the gradient.
    fn rotate(qkv: FloatTensor<Self>, angles: FloatTensor<Self>, turn: Turn) -> FloatTensor<Self>;
}

fn operation<B: Backend>(name: &'static str, qkv: &FloatTensor<B>) -> Operation {
    let [rows, columns] = qkv.shape().dims();
    Operation::new(name, format!("[{rows}, {columns}]"), Cost::new(0, 2 * rows * columns))
}

backward_step!(RotaryStep<1>, (FloatTensor<B>, Turn), |g, saved, [to], grads| {
    if let Some(to) = to {
        let (angles, turn) = saved;
        let back = Turn { back: !turn.back, ..turn };
        let describe = |(g, _): &(_, _)| operation::<B>("rotation, backward", g);
        let run = move |(g, angles)| B::rotate(g, angles, back.clone());
        grads.register::<B>(to.id, record::run((g, angles), describe, run));
    }
});

impl<B: Kernels, C: CheckpointStrategy> Rotary for Autodiff<B, C> {
    fn rotate(qkv: FloatTensor<Self>, angles: FloatTensor<Self>, turn: Turn) -> FloatTensor<Self> {
        let nodes = [qkv.node()];
        let [angles] = frozen::<B, C, 1>([angles]);
        let y = B::rotate(qkv.into_primitive(), angles.clone(), turn.clone());
        match RotaryStep.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish((angles, turn), y),
            OpsKind::UnTracked(step) => step.finish(y),
        }
    }
}

/// The rotation, composed of burn's operations.
fn composed_rotate<B: Backend>(
    qkv: FloatTensor<B>,
    angles: FloatTensor<B>,
    turn: &Turn,
) -> FloatTensor<B> {
    let ([rows, columns], head) = (qkv.shape().dims(), angles.shape()[1]);
    let (half, dtype) = (head / 2, qkv.dtype());
    let places = indices::<B>(turn.places.rows().iter().map(|place| *place as usize), &qkv);
    let angles = B::float_select(angles, 0, places);
    let part = |first: usize| {
        let columns = Slice::from(first..first + half);
        let part = B::float_slice(angles.clone(), &[Slice::from(0..rows), columns]);
        B::float_reshape(part, Shape::new([rows, 1, half]))
    };
    // Values turn by an angle of 0.
    let turns = |queries_and_keys: f32, values: f32| {
        let kinds = [queries_and_keys, queries_and_keys, values];
        let of_heads = kinds.into_iter().flat_map(|kind| std::iter::repeat_n(kind, turn.heads));
        let data = TensorData::new(of_heads.collect::<Vec<f32>>(), [1, 3 * turn.heads, 1]);
        B::float_from_data(data.convert_dtype(dtype), &qkv.device())
    };
    let cosines = B::float_add(B::float_mul(part(0), turns(1.0, 0.0)), turns(0.0, 1.0));
    let sign = if turn.back { -1.0 } else { 1.0 };
    let sines = B::float_mul(part(half), turns(sign, 0.0));
    let x = B::float_reshape(qkv.clone(), Shape::new([rows, 3 * turn.heads, head]));
    let side = |first: usize| {
        let whole = [Slice::from(0..rows), Slice::from(0..3 * turn.heads)];
        let half = Slice::from(first..first + half);
        B::float_slice(x.clone(), &[whole[0], whole[1], half])
    };
    let (a, b) = (side(0), side(half));
    let first = B::float_sub(
        B::float_mul(a.clone(), cosines.clone()),
        B::float_mul(b.clone(), sines.clone()),
    );
    let second = B::float_add(B::float_mul(b, cosines), B::float_mul(a, sines));
    let y = B::float_cat(vec![first, second], 2);
    B::float_reshape(y, Shape::new([rows, columns]))
}

/// Cosines and sines of the angles of `positions` positions in a head of width d, `[positions, d]`: those of all d/2
/// pairs, then their sines. Frequencies and angles are rounded to f32, as in Transformers.
///
/// # Panics
/// If the width is odd.
#[must_use]
pub fn angles(positions: usize, head: usize, theta: f64, device: &Device) -> Tensor<2> {
    assert!(head.is_multiple_of(2), "a pair has two elements");
    let half = head / 2;
    let frequency = |pair: usize| 1.0 / libm::pow(theta, 2.0 * pair as f64 / head as f64) as f32;
    let frequencies: Vec<f32> = (0..half).map(frequency).collect();
    let mut values = Vec::with_capacity(positions * head);
    for position in 0..positions {
        let angle = |frequency: &f32| f64::from(position as f32 * frequency);
        values.extend(frequencies.iter().map(|f| libm::cos(angle(f)) as f32));
        values.extend(frequencies.iter().map(|f| libm::sin(angle(f)) as f32));
    }
    Tensor::from_data(TensorData::new(values, [positions, head]), device)
}

/// Turns queries and keys of `qkv [T, 3H]` by their positions; `angles [P, H / heads]` are those of [`angles`], for more
/// positions than any of `places`.
#[must_use]
pub fn rotate(qkv: Tensor<2>, angles: &Tensor<2>, places: &Places, heads: usize) -> Tensor<2> {
    let turn = Turn { places: places.clone(), heads, back: false };
    let operands = (qkv.into_dispatch(), angles.clone().into_dispatch());
    let describe = |(qkv, _): &(_, _)| operation::<Dispatch>("rotation", qkv);
    record::run(operands, describe, move |(qkv, angles)| -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::rotate(qkv, angles, turn.clone()))
    })
}
