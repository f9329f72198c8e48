//! Operations on rows and on single elements.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

use super::attention::SegmentBuffers;
use super::kernel::{
    Groups, Kernel, RowGroup, add_layer_norm, add_layer_norm_backward, add_layer_norm_infer,
    embed_layer_norm, gather_cls, gelu_backward, gelu_forward, scatter_cls, score_head,
    score_head_backward,
};
use super::launch::{count, dims, empty, launch};
use super::tuning::{Processor, tuning};
use crate::ops::Segments;

/// From this width on, or with so few rows, a row is worth a whole workgroup.
const WIDE: u32 = 1024;
const FEW_ROWS: u32 = 512;

/// How rows on the device of `like` are shared out. A software adapter gains nothing from many threads per row,
/// nor from subgroups.
fn row_group(rows: u32, width: u32, like: &CubeTensor) -> RowGroup {
    let tuning = tuning(like);
    let busy = width < WIDE && rows >= FEW_ROWS;
    match tuning.processor {
        Processor::Software => RowGroup::Narrow,
        Processor::Gpu if !busy => RowGroup::Wide,
        Processor::Gpu if tuning.extensions.subgroups => RowGroup::Subgroup,
        Processor::Gpu => RowGroup::Narrow,
    }
}

/// One workgroup for each block of rows.
fn by_rows(kernel: &Kernel, rows: u32) -> Groups {
    Groups::linear(rows.div_ceil(kernel.constant("ROWS")))
}

/// One workgroup for each block of elements.
fn by_block(kernel: &Kernel, elements: u32) -> Groups {
    Groups::linear(elements.div_ceil(kernel.constant("BLOCK")))
}

pub(super) fn embed_layer_norm(
    [words, positions, types]: [&CubeTensor; 3],
    gamma: &CubeTensor,
    beta: &CubeTensor,
    ids: &CubeTensor,
    epsilon: f32,
) -> CubeTensor {
    use embed_layer_norm as shader;
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

pub(super) fn add_layer_norm(
    x: &CubeTensor,
    residual: &CubeTensor,
    gamma: &CubeTensor,
    beta: &CubeTensor,
    epsilon: f32,
) -> CubeTensor {
    use add_layer_norm_infer as shader;
    let (rows, width) = dims(x);
    let y = empty([rows as usize, width as usize], x);
    let call = shader::Arguments { x, residual, gamma, beta, y: &y, rows, width, epsilon };
    let kernel = shader::variant(row_group(rows, width, x));
    launch(kernel, &call, by_rows(kernel, rows));
    y
}

/// The output, the normalised rows and the inverse deviations.
pub(super) fn add_layer_norm_forward(
    x: &CubeTensor,
    residual: &CubeTensor,
    gamma: &CubeTensor,
    beta: &CubeTensor,
    epsilon: f32,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    use add_layer_norm as shader;
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
    (y, normalised, inverse_deviation)
}

pub(super) fn add_layer_norm_backward(
    g: &CubeTensor,
    normalised: &CubeTensor,
    inverse_deviation: &CubeTensor,
    gamma: &CubeTensor,
) -> CubeTensor {
    use add_layer_norm_backward as shader;
    let (rows, width) = dims(g);
    let dx = empty([rows as usize, width as usize], g);
    let call = shader::Arguments { g, normalised, inverse_deviation, gamma, dx: &dx, rows, width };
    let kernel = shader::variant(row_group(rows, width, g));
    launch(kernel, &call, by_rows(kernel, rows));
    dx
}

/// A tensor of the shape of `like`, which is a matrix.
fn same_shape(like: &CubeTensor) -> CubeTensor {
    let shape = like.shape();
    empty([shape[0], shape[1]], like)
}

pub(super) fn gelu(x: &CubeTensor) -> CubeTensor {
    let y = same_shape(x);
    let call = gelu_forward::Arguments { x, y: &y, count: count(x) };
    let kernel = gelu_forward::variant();
    launch(kernel, &call, by_block(kernel, count(x)));
    y
}

pub(super) fn gelu_backward(g: &CubeTensor, x: &CubeTensor) -> CubeTensor {
    let dx = same_shape(x);
    let call = gelu_backward::Arguments { g, x, dx: &dx, count: count(x) };
    let kernel = gelu_backward::variant();
    launch(kernel, &call, by_block(kernel, count(x)));
    dx
}

pub(super) fn gather_cls(x: &CubeTensor, segments: &Segments) -> CubeTensor {
    let (sequences, width) = (segments.len() as u32, dims(x).1);
    let y = empty([sequences as usize, width as usize], x);
    let offsets = SegmentBuffers::of(segments, x).offsets;
    let call = gather_cls::Arguments { x, offsets: &offsets, y: &y, segments: sequences, width };
    let kernel = gather_cls::variant();
    launch(kernel, &call, by_block(kernel, sequences * width));
    y
}

pub(super) fn scatter_cls(g: &CubeTensor, segments: &Segments) -> CubeTensor {
    let ((sequences, width), rows) = (dims(g), segments.rows() as u32);
    let dx = empty([rows as usize, width as usize], g);
    let offsets = SegmentBuffers::of(segments, g).offsets;
    let call =
        scatter_cls::Arguments { g, offsets: &offsets, dx: &dx, rows, segments: sequences, width };
    let kernel = scatter_cls::variant();
    launch(kernel, &call, by_rows(kernel, rows));
    dx
}

pub(super) fn score_head(cls: &CubeTensor, head: &CubeTensor) -> CubeTensor {
    let (rows, width) = dims(cls);
    let scores = empty([rows as usize], cls);
    let call = score_head::Arguments { cls, head, scores: &scores, rows, width };
    let kernel = score_head::variant();
    launch(kernel, &call, by_rows(kernel, rows));
    scores
}

/// Gradients by the `[CLS]` rows and by the head.
pub(super) fn score_head_backward(
    g: &CubeTensor,
    cls: &CubeTensor,
    head: &CubeTensor,
) -> (CubeTensor, CubeTensor) {
    let (rows, width) = dims(cls);
    let (dcls, dhead) = (same_shape(cls), empty([width as usize + 1], cls));
    let call =
        score_head_backward::Arguments { g, cls, head, dcls: &dcls, dhead: &dhead, rows, width };
    let kernel = score_head_backward::variant();
    let of_cls = (rows * width).div_ceil(kernel.constant("BLOCK"));
    let of_head = (width + 1).div_ceil(kernel.constant("COLUMNS"));
    launch(kernel, &call, Groups::linear(of_cls + of_head));
    (dcls, dhead)
}
