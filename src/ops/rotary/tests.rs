//! Compares all implementations of rotary positions with f64.

use burn::backend::{Backend, Flex};
use burn::tensor::{Device, Tensor};

use super::{Rotary, Turn, angles, composed_rotate};
use crate::ops::places::Places;
use crate::ops::tests::cpu_path::same;
use crate::ops::tests::directions::Case;
use crate::ops::tests::kernels::{Bench, check, groups, kernel_tests};
use crate::ops::tests::support::Source;
use crate::ops::tests::{finite_differences, gpu};
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(rotate: ELEMENT);

const THETA: f64 = 160_000.0;
const POSITIONS: usize = 50;

/// Rows, heads, and the width of a head: fewer and more elements than a workgroup's block.
const SIZES: [(usize, usize, usize); 5] =
    [(17, 3, 20), (1, 1, 2), (31, 2, 6), (129, 1, 64), (33, 5, 10)];

/// Positions in no order.
fn places(rows: usize) -> Places {
    Places::new((0..rows as u32).map(|row| row * 13 % POSITIONS as u32))
}

/// The rotation of `qkv`, whose angles are computed in f64 from rounded frequencies.
fn truth(qkv: &[f64], (rows, heads, head): (usize, usize, usize), sign: f64) -> Vec<f64> {
    let (half, width) = (head / 2, heads * head);
    let mut y = qkv.to_vec();
    for row in 0..rows {
        let place = places(rows).rows()[row];
        for first in (0..2 * width).step_by(head) {
            for pair in 0..half {
                let frequency = 1.0 / THETA.powf(2.0 * pair as f64 / head as f64) as f32;
                let (sine, cosine) = (sign * f64::from(place as f32 * frequency)).sin_cos();
                let at = row * 3 * width + first + pair;
                let (a, b) = (qkv[at], qkv[at + half]);
                y[at] = a * cosine - b * sine;
                y[at + half] = b * cosine + a * sine;
            }
        }
    }
    y
}

fn table(head: usize, device: &Device) -> Tensor<2> {
    angles(POSITIONS, head, THETA, device)
}

fn rotate(bench: &Bench) {
    for kernel in bench.variants("rotate") {
        for (rows, heads, head) in bench.sizes(SIZES) {
            let columns = 3 * heads * head;
            let table: Vec<f32> = table(head, &Device::flex()).into_data().try_into_vec().unwrap();
            let table: Vec<f64> = table.into_iter().map(f64::from).collect();
            let qkv = Source::new(81).exact(rows * columns);
            for sign in [1.0, -1.0f32] {
                let y = bench.gpu.output([rows, columns]);
                let call = shaders::rotate::Arguments {
                    qkv: &bench.gpu.floats([rows, columns], &qkv),
                    angles: &bench.gpu.floats([POSITIONS, head], &table),
                    places: &bench.gpu.words(places(rows).rows()),
                    y: &y,
                    count: (rows * columns) as u32,
                    columns: columns as u32,
                    positions: POSITIONS as u32,
                    head: head as u32,
                    sign,
                };
                launch(kernel, &call, groups(rows * columns, kernel.constant("BLOCK")));
                let expected = truth(&qkv, (rows, heads, head), f64::from(sign));
                check(kernel, &format!("{rows}, {heads} heads of {head}"), &expected, &y);
            }
        }
    }
}

fn turn(rows: usize, heads: usize, back: bool) -> Turn {
    Turn { places: places(rows), heads, back }
}

/// The table of [`angles`], rounded to f32, as a primitive of any float type.
fn primitive<B: Backend>(head: usize, like: &B::FloatTensorPrimitive) -> B::FloatTensorPrimitive {
    use burn::backend::TensorMetadata;
    let data = table(head, &Device::flex()).into_data();
    B::float_from_data(data.convert_dtype(like.dtype()), &like.device())
}

#[test]
fn cpu_path() {
    let mut source = Source::new(82);
    for (rows, heads, head) in SIZES {
        for back in [false, true] {
            let (qkv, turn) = (source.f32([rows, 3 * heads * head]), turn(rows, heads, back));
            let angles = primitive::<Flex>(head, &qkv);
            let expected = composed_rotate::<Flex>(qkv.clone(), angles.clone(), &turn);
            same(&format!("{rows} {heads} {head}"), expected, Flex::rotate(qkv, angles, turn));
        }
    }
}

#[test]
fn turning_back_is_the_gradient() {
    let (rows, heads, head) = (5, 2, 6);
    finite_differences::check(
        "rotation",
        &[Source::new(83).f64([rows, 3 * heads * head])],
        |i| {
            let angles = primitive::<Flex>(head, &i[0]);
            composed_rotate::<Flex>(i[0].clone(), angles, &turn(rows, heads, false))
        },
        |g, i| {
            let angles = primitive::<Flex>(head, &i[0]);
            vec![composed_rotate::<Flex>(g, angles, &turn(rows, heads, true))]
        },
    );
}

#[test]
fn gpu_path() {
    for (rows, heads, head) in SIZES {
        let what = format!("rotation of {rows}, {heads} heads of {head}");
        gpu::compare(&what, &[[rows, 3 * heads * head]], |device, i| {
            super::rotate(i[0].clone(), &table(head, device), &places(rows), heads)
        });
    }
}

#[test]
fn gpu_gradient() {
    for (rows, heads, head) in [(1, 1, 2), (17, 3, 10), (33, 2, 32)] {
        Case {
            name: format!("rotation of {rows}, {heads} heads of {head}"),
            kernel: "rotate",
            shapes: vec![[rows, 3 * heads * head]],
            truth: Box::new(move |i| truth(&i[0], (rows, heads, head), 1.0)),
            operation: Box::new(move |device, i| {
                super::rotate(i[0].clone(), &table(head, device), &places(rows), heads)
            }),
        }
        .check();
    }
}
