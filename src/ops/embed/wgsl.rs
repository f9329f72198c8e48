//! Launches `embed_layer_norm.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Int, Shape, Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{Embed, EmbedInputs, Tables, TokenRows, composed};
use crate::ops::layer_norm::row_group;
use crate::ops::probe::Case;
use crate::ops::upload::parts;
use crate::ops::wgsl::kernel::embed_layer_norm;
use crate::ops::wgsl::launch::{by_rows, contiguous, count, dims, empty, launch};
use crate::ops::wgsl::{Extensions, Operands, WEB, kernel_or_composed_if};

impl Embed for CubeBackend {
    fn embed_layer_norm(inputs: EmbedInputs<Self>) -> FloatTensor<Self> {
        let known = WEB || inputs.ids.dtype == DType::I32;
        kernel_or_composed_if(known, inputs, |inputs| forward(&inputs), composed::embed_layer_norm)
    }
}

/// Implemented manually, because the ids must be contiguous too.
impl Operands for EmbedInputs<CubeBackend> {
    fn all(&self, test: &impl Fn(&CubeTensor) -> bool) -> bool {
        let Self { words, positions, types, gamma, beta, .. } = self;
        [words, positions, types, gamma, beta].into_iter().all(test)
    }

    fn contiguous(self) -> Self {
        let Self { words, positions, types, gamma, beta, ids, epsilon } = self;
        let [words, positions, types, gamma, beta, ids] =
            [words, positions, types, gamma, beta, ids].map(contiguous);
        Self { words, positions, types, gamma, beta, ids, epsilon }
    }
}

fn forward(inputs: &EmbedInputs<CubeBackend>) -> CubeTensor {
    use embed_layer_norm as shader;
    let &EmbedInputs { ref words, ref positions, ref types, ref gamma, ref beta, ref ids, epsilon } =
        inputs;
    let ((vocabulary, width), (places, _)) = (dims(words), dims(positions));
    let rows = count(ids) / 2;
    let y = empty([rows as usize, width as usize], words);
    let call = shader::Arguments {
        words,
        positions,
        types,
        gamma,
        beta,
        ids,
        y: &y,
        rows,
        width,
        vocabulary,
        places,
        epsilon,
    };
    let kernel = shader::variant(row_group(rows, width, words));
    launch(kernel, &call, by_rows(kernel, rows));
    y
}

/// The table of `tokens`, if it has one, and the ids.
pub(super) fn tokens(tokens: &TokenRows, like: &CubeTensor) -> (Option<CubeTensor>, CubeTensor) {
    let signed = |ids| CubeTensor { dtype: DType::I32, ..ids };
    let Some(shape) = tokens.shape() else {
        let [ids] = parts(tokens, like);
        return (None, signed(ids));
    };
    let [ids, CubeTensor { client, device, handle, dtype, .. }] = parts(tokens, like);
    let table = CubeTensor::new_contiguous(client, device, Shape::new(shape), handle, dtype);
    (Some(table), signed(ids))
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    vec![case([31, 32], "embed_layer_norm_wide"), case([513, 33], "embed_layer_norm").quick()]
}

/// Cases for a GPU with subgroups.
pub(in crate::ops) fn subgroup_cases() -> Vec<Case> {
    let extensions = Extensions { subgroups: true, ..Extensions::NONE };
    vec![case([513, 67], "embed_layer_norm_subgroup").extended(extensions, "subgroups")]
}

fn case([rows, width]: [usize; 2], kernel: &'static str) -> Case {
    const EPSILON: f32 = 1e-12;
    let name = format!("embed_layer_norm, {rows} tokens of {width}");
    Case::new(name, &[kernel], &[], move |source, _| {
        let [words, positions, types] =
            [[19, width], [7, width], [2, width]].map(|shape| source.tensor(shape));
        let tables = Tables { words: &words, positions: &positions, types: &types };
        let (gamma, beta) = (source.tensor([width]), source.tensor([width]));
        let ids: Vec<i32> =
            [19, 7].iter().flat_map(|m| (0..rows as i32).map(move |i| i * 5 % m)).collect();
        let ids = TensorData::new(ids, [2 * rows]);
        let ids = Tensor::<1, Int>::from_data(ids, &source.device);
        super::embed_layer_norm(tables, &gamma, &beta, ids, EPSILON)
    })
}
