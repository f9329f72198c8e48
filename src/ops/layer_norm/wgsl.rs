//! Launches `add_layer_norm*.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{
    AddLayerNormForward, AddLayerNormInputs, LayerNorm, LayerNormKernels, LayerNormSaved, composed,
};
use crate::ops::probe::{Case, Names};
use crate::ops::saved::Output;
use crate::ops::wgsl::kernel::{
    RowGroup, add_layer_norm, add_layer_norm_backward, add_layer_norm_infer,
};
use crate::ops::wgsl::launch::{by_rows, dims, empty, launch};
use crate::ops::wgsl::tuning::{Processor, tuning};
use crate::ops::wgsl::{Extensions, kernel_or_composed};

impl LayerNorm for CubeBackend {
    fn add_layer_norm(inputs: AddLayerNormInputs<Self>) -> Output<Self> {
        Output::whole(kernel_or_composed(
            inputs,
            |inputs| infer(&inputs),
            |inputs| composed::add_layer_norm::<Self>(inputs).y,
        ))
    }
}

impl LayerNormKernels for CubeBackend {
    fn add_layer_norm_forward(inputs: AddLayerNormInputs<Self>) -> AddLayerNormForward<Self> {
        kernel_or_composed(inputs, |inputs| forward(&inputs), composed::add_layer_norm)
    }

    fn add_layer_norm_backward(
        g: FloatTensor<Self>,
        saved: LayerNormSaved<Self>,
    ) -> FloatTensor<Self> {
        kernel_or_composed(
            (g, saved),
            |(g, saved)| backward(&g, &saved),
            |(g, saved)| composed::add_layer_norm_backward(g, saved),
        )
    }

    fn scale_rows(
        n: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::scale_rows::<Self>(n, gamma, beta)
    }

    fn column_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::column_sums::<Self>(x)
    }
}

/// From this width on, or with this few rows, each row gets a whole workgroup.
const WIDE: u32 = 1024;
const FEW_ROWS: u32 = 512;

/// The distribution of rows over workgroups on the device of `like`. Many threads per row, or subgroups, do not speed
/// up a software adapter.
pub(in crate::ops) fn row_group(rows: u32, width: u32, like: &CubeTensor) -> RowGroup {
    let tuning = tuning(like);
    let busy = width < WIDE && rows >= FEW_ROWS;
    match tuning.processor {
        Processor::Software => RowGroup::Narrow,
        Processor::Gpu if !busy => RowGroup::Wide,
        Processor::Gpu if tuning.extensions.subgroups => RowGroup::Subgroup,
        Processor::Gpu => RowGroup::Narrow,
    }
}

/// The output only.
fn infer(inputs: &AddLayerNormInputs<CubeBackend>) -> CubeTensor {
    use add_layer_norm_infer as shader;
    let &AddLayerNormInputs { ref x, ref residual, ref gamma, ref beta, epsilon } = inputs;
    let (rows, width) = dims(x);
    let y = empty([rows as usize, width as usize], x);
    let call = shader::Arguments { x, residual, gamma, beta, y: &y, rows, width, epsilon };
    let kernel = shader::variant(row_group(rows, width, x));
    launch(kernel, &call, by_rows(kernel, rows));
    y
}

fn forward(inputs: &AddLayerNormInputs<CubeBackend>) -> AddLayerNormForward<CubeBackend> {
    use add_layer_norm as shader;
    let &AddLayerNormInputs { ref x, ref residual, ref gamma, ref beta, epsilon } = inputs;
    let (rows, width) = dims(x);
    let y = empty([rows as usize, width as usize], x);
    let normalised = empty([rows as usize, width as usize], x);
    let inverse_deviation = empty([rows as usize, 1], x);
    let call = shader::Arguments {
        x,
        residual,
        gamma,
        beta,
        y: &y,
        normalised: &normalised,
        inverse_deviation: &inverse_deviation,
        rows,
        width,
        epsilon,
    };
    let kernel = shader::variant(row_group(rows, width, x));
    launch(kernel, &call, by_rows(kernel, rows));
    AddLayerNormForward { y, normalised, inverse_deviation }
}

fn backward(g: &CubeTensor, saved: &LayerNormSaved<CubeBackend>) -> CubeTensor {
    use add_layer_norm_backward as shader;
    let LayerNormSaved { normalised, inverse_deviation, gamma } = saved;
    let (rows, width) = dims(g);
    let dx = empty([rows as usize, width as usize], g);
    let call = shader::Arguments { g, normalised, inverse_deviation, gamma, dx: &dx, rows, width };
    let kernel = shader::variant(row_group(rows, width, g));
    launch(kernel, &call, by_rows(kernel, rows));
    dx
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let (narrow, wide) = ([513, 33], [17, 32]);
    vec![
        case(narrow, "add_layer_norm", "add_layer_norm_backward").quick(),
        case(wide, "add_layer_norm_wide", "add_layer_norm_backward_wide"),
        case([3, 1030], "add_layer_norm_wide", "add_layer_norm_backward_wide"),
        scoring(narrow, "add_layer_norm_infer").quick(),
        scoring(wide, "add_layer_norm_infer_wide"),
    ]
}

/// Cases for a GPU with subgroups.
pub(in crate::ops) fn subgroup_cases() -> Vec<Case> {
    let size = [513, 67];
    let extensions = Extensions { subgroups: true, ..Extensions::NONE };
    [
        case(size, "add_layer_norm_subgroup", "add_layer_norm_backward_subgroup").quick(),
        scoring(size, "add_layer_norm_infer_subgroup"),
    ]
    .map(|case| case.extended(extensions, "subgroups"))
    .into()
}

fn case([rows, width]: [usize; 2], forward: &'static str, backward: &'static str) -> Case {
    const EPSILON: f32 = 1e-12;
    let name = format!("add_layer_norm, {rows} rows of {width}");
    let backward: Names<'_> = &[backward];
    let inputs = [("x", [rows, width], backward), ("the residual", [rows, width], backward)];
    Case::new(name, &[forward], &inputs, move |source, i| {
        let (gamma, beta) = (source.tensor([width]), source.tensor([width]));
        super::add_layer_norm(i[0].clone(), i[1].clone(), &gamma, &beta, EPSILON).into_values()
    })
}

/// The case as in rescoring.
fn scoring(size: [usize; 2], forward: &'static str) -> Case {
    case(size, forward, "").without_gradients().renamed("without gradients")
}
