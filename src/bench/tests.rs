//! Compares the counts of real passes on the CPU path with manual counts.

use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor};

use super::{Shape, random_weights};
use crate::base::BertConfig;
use crate::methods::LoraConfig;
use crate::model::{Adapter, Encoder, PackedBatch, Target, TrainableTensors};
use crate::ops::record::{Operation, Ran, Recording};
use crate::ops::{self, Activation, FrozenLinear, LoraPlan, Precision, Segments, Weights};

/// Three sequences.
const LENGTHS: [usize; 3] = [2, 5, 3];

/// A base that is small enough to count by hand.
fn small() -> (BertConfig, LoraConfig) {
    let base = BertConfig {
        vocab_size: 9,
        hidden_size: 6,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 10,
        ..Shape::Tiny.config()
    };
    let targets = BTreeSet::from([Target::Query, Target::Value, Target::Output]);
    (base, LoraConfig { rank: 3, targets, ..LoraConfig::default() })
}

fn batch(lengths: &[usize]) -> PackedBatch {
    let sequences: Vec<Vec<u32>> = lengths.iter().map(|&n| vec![1; n]).collect();
    sequences.iter().map(Vec::as_slice).collect()
}

fn encoder(base: &BertConfig) -> Encoder {
    let mut weights = random_weights(base, 1).unwrap();
    Encoder::new(base, &mut weights, &Device::flex()).unwrap()
}

/// What a pass without gradients runs.
fn forward(base: &BertConfig, lora: &LoraConfig, merged: bool, lengths: &[usize]) -> Vec<Ran> {
    let (mut encoder, adapter) = (encoder(base), Adapter::init(base, lora.clone(), 1).unwrap());
    let mut trainable = TrainableTensors::new(base, &adapter, &Device::flex());
    if merged {
        (encoder, trainable) = encoder.merged(trainable);
    }
    let recording = Recording::begin(false);
    let _out = encoder.forward(&batch(lengths), &trainable, None).unwrap();
    recording.end()
}

/// What a pass with gradients runs, except loss and optimiser.
fn both_ways(base: &BertConfig, lora: &LoraConfig, lengths: &[usize]) -> Vec<Ran> {
    let (encoder, adapter) = (encoder(base), Adapter::init(base, lora.clone(), 1).unwrap());
    let flat = Tensor::<1>::from_floats(adapter.parameters.as_slice(), &Device::flex());
    let trainable = TrainableTensors::tracked(base, &adapter.method, &flat);
    let recording = Recording::begin(false);
    let out = encoder.forward(&batch(lengths), &trainable, None).unwrap();
    let _gradient = trainable.gradient(&out.scores.sum().backward());
    recording.end()
}

fn flops(ran: &[Ran]) -> u64 {
    ran.iter().map(|ran| ran.operation.cost.times(ran.count).flops).sum()
}

/// How many operations of a kind ran.
fn count(ran: &[Ran], kind: &str) -> usize {
    ran.iter().filter(|ran| ran.operation.kind == kind).map(|ran| ran.count).sum()
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
fn the_cost_of_a_rescoring_pass_equals_a_manual_count() {
    let (base, lora) = small();
    let (h, i, r, t, s) = (6, 10, 3, LENGTHS.iter().sum(), LENGTHS.len());
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
    assert_eq!(flops(&forward(&base, &lora, false, &LENGTHS)), 2 * count);
    // Merged into f32 weights, the low-rank terms cost nothing at any rank.
    let merged =
        |rank| flops(&forward(&base, &LoraConfig { rank, ..lora.clone() }, true, &LENGTHS));
    assert_eq!(merged(3), merged(1));
    assert!(merged(3) < 2 * count);
}

#[test]
fn the_cost_of_a_backward_pass_equals_a_manual_count() {
    let (base, lora) = small();
    let (h, i, r, t, s) = (6, 10, 3, LENGTHS.iter().sum(), LENGTHS.len());
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
    // The first layer: the same, but no gradient of its input.
    count += factors(t, i, h) + input(t, i, h) + low_rank_input(t, i);
    count += input(t, h, i) + input(t, h, h);
    for n in LENGTHS {
        for _head in 0..2 {
            count += 2 * product(n, h / 2, n) + 2 * product(n, n, h / 2);
        }
    }
    count += 2 * factors(t, h, h);
    let [both, forward] =
        [both_ways(&base, &lora, &LENGTHS), forward(&base, &lora, false, &LENGTHS)]
            .map(|ran| flops(&ran));
    assert_eq!(both - forward, 2 * count);
}

#[test]
fn operations_without_earlier_trainable_tensors_have_no_backward_pass() {
    let (hidden_size, intermediate_size, vocab_size) = (24, 48, 9);
    let base = BertConfig { hidden_size, intermediate_size, vocab_size, ..Shape::MiniLm.config() };
    let with = |targets: &[Target], layers| {
        let targets = BTreeSet::from_iter(targets.iter().copied());
        both_ways(&base, &LoraConfig { targets, layers, ..LoraConfig::default() }, &LENGTHS)
    };
    // All of them: only the projections of the first layer have no gradient by their input.
    let ran = with(&Target::ALL, None);
    assert_eq!(count(&ran, "linear"), 5 * 4 + 5);
    assert_eq!(count(&ran, "linear, by factors"), 5 * 4 + 5);
    // Behind GELU; behind a normalisation, except the embeddings'; attention and rows of [CLS]. On the CPU
    // too, inputs are saved as what they were computed from.
    let from = |end: &str| {
        let of = |ran: &&Ran| {
            ran.operation.kind == "linear, by factors" && ran.operation.sizes.ends_with(end)
        };
        ran.iter().filter(of).map(|ran| ran.count).sum::<usize>()
    };
    assert_eq!([from("GELU"), from("rows")], [6, 6 + 5]);
    assert_eq!(count(&ran, "linear, by input"), 5 * 4 + 5 - 1);
    assert_eq!(count(&ran, "attention, backward"), 5);
    assert_eq!(count(&ran, "gather [CLS], backward"), 1);
    // Only the feed-forward layer: nothing of the first attention is differentiated.
    let ran = with(&[Target::Output], None);
    assert_eq!(count(&ran, "attention, backward"), 4);
    // The derivative of the GELU before it is part of its gradient by the input.
    let after_gelu = |ran: &&Ran| ran.operation.sizes.ends_with(", by x before GELU");
    assert_eq!(ran.iter().filter(after_gelu).map(|ran| ran.count).sum::<usize>(), 5);
    assert_eq!(count(&ran, "GELU, backward"), 0);
    // Only the last layer: its linear layers, but not by the input of query, key and value.
    let ran = with(&Target::ALL, Some(vec![5]));
    assert_eq!(count(&ran, "linear, by input"), 3);
    assert_eq!(count(&ran, "gather [CLS], backward") + count(&ran, "attention, backward"), 0);
    assert_eq!(count(&ran, "sum of gradients"), 1);
}

#[test]
fn a_rescoring_pass_saves_nothing() {
    let ran = forward(&Shape::Tiny.config(), &LoraConfig::default(), true, &LENGTHS);
    assert!(ran.iter().all(|ran| !ran.operation.to_string().ends_with("keeps")));
    // Embedding, one whole layer, one for [CLS] only, the head.
    assert_eq!(ran.iter().map(|ran| ran.count).sum::<usize>(), 1 + 7 + 9 + 1);
}

#[test]
fn a_training_step_costs_twice_a_rescoring_pass() {
    // With small ranks, the backward pass has one product per linear layer, as the forward pass has, and two per
    // product of attention.
    let base = BertConfig { vocab_size: 9, ..Shape::BertBase.config() };
    let lora = LoraConfig { rank: 1, targets: Target::ALL.into(), ..LoraConfig::default() };
    let both = flops(&both_ways(&base, &lora, &[20])) as f64;
    let forward = flops(&forward(&base, &lora, true, &[20])) as f64;
    assert!((1.95..2.05).contains(&(both / forward)), "{}", both / forward);
    // 85 million weights in the layers, less what the last layer saves.
    let per_token = forward / 20.0;
    assert!((1.5e8..1.75e8).contains(&per_token), "{per_token}");
}

/// The operations of `work`.
fn operations<T>(work: impl FnOnce() -> T) -> Vec<Operation> {
    let recording = Recording::begin(false);
    work();
    recording.end().into_iter().map(|ran| ran.operation).collect()
}

/// Tensors of an operation by their shapes.
fn bytes(shapes: &[&[usize]]) -> u64 {
    shapes.iter().map(|shape| 4 * shape.iter().product::<usize>() as u64).sum()
}

/// Of the operations of this kind, the bytes, which are those of the tensors of these shapes.
#[track_caller]
fn assert_bytes(of: &[Operation], kind: &str, shapes: &[&[usize]]) {
    let found: Vec<u64> = of.iter().filter(|op| op.kind == kind).map(|op| op.cost.bytes).collect();
    assert_eq!(found, [bytes(shapes)], "{kind} of {of:?}");
}

#[test]
fn bytes_equal_the_sizes_of_the_tensors() {
    let device = Device::flex();
    let matrix = |[rows, columns]: [usize; 2]| Tensor::<2>::full([rows, columns], 0.1, &device);
    let vector = |len: usize| Tensor::<1>::full([len], 0.1, &device);
    let tracked = |shape| matrix(shape).autodiff().require_grad();
    let (x, w, bias, y) = (&[10, 6][..], &[18, 6][..], &[18][..], &[10, 18][..]);
    let (a, b, u) = (&[6, 6][..], &[12, 3][..], &[10, 6][..]);
    let (row, norm) = (&[10, 6][..], &[6][..]);
    // Only the adapted blocks of a gradient are read for the factors.
    let g = &[10, 12][..];

    let full = Weights::new(&[0.1; 108], [18, 6], Precision::F32, &device);
    let of_layer = vector(18);
    let layer = |x| ops::linear(x, &full, &of_layer, Activation::Gelu).into_values();
    assert_bytes(&operations(|| layer(matrix([10, 6]))), "linear", &[x, w, bias, y]);
    let ran = operations(|| layer(tracked([10, 6])).sum().backward());
    assert_bytes(&ran, "linear", &[x, w, bias, y, y]);
    assert_bytes(&ran, "GELU, backward", &[y, y, y]);
    assert_bytes(&ran, "linear, by input", &[y, w, x]);

    let plan = LoraPlan { adapted: vec![0, 2], width: 6, rank: 3, scale: 1.0 };
    let frozen = FrozenLinear { weight: &full, bias: &of_layer, activation: Activation::Gelu };
    let adapted = |x, factors| ops::lora_linear(x, frozen, &factors, &plan).into_values();
    let ran = operations(|| adapted(matrix([10, 6]), vector(72)));
    assert_bytes(&ran, "linear", &[x, w, bias, a, b, y]);
    let ran = operations(|| {
        let factors = vector(72).autodiff().require_grad();
        adapted(tracked([10, 6]), factors).sum().backward()
    });
    assert_bytes(&ran, "linear", &[x, w, bias, a, b, y, y, u]);
    assert_bytes(&ran, "linear, by input", &[y, w, u, a, x]);
    assert_bytes(&ran, "linear, by factors", &[g, b, u, g, x, u, u, a, b]);

    let segments = Segments::new(&[0, 2, 7, 10]);
    let ran = operations(|| ops::attention(tracked([10, 18]), &segments, 2).sum().backward());
    assert_bytes(&ran, "attention", &[&[10, 18], row, &[10, 2]]);
    assert_bytes(&ran, "attention, backward", &[row, &[10, 18], row, &[10, 2], &[10, 18]]);
    let cls = |q, kv| ops::attention_cls(q, kv, &segments, 2);
    let ran = operations(|| cls(matrix([3, 6]), matrix([10, 12])));
    assert_bytes(&ran, "attention of [CLS]", &[&[3, 6], &[10, 12], &[3, 6]]);
    let ran = operations(|| cls(tracked([3, 6]), tracked([10, 12])).sum().backward());
    let shapes: [&[usize]; 7] = [&[3, 6], &[3, 6], &[10, 12], &[3, 6], &[3, 2], &[3, 6], &[10, 12]];
    assert_bytes(&ran, "attention of [CLS], backward", &shapes);

    let ran = operations(|| {
        let (x, scale) = (tracked([10, 6]), vector(6));
        ops::add_layer_norm(x, matrix([10, 6]).autodiff(), &scale, &scale, 1e-12)
            .into_values()
            .sum()
            .backward()
    });
    assert_bytes(&ran, "residual, LayerNorm", &[row, row, norm, norm, row, row, &[10, 1]]);
    assert_bytes(&ran, "residual, LayerNorm, backward", &[row, row, &[10, 1], norm, row]);
    let ran = operations(|| ops::score_head(tracked([3, 6]), &vector(7)).sum().backward());
    assert_bytes(&ran, "score head, backward", &[&[3], &[3, 6], &[7], &[3, 6], &[7]]);
}

#[test]
fn what_was_recorded_runs_again() {
    let device = Device::flex();
    let x = Tensor::<2>::full([2, 3], 2.0, &device);
    let recording = Recording::begin(true);
    let y = ops::gelu(x);
    let ran = recording.end();
    assert_eq!(ran.len(), 1);
    let again = ran[0].again().expect("the recording keeps tensors");
    assert_eq!(again.into_data(), y.into_data());
    // Nothing is recorded afterwards, nor within what is repeated.
    let recording = Recording::begin(false);
    ops::record::repeated(|| ops::gelu(Tensor::<2>::ones([1, 1], &device)));
    let _ = ops::gelu(Tensor::<2>::ones([1, 4], &device));
    let ran = recording.end();
    assert_eq!(ran.iter().map(|ran| ran.operation.to_string()).collect::<Vec<_>>(), ["GELU [1]"]);
    assert_eq!((ran[0].count, ran[0].operation.cost.bytes), (1, 32));
    assert!(ran[0].again().is_none());
}
