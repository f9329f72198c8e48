//! Launches every variant of every kernel separately on outputs filled with NaN, and compares with the f64 reference.
//!
//! A test runs all variants that `shaders/variants.json` describes for its kernel, regardless of launch code's
//! selection, at odd sizes if the variant supports them, and fails if one of them did not run. Variants that need
//! features that the adapter lacks (software adapters have no cooperative matrices) are reported as not run.

use burn::tensor::wgpu::wgpu::Features;
use burn_cubecl::tensor::CubeTensor;
use half::f16;

use super::device::{Gpu, features, gpu, host, least_gpu};
use super::tolerance::{self, Tolerance};
use crate::ops::Precision;
use crate::ops::wgsl::kernel::{ALL, Groups, Kernel};
use crate::ops::wgsl::launched;

/// Rows, and widths without restrictions.
pub(in crate::ops) const ODD: [usize; 8] = [1, 2, 3, 17, 31, 33, 127, 129];
/// Widths that are divisible by four.
pub(in crate::ops) const QUADS: [usize; 8] = [4, 8, 12, 20, 28, 36, 124, 132];

/// The context of a test.
pub(in crate::ops) struct Bench {
    pub gpu: Gpu,
    /// WebGPU extensions of the device.
    pub features: Features,
    /// Whether one size of each variant is enough.
    pub once: bool,
}

impl Bench {
    /// The variants of a kernel that the device can run.
    pub fn variants(&self, name: &str) -> impl Iterator<Item = &'static Kernel> {
        let features = self.features;
        variants(name).filter(move |kernel| features.contains(wanted(kernel)))
    }

    /// The first of these sizes, or all.
    pub fn sizes<T>(&self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().take(if self.once { 1 } else { usize::MAX })
    }
}

/// The test of a kernel.
pub(in crate::ops) struct KernelTest {
    /// The kernel.
    pub name: &'static str,
    /// Tolerance of its results.
    pub tolerance: Tolerance,
    /// Launches and compares all variants.
    pub run: fn(&Bench),
}

/// Lists the tests of the kernels of a folder, each with its tolerance, in `KERNELS`, and makes a test of each.
macro_rules! kernel_tests {
    ($($kernel:ident: $tolerance:ident),+ $(,)?) => {
        /// The tests of this folder's kernels.
        pub(in crate::ops) const KERNELS: &[crate::ops::tests::kernels::KernelTest] = &[$(
            crate::ops::tests::kernels::KernelTest {
                name: stringify!($kernel),
                tolerance: crate::ops::tests::tolerance::$tolerance,
                run: $kernel,
            }
        ),+];

        mod every_variant {
            $(
                #[test]
                fn $kernel() {
                    crate::ops::tests::kernels::run(stringify!($kernel), super::$kernel);
                }
            )+
        }
    };
}

pub(in crate::ops) use kernel_tests;

/// Runs a test on a software adapter.
pub(in crate::ops) fn run(name: &str, test: fn(&Bench)) {
    let Some(device) = gpu() else { return };
    let bench = Bench { gpu: Gpu::new(device), features: features(), once: false };
    // Only the build has validated those.
    let lacking: Vec<_> =
        variants(name).filter(|kernel| !bench.features.contains(wanted(kernel))).collect();
    if let Some(first) = lacking.first() {
        let (count, wanted) = (lacking.len(), wanted(first));
        crate::test_gpu::report_not_run(&format!("{count} variants need {wanted:?}"));
    }
    every_variant(name, test, &bench);
}

#[test]
fn every_kernel_has_a_test() {
    for kernel in ALL {
        let tested = crate::ops::kernel_tests().any(|test| test.name == kernel.entry);
        assert!(tested, "nothing tests shaders/{}.wgsl", kernel.entry);
    }
}

#[test]
fn within_the_limits_of_every_webgpu_device() {
    let Some(device) = least_gpu() else { return };
    let bench = Bench { gpu: Gpu::new(device), features: Features::empty(), once: true };
    for test in crate::ops::kernel_tests() {
        every_variant(test.name, test.run, &bench);
    }
}

/// Runs a test, and fails if it did not launch all variants of its kernel.
fn every_variant(name: &str, test: fn(&Bench), bench: &Bench) {
    drop(launched());
    test(bench);
    let launched = launched();
    assert!(variants(name).count() > 0, "{name} is not a kernel");
    for kernel in bench.variants(name) {
        assert!(launched.contains(kernel.name), "no test ran {}", kernel.name);
    }
}

/// Features that a variant needs beyond core WebGPU.
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
pub(in crate::ops) fn variants(name: &str) -> impl Iterator<Item = &'static Kernel> {
    ALL.iter().copied().filter(move |kernel| kernel.entry == name)
}

/// The weight precision of a variant.
pub(in crate::ops) fn precision(kernel: &Kernel) -> Precision {
    let has = |name: &str| kernel.name.split('_').any(|part| part == name);
    let named = Precision::ALL.into_iter().find(|precision| has(&precision.to_string()));
    named.unwrap_or_default()
}

/// Values as a variant multiplies them: exactly, or rounded to f16.
pub(in crate::ops) fn multiplied(kernel: &Kernel, values: Vec<f64>) -> Vec<f64> {
    match precision(kernel) {
        Precision::F32 | Precision::F16 | Precision::Int8 => values,
        Precision::Mixed => values.into_iter().map(|v| f16::from_f64(v).to_f64()).collect(),
    }
}

/// Widths that a variant supports: any, or multiples of four.
pub(in crate::ops) fn widths(kernel: &Kernel) -> [usize; 8] {
    if kernel.constant("PER_ITEM") == 4 { QUADS } else { ODD }
}

/// Workgroups for `count` items, with `each` items per workgroup.
pub(in crate::ops) fn groups(count: usize, each: u32) -> Groups {
    Groups::linear((count as u32).div_ceil(each))
}

/// One workgroup per tile.
pub(in crate::ops) fn tiles(kernel: &Kernel, rows: usize, columns: usize) -> Groups {
    let [of_rows, of_columns] = ["TILE_ROWS", "TILE_COLUMNS"].map(|name| kernel.constant(name));
    Groups::linear((rows as u32).div_ceil(of_rows) * (columns as u32).div_ceil(of_columns))
}

/// Fails if an output was not fully written, is wrong, or is all zero.
pub(in crate::ops) fn check(kernel: &Kernel, what: &str, expected: &[f64], found: &CubeTensor) {
    let most = compare(kernel, what, expected, found);
    assert!(most > 0.0, "{}: {what}: all values are zero", kernel.name);
}

/// The same, but all zeros are allowed. Returns the maximum magnitude of the expected elements.
pub(in crate::ops) fn compare(
    kernel: &Kernel,
    what: &str,
    expected: &[f64],
    found: &CubeTensor,
) -> f64 {
    let (found, allow) = (host(found), tolerance::of_variant(kernel));
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

/// Rows and widths; the last rows are longer than the registers of any variant.
pub(in crate::ops) fn row_sizes() -> impl Iterator<Item = [usize; 2]> {
    (0..8).map(|i| [ODD[(i + 4) % 8], ODD[(i + 6) % 8]]).chain([[3, 384], [1, 1025], [2, 3331]])
}

/// Added to variances.
pub(in crate::ops) const EPSILON: f32 = 1e-12;

/// A row of width 1 has deviation 0, so all kernels divide by epsilon.
pub(in crate::ops) fn wide_enough([_, h]: &[usize; 2]) -> bool {
    *h > 1
}

/// Enough workgroups for rows.
pub(in crate::ops) fn by_row(kernel: &Kernel, rows: usize) -> Groups {
    groups(rows, kernel.constant("ROWS"))
}
