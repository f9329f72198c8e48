//! Compares all implementations of dropout, and checks the statistics of its masks.

use burn::backend::Flex;

use super::{Dropout, DropoutMask, composed_dropout, wgsl};
use crate::ops::tests::cpu_path::SIZES;
use crate::ops::tests::directions::Case;
use crate::ops::tests::gpu;
use crate::ops::tests::kernels::{Bench, check, groups, kernel_tests};
use crate::ops::tests::support::{Source, read};
use crate::ops::wgsl::launch::launch;

kernel_tests!(dropout: ELEMENT);

const MASK: DropoutMask = DropoutMask { probability: 0.4, seed: 1 << 40 | 7, layer: 3, place: 1 };

/// The factors of `count` elements, as the kernel's formula says.
fn factors(mask: DropoutMask, count: usize) -> Vec<f64> {
    let kept = |i: usize| {
        f64::from(mask.words(i / 4)[i % 4]) >= f64::from(mask.probability) * 2f64.powi(32)
    };
    (0..count)
        .map(|i| if kept(i) { 1.0 / (1.0 - f64::from(mask.probability)) } else { 0.0 })
        .collect()
}

fn dropout(bench: &Bench) {
    for kernel in bench.variants("dropout") {
        // Fewer and more elements than a workgroup's block.
        for count in bench.sizes([1025, 3, 4, 17, 127, 1024, 4099]) {
            let (x, y) = (Source::new(71).exact(count), bench.gpu.output([count]));
            let given = bench.gpu.floats([count], &x);
            let call = wgsl::arguments(&given, &y, MASK);
            launch(kernel, &call, groups(count, kernel.constant("BLOCK")));
            let expected: Vec<f64> =
                x.iter().zip(factors(MASK, count)).map(|(x, f)| x * f).collect();
            check(kernel, &format!("{count}"), &expected, &y);
        }
    }
}

/// Of 400,000 elements: the share of dropped ones, and of pairs of dropped ones, is within four standard deviations.
#[test]
fn masks_are_independent() {
    const COUNT: usize = 400_000;
    let dropped = |mask| factors(mask, COUNT).into_iter().map(|f| f == 0.0).collect::<Vec<_>>();
    for probability in [0.05f32, 0.1, 0.5, 0.9] {
        let mask = DropoutMask { probability, ..MASK };
        let first = dropped(mask);
        let share = |expected: f64, found: usize, of: usize, what: &str| {
            let deviation = (expected * (1.0 - expected) / of as f64).sqrt();
            let found = found as f64 / of as f64;
            assert!((found - expected).abs() < 4.0 * deviation, "{what}, {probability}: {found}");
        };
        let p = f64::from(probability);
        share(p, first.iter().filter(|d| **d).count(), COUNT, "dropped");
        // Neighbours within and across quads, and rows of MiniLM.
        for distance in [1, 2, 3, 4, 384, 1536] {
            let both = first.iter().zip(&first[distance..]).filter(|(a, b)| **a && **b).count();
            share(p * p, both, COUNT - distance, &format!("{distance} apart"));
        }
        let others = [
            DropoutMask { seed: mask.seed + 1, ..mask },
            DropoutMask { seed: mask.seed ^ 1 << 63, ..mask },
            DropoutMask { layer: mask.layer + 1, ..mask },
            DropoutMask { place: mask.place + 1, ..mask },
        ];
        for other in others {
            let both = first.iter().zip(dropped(other)).filter(|(a, b)| **a && *b).count();
            share(p * p, both, COUNT, &format!("{other:?}"));
        }
    }
}

#[test]
fn cpu_path() {
    let mut source = Source::new(72);
    for (t, h) in SIZES.into_iter().zip([2, 3, 17, 31, 33, 127, 129, 384]).chain([(1030, 5)]) {
        let x = source.f32([t, h]);
        let expected = composed_dropout::<Flex>(x.clone(), MASK);
        assert_eq!(read::<Flex>(expected), read::<Flex>(Flex::dropout(x, MASK)), "{t} {h}");
    }
}

#[test]
fn gpu_path() {
    for [t, h] in [[2, 3], [17, 31], [129, 33], [64, 384]] {
        gpu::compare(&format!("dropout {t} {h}"), &[[t, h]], |_, i| {
            super::dropout(i[0].clone(), MASK)
        });
    }
}

#[test]
fn gpu_gradient() {
    for [t, h] in [[3, 5], [17, 31], [33, 129]] {
        Case {
            name: format!("dropout {t} {h}"),
            kernel: "dropout",
            shapes: vec![[t, h]],
            truth: Box::new(move |i| {
                i[0].iter().zip(factors(MASK, t * h)).map(|(x, f)| x * f).collect()
            }),
            operation: Box::new(|_, i| super::dropout(i[0].clone(), MASK)),
        }
        .check();
    }
}
