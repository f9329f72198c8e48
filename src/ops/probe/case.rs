//! A case: an operation, its sizes, and the kernels that it runs.
//!
//! Launch code selects a variant by the sizes. For every variant there is a case, in the folder of its operation, for
//! which launch code selects it; a test compares the cases with the shaders.

use burn::tensor::Tensor;

use super::compare::{RELATIVE, RELATIVE_F16};
use super::inputs::Source;
use crate::ops::Precision;
use crate::ops::wgsl::kernel::ALL;
use crate::ops::wgsl::{Extensions, Tile, Tuning};

/// A result of a case to compare.
pub(in crate::ops) struct CaseResult {
    pub name: String,
    pub kernels: Vec<&'static str>,
}

/// One operation at one size.
pub(in crate::ops) struct Case {
    pub name: String,
    /// Whether it runs every time a GPU is opened, if the GPU uses the case's tile by default; with f16 factors, every
    /// time they are chosen.
    pub quick: bool,
    /// Whether the inputs' gradients are computed.
    pub tracked: bool,
    /// The kind of device that its kernels are for. It runs only on such devices.
    pub tuning: Tuning,
    /// Seed of all random values.
    pub seed: u64,
    /// Shapes of the inputs.
    pub inputs: Vec<[usize; 2]>,
    /// Inputs are uniform between this and its negative.
    pub spread: f32,
    /// The output, then the gradients of the inputs if they are tracked.
    pub results: Vec<CaseResult>,
    pub operation: Operation,
}

/// Draws the frozen tensors and computes the output.
pub(in crate::ops) type Operation = Box<dyn Fn(&mut Source, &[Tensor<2>]) -> Tensor<2>>;

/// Names of kernels.
pub(in crate::ops) type Names<'a> = &'a [&'static str];

impl Case {
    /// Inputs by name, shape, and the kernels of their gradients.
    pub fn new(
        name: String,
        output: Names<'_>,
        inputs: &[(&str, [usize; 2], Names<'_>)],
        operation: impl Fn(&mut Source, &[Tensor<2>]) -> Tensor<2> + 'static,
    ) -> Self {
        let result =
            |name: String, kernels: Names<'_>| CaseResult { name, kernels: kernels.to_vec() };
        let gradients = inputs
            .iter()
            .map(|(input, _, kernels)| result(format!("gradient by {input}"), kernels));
        let output = result("output".to_owned(), output);
        Self {
            name,
            quick: false,
            tracked: !inputs.is_empty(),
            tuning: Tuning::GPU,
            seed: 0,
            inputs: inputs.iter().map(|(_, shape, _)| *shape).collect(),
            spread: 1.0,
            results: std::iter::once(output).chain(gradients).collect(),
            operation: Box::new(operation),
        }
    }

    /// Only the output, as in rescoring, which may use another kernel.
    pub fn without_gradients(mut self) -> Self {
        self.tracked = false;
        self.results.truncate(1);
        self
    }

    /// The case with the variants that have this tile.
    pub fn tiled(mut self, tile: Tile) -> Self {
        if tile == Tile::Any {
            return self;
        }
        let kind = if tile == Tile::T128x128 { Tuning::SOFTWARE } else { Tuning::GPU };
        self.tuning = Tuning { tile: Some(tile), ..kind };
        self.renamed(&format!("tile {tile}"))
    }

    /// Tolerance for the difference to the CPU's results, relative to the largest element.
    pub fn relative(&self) -> f64 {
        let Extensions { half, cooperative_matrices, .. } = self.tuning.extensions;
        if half || cooperative_matrices { RELATIVE_F16 } else { RELATIVE }
    }

    /// The case on devices that compute in the precision.
    pub fn computed_in(mut self, precision: Precision) -> Self {
        self.tuning.extensions.half |= precision == Precision::Mixed;
        self
    }

    pub fn renamed(mut self, more: &str) -> Self {
        self.name = format!("{}, {more}", self.name);
        self
    }

    /// The case with the kernels of a GPU that has these extensions.
    pub fn extended(mut self, extensions: Extensions, name: &str) -> Self {
        self.tuning = Tuning { extensions, ..Tuning::GPU };
        self.renamed(name)
    }

    pub fn quick(mut self) -> Self {
        self.quick = true;
        self
    }
}

/// The variant with this name.
pub(in crate::ops) fn kernel(name: &str) -> &'static str {
    let found = ALL.iter().find(|kernel| kernel.name == name);
    found.unwrap_or_else(|| panic!("the cases name {name}, which is not a kernel")).name
}
