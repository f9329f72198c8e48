//! Every variant of every kernel, launched by itself on poisoned outputs, against the truth in f64.
//!
//! A test runs all variants that `shaders/variants.json` describes for its kernel, whatever launch code
//! would choose, at odd sizes where the variant takes them, and fails where one of them did not run. Left
//! out are those that want what the adapter does not have: software has no cooperative matrices.

mod attention;
mod linear;
mod lora;
mod rows;
mod training;

use burn::tensor::wgpu::wgpu::Features;
use burn_cubecl::tensor::CubeTensor;

use super::device::{Gpu, features, gpu, host, least_gpu};
use super::tolerance;
use crate::ops::Precision;
use crate::ops::wgsl::kernel::{ALL, Groups, Kernel};
use crate::ops::wgsl::launched;

/// Rows, and widths where any will do.
const ODD: [usize; 8] = [1, 2, 3, 17, 31, 33, 127, 129];
/// Widths where they must divide by four.
const QUADS: [usize; 8] = [4, 8, 12, 20, 28, 36, 124, 132];

/// What a test runs with.
struct Bench {
    gpu: Gpu,
    /// Extensions of WebGPU that it has.
    features: Features,
    /// Whether one size of each variant is enough.
    once: bool,
}

impl Bench {
    /// The variants of a kernel that the device can run.
    fn variants(&self, name: &str) -> impl Iterator<Item = &'static Kernel> {
        let features = self.features;
        variants(name).filter(move |kernel| features.contains(wanted(kernel)))
    }

    /// The first of these sizes, or all.
    fn sizes<T>(&self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().take(if self.once { 1 } else { usize::MAX })
    }
}

macro_rules! kernels {
    ($($file:ident :: $kernel:ident),* $(,)?) => {
        /// The kernels and what tests them.
        const TESTS: &[(&str, fn(&Bench))] =
            &[$((stringify!($kernel), $file::$kernel as fn(&Bench))),*];
        $(
            #[test]
            fn $kernel() {
                let Some(device) = gpu() else { return };
                let bench = Bench { gpu: Gpu::new(device), features: features(), once: false };
                every_variant(stringify!($kernel), $file::$kernel, &bench);
            }
        )*
    };
}

kernels!(
    attention::attention,
    attention::attention_backward,
    attention::attention_cls,
    attention::attention_cls_backward,
    linear::linear,
    linear::linear_backward,
    linear::linear_cooperative,
    linear::linear_gelu,
    linear::linear_weight_grad,
    lora::lora_down,
    lora::lora_grads,
    lora::lora_grads_scaled,
    lora::lora_linear,
    lora::lora_linear_backward,
    lora::lora_linear_gelu,
    lora::lora_up_backward,
    rows::add_layer_norm,
    rows::add_layer_norm_backward,
    rows::add_layer_norm_infer,
    rows::embed_layer_norm,
    rows::gather_cls,
    rows::gelu_backward,
    rows::gelu_forward,
    rows::scatter_cls,
    rows::score_head,
    rows::score_head_backward,
    training::adamw,
    training::correlation_backward,
    training::correlation_finish,
    training::correlation_matrix,
    training::correlation_standardise,
    training::cut,
    training::global_norm,
    training::list_loss,
    training::list_loss_backward,
    training::pack,
);

#[test]
fn every_kernel_has_a_test() {
    for kernel in ALL {
        let tested = TESTS.iter().any(|(name, _)| *name == kernel.entry);
        assert!(tested, "nothing tests shaders/{}.wgsl", kernel.entry);
    }
}

#[test]
fn within_the_limits_of_every_webgpu_device() {
    let Some(device) = least_gpu() else { return };
    let bench = Bench { gpu: Gpu::new(device), features: Features::empty(), once: true };
    for (name, test) in TESTS {
        every_variant(name, *test, &bench);
    }
}

/// Runs a test, and fails where it has not launched all variants of its kernel.
fn every_variant(name: &str, test: fn(&Bench), bench: &Bench) {
    drop(launched());
    test(bench);
    let launched = launched();
    assert!(variants(name).count() > 0, "{name} is no kernel");
    for kernel in bench.variants(name) {
        assert!(launched.contains(kernel.name), "no test ran {}", kernel.name);
    }
}

/// What a variant wants beyond WebGPU's base.
fn wanted(kernel: &Kernel) -> Features {
    let source = kernel.source();
    let extensions = [
        ("subgroup", Features::SUBGROUP),
        ("enable f16;", Features::SHADER_F16),
        ("enable wgpu_cooperative_matrix;", Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    ];
    let used = extensions.into_iter().filter(|(word, _)| source.contains(word));
    used.fold(Features::empty(), |all, (_, feature)| all | feature)
}

/// The variants of a kernel.
fn variants(name: &str) -> impl Iterator<Item = &'static Kernel> {
    ALL.iter().copied().filter(move |kernel| kernel.entry == name)
}

/// How a variant reads frozen weights.
fn precision(kernel: &Kernel) -> Precision {
    let has = |name: &str| kernel.name.split('_').any(|part| part == name);
    match (has("f16"), has("int8")) {
        (true, _) => Precision::F16,
        (_, true) => Precision::Int8,
        _ => Precision::F32,
    }
}

/// Widths that a variant takes: any, or those of quads.
fn widths(kernel: &Kernel) -> [usize; 8] {
    if kernel.constant("PER_ITEM") == 4 { QUADS } else { ODD }
}

/// Enough workgroups for `count` things of `each` to a workgroup.
fn groups(count: usize, each: u32) -> Groups {
    Groups::linear((count as u32).div_ceil(each))
}

/// One workgroup for each tile.
fn tiles(kernel: &Kernel, rows: usize, columns: usize) -> Groups {
    let tile = kernel.constant("TILE");
    Groups::linear((rows as u32).div_ceil(tile) * (columns as u32).div_ceil(tile))
}

/// Fails where an output was not written everywhere, is off, or is all zero.
fn check(kernel: &Kernel, what: &str, expected: &[f64], found: &CubeTensor) {
    let most = compare(kernel, what, expected, found);
    assert!(most > 0.0, "{}: {what}: all zero proves nothing", kernel.name);
}

/// The same, where all zero is right too. Returns the largest size of an expected element.
fn compare(kernel: &Kernel, what: &str, expected: &[f64], found: &CubeTensor) -> f64 {
    let (found, allow) = (host(found), tolerance::of(kernel.entry));
    assert_eq!(expected.len(), found.len(), "{}: {what}: sizes", kernel.name);
    let most = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let (found_count, allowed) = (found.len(), allow.absolute + allow.relative * most);
    for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
        assert!(
            (expected - found).abs() <= allowed,
            "{}: {what}: element {i} of {} is {found}, expected {expected}; {allowed:.1e} is allowed: {}",
            kernel.name,
            found_count,
            allow.why
        );
    }
    most
}
