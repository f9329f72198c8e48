//! Compares all implementations of embeddings with f64.

use burn::backend::{Flex, ops::IntTensorOps};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{Embed, EmbedInputs, Tables, composed, embed_layer_norm as embedded};
use crate::ops::layer_norm::tests::{normalise, scaled};
use crate::ops::tests::cpu_path::{SIZES, same};
use crate::ops::tests::device::gpu;
use crate::ops::tests::gpu::{assert_near, frozen};
use crate::ops::tests::kernels::{
    Bench, EPSILON, by_row, check, kernel_tests, row_sizes, wide_enough,
};
use crate::ops::tests::support::Source;
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(embed_layer_norm: NORMALISED);

/// `words[token] + positions[place] + types[0]`; ids outside a table read its last row.
fn embed(tables: [&[f64]; 3], tokens: &[i32], places: &[i32], width: usize) -> Vec<f64> {
    let [words, positions, types] = tables;
    let row = |table: &[f64], id: i32, c: usize| {
        let last = table.len() / width - 1;
        table[usize::try_from(id).map_or(last, |id| id.min(last)) * width + c]
    };
    let pairs = tokens.iter().zip(places);
    let element = |t, p, c| row(words, t, c) + row(positions, p, c) + types[c];
    pairs.flat_map(|(&t, &p)| (0..width).map(move |c| element(t, p, c))).collect()
}

fn embed_layer_norm(bench: &Bench) {
    const TABLES: [usize; 3] = [19, 7, 2];
    for kernel in bench.variants("embed_layer_norm") {
        for size @ [t, h] in bench.sizes(row_sizes().filter(wide_enough)) {
            let mut source = Source::new(64);
            let tables = TABLES.map(|rows| source.exact(rows * h));
            let (gamma, beta) = (source.exact(h), source.exact(h));
            // Some ids are outside their tables.
            let ids = |m: usize| (0..t).map(move |i| ((i * 5 + 1) % (m + 2)) as i32 - 1);
            let (tokens, places): (Vec<i32>, Vec<i32>) = (ids(19).collect(), ids(7).collect());
            let words: Vec<u32> = tokens.iter().chain(&places).map(|id| *id as u32).collect();
            let [words_table, positions, types] =
                [0, 1, 2].map(|i| bench.gpu.floats([TABLES[i], h], &tables[i]));
            let y = bench.gpu.output([t, h]);
            let call = shaders::embed_layer_norm::Arguments {
                words: &words_table,
                positions: &positions,
                types: &types,
                gamma: &bench.gpu.floats([h], &gamma),
                beta: &bench.gpu.floats([h], &beta),
                ids: &bench.gpu.words(&words),
                y: &y,
                rows: t as u32,
                width: h as u32,
                vocabulary: TABLES[0] as u32,
                places: TABLES[1] as u32,
                epsilon: EPSILON,
            };
            launch(kernel, &call, by_row(kernel, t));
            let [a, b, c] = &tables;
            let sums = embed([a, b, c], &tokens, &places, h);
            let n = normalise(&sums, h, EPSILON.into()).0;
            check(kernel, &format!("{size:?}"), &scaled(&n, &gamma, &beta), &y);
        }
    }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(14);
    for (t, h) in SIZES.into_iter().zip([2, 3, 17, 31, 33, 127, 129, 384]).chain([(1030, 5)]) {
        let [words, positions, types] = [[19, h], [7, h], [2, h]].map(|shape| source.f32(shape));
        let (gamma, beta) = (source.f32([h]), source.f32([h]));
        let ids: Vec<i32> =
            [19, 7].iter().flat_map(|m| (0..t).map(move |i| (i * 5 % m) as i32)).collect();
        let ids = Flex::int_from_data(TensorData::new(ids, [2 * t]), &Default::default());
        let inputs =
            EmbedInputs::<Flex> { words, positions, types, gamma, beta, ids, epsilon: EPSILON };
        let expected = composed::embed_layer_norm(inputs.clone());
        same(&format!("embed_layer_norm {t} {h}"), expected, Flex::embed_layer_norm(inputs));
    }
}

#[test]
fn gpu_path() {
    let Some(gpu) = gpu() else { return };
    let run = |device: &Device| {
        let [words, positions, types] =
            [frozen(1, [19, 33], device), frozen(2, [7, 33], device), frozen(3, [2, 33], device)];
        let tables = Tables { words: &words, positions: &positions, types: &types };
        let ids: Vec<i32> = [19, 7].iter().flat_map(|m| (0..31).map(move |i| i * 5 % m)).collect();
        let ids = Tensor::<1, Int>::from_ints(ids.as_slice(), device);
        let (gamma, beta) = (frozen(4, [33], device), frozen(5, [33], device));
        embedded(tables, &gamma, &beta, ids, 1e-12)
    };
    assert_near("embed_layer_norm", run(&Device::flex()), run(&gpu));
}
