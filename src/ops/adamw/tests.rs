//! Compares all implementations of AdamW with f64.

use burn::backend::{Flex, ops::FloatTensorOps};
use burn::tensor::{Device, Tensor};

use super::{
    AdamW, AdamWKernels, AdamWState, AdamWStep, OptimizerState, adamw as stepped, composed,
    square_sums,
};
use crate::ops::flat_vector::join;
use crate::ops::tests::cpu_path::{SIZES, same};
use crate::ops::tests::device::{gpu, host};
use crate::ops::tests::gpu::{assert_near, frozen};
use crate::ops::tests::kernels::{Bench, check, groups, kernel_tests};
use crate::ops::tests::support::Source;
use crate::ops::tests::truth::dot;
use crate::ops::wgsl::kernel as shaders;
use crate::ops::wgsl::launch::launch;

kernel_tests!(global_norm: PRODUCT, adamw: OPTIMISER);

/// Parameters, moments and the gradient's norm after a step.
fn truth(state: &mut [Vec<f64>; 3], g: &[f64], step: &AdamWStep) -> f64 {
    let (norm, adam) = (dot(g, g).sqrt(), &step.settings);
    let clip = if adam.clip_norm > 0.0 { (adam.clip_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
    let [parameters, first, second] = state;
    let power = |beta: f64| 1.0 - beta.powi(i32::try_from(step.step).expect("few steps"));
    for (i, g) in g.iter().enumerate() {
        let g = g * clip;
        first[i] = adam.beta1 * first[i] + (1.0 - adam.beta1) * g;
        second[i] = adam.beta2 * second[i] + (1.0 - adam.beta2) * g * g;
        let root = (second[i] / power(adam.beta2)).sqrt() + adam.epsilon;
        let way = step.lr * (first[i] / power(adam.beta1)) / root;
        parameters[i] = parameters[i] * (1.0 - step.lr * adam.weight_decay) - way;
    }
    norm
}

/// Sums of squares as `global_norm` splits them.
fn partials(g: &[f64], count: usize, threads: usize) -> Vec<f64> {
    let mut sums = vec![0.0; count];
    for (i, g) in g.iter().enumerate() {
        sums[i / threads % count] += g * g;
    }
    sums
}

const LENGTHS: [usize; 7] = [1025, 1, 2, 31, 129, 4097, 70_001];

fn global_norm(bench: &Bench) {
    for kernel in bench.variants("global_norm") {
        let [count, threads] = ["PARTIALS", "THREADS"].map(|name| kernel.constant(name) as usize);
        for len in bench.sizes(LENGTHS) {
            let (g, sums) = (Source::new(87).exact(len), bench.gpu.output([count]));
            let call = shaders::global_norm::Arguments {
                g: &bench.gpu.floats([len], &g),
                partials: &sums,
                count: len as u32,
            };
            launch(kernel, &call, groups(count, 1));
            check(kernel, &format!("{len}"), &partials(&g, count, threads), &sums);
        }
    }
}

fn adamw(bench: &Bench) {
    let count = shaders::global_norm::variant().constant("PARTIALS") as usize;
    for kernel in bench.variants("adamw") {
        for (i, len) in bench.sizes(LENGTHS.into_iter().enumerate()) {
            let mut source = Source::new(88);
            let step = AdamWStep::new(AdamW::new(0.01, [0.5, 0.0, 1e9][i % 3]), 0.1, 1 + 3 * i);
            let (mut g, parameters) = (source.exact(len), source.exact(len));
            let (first, second) =
                (source.exact(len), source.exact(len).iter().map(|x| x.abs()).collect());
            let mut state = [parameters, first, second];
            let broken = i == 3;
            if broken {
                g[len / 2] = f64::INFINITY;
            }
            let on_device = state.each_ref().map(|values| bench.gpu.floats([len], values));
            let norm = bench.gpu.output([1]);
            let [correction1, correction2] = step.corrections();
            let schedule = [step.lr, correction1, correction2];
            let call = shaders::adamw::Arguments {
                g: &bench.gpu.floats([len], &g),
                parameters: &on_device[0],
                first: &on_device[1],
                second: &on_device[2],
                partials: &bench.gpu.floats([count], &partials(&g, count, 256)),
                schedule: &bench.gpu.floats([3], &schedule),
                norm: &norm,
                count: len as u32,
                weight_decay: step.settings.weight_decay as f32,
                beta1: step.settings.beta1 as f32,
                beta2: step.settings.beta2 as f32,
                epsilon: step.settings.epsilon as f32,
                rest1: (1.0 - step.settings.beta1) as f32,
                rest2: (1.0 - step.settings.beta2) as f32,
                clip_norm: step.settings.clip_norm as f32,
            };
            launch(kernel, &call, groups(len, kernel.constant("BLOCK")));
            if broken {
                // A non-finite norm changes nothing else.
                assert!(!host(&norm)[0].is_finite());
            } else {
                let expected = truth(&mut state, &g, &step);
                check(kernel, &format!("norm {len}"), &[expected], &norm);
            }
            for (name, (expected, found)) in
                ["parameters", "first", "second"].iter().zip(state.iter().zip(&on_device))
            {
                check(kernel, &format!("{name} {len}"), expected, found);
            }
        }
    }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(17);
    // Up to more than two blocks; clipped, below the max norm, and without clipping.
    for len in SIZES.into_iter().chain([40_001]) {
        for clip_norm in [0.5, 1e6, 0.0] {
            let (parameters, g) = (source.f32([len]), source.f32([len]));
            let first = source.f32([len]);
            let second = Flex::float_mul(first.clone(), first.clone());
            let step = AdamWStep::new(AdamW::new(0.01, clip_norm), 0.1, 3);
            let state = OptimizerState::<Flex> { parameters, first, second };
            let expected = composed::adamw(state.clone(), g.clone(), step.clone());
            let found = Flex::adamw(state, g, step);
            let what = |part: &str| format!("adamw {part}, {len}, clipped to {clip_norm}");
            same(&what("parameters"), expected.state.parameters, found.state.parameters);
            same(&what("first moment"), expected.state.first, found.state.first);
            same(&what("second moment"), expected.state.second, found.state.second);
            same(&what("norm"), expected.norm, found.norm);
        }
    }
}

/// The sum of the partial sums.
fn summed(sums: Tensor<1>) -> f64 {
    let sums: Vec<f32> = sums.into_data().try_into_vec().expect("f32");
    sums.into_iter().map(f64::from).sum()
}

#[test]
fn squares_are_summed_on_both_paths() {
    for device in [Some(Device::flex()), gpu()].into_iter().flatten() {
        for len in SIZES.into_iter().chain([1025, 40_001, 70_001]) {
            let mut values = vec![0.0f32; len];
            Source::new(89).exact(len).iter().zip(&mut values).for_each(|(x, to)| *to = *x as f32);
            let expected: f64 = values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            let of = |values: &[f32]| square_sums(Tensor::from_floats(values, &device));
            let (found, again) = (of(&values), of(&values));
            // The order of the sums is fixed.
            assert_eq!(found.to_data(), again.to_data(), "{len}");
            let (found, allowed) = (summed(found), 1e-6 * expected);
            assert!((found - expected).abs() <= allowed, "{len}: {found}, not {expected}");
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for at in [0, len / 2, len - 1] {
                    let mut broken = values.clone();
                    broken[at] = bad;
                    let found = summed(of(&broken));
                    assert!(!found.is_finite(), "{bad} at {at} of {len} is hidden: {found}");
                }
            }
        }
    }
}

#[test]
fn gpu_path() {
    let Some(gpu) = gpu() else { return };
    for len in [1, 31, 1025, 70_001] {
        let run = |device: &Device| {
            let g = frozen::<1>(1, [len], device);
            // Shared tensors must not change.
            let before = frozen::<1>(2, [len], device);
            let mut state = AdamWState {
                parameters: before.clone(),
                first: Tensor::zeros([len], device),
                second: Tensor::zeros([len], device),
            };
            let mut norm = Tensor::<1>::zeros([1], device);
            for step in 1..=3 {
                let step = AdamWStep::new(AdamW::new(0.01, 0.5), 0.1, step);
                (state, norm) = stepped(state, g.clone(), step);
            }
            let AdamWState { parameters, first, second } = state;
            let pieces: Vec<(usize, Tensor<1>)> = [parameters, first, second, norm, before]
                .into_iter()
                .scan(0, |offset, piece| {
                    let at = *offset;
                    *offset += piece.dims()[0];
                    Some((at, piece))
                })
                .collect();
            join(&pieces, 4 * len + 1).reshape([1, 4 * len + 1])
        };
        assert_near(&format!("adamw {len}"), run(&Device::flex()), run(&gpu));
    }
}
