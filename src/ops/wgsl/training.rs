//! Losses of lists, the correlation term, the optimiser.

use burn_cubecl::tensor::CubeTensor;

use super::kernel::{
    Groups, adamw, correlation_backward, correlation_finish, correlation_matrix,
    correlation_standardise, cut, global_norm, list_loss, list_loss_backward, pack,
};
use super::launch::{count, dims, empty, launch, upload};
use crate::ops::{AdamWStep, Lists};

/// The loss of each list, `[U]`, and the slope of each hypothesis, `[L]`.
pub(super) fn list_losses(scores: &CubeTensor, lists: &Lists) -> (CubeTensor, CubeTensor) {
    let words = |pairs: &[[f32; 2]]| -> Vec<u32> {
        pairs.iter().flatten().map(|value| value.to_bits()).collect()
    };
    let (rows, offsets) = (upload(&lists.rows, scores), upload(&lists.offsets, scores));
    let (terms, sums) = (upload(&words(&lists.terms), scores), upload(&words(&lists.sums), scores));
    let (losses, slopes) = (empty([lists.len()], scores), empty([lists.rows.len()], scores));
    let kernel = list_loss::variant(lists.objective);
    let call = list_loss::Arguments {
        scores,
        rows: &rows,
        terms: &terms,
        sums: &sums,
        offsets: &offsets,
        losses: &losses,
        slopes: &slopes,
        lists: lists.len() as u32,
        beta: lists.beta,
    };
    launch(kernel, &call, Groups::linear(lists.len() as u32));
    (losses, slopes)
}

/// Gradient by the scores of `texts` distinct texts.
pub(super) fn list_loss_backward(
    g: &CubeTensor,
    slopes: &CubeTensor,
    lists: &Lists,
    texts: usize,
) -> CubeTensor {
    let rows = upload(&lists.rows, g);
    let dscores = empty([texts], g);
    let kernel = list_loss_backward::variant();
    let call = list_loss_backward::Arguments {
        upstream: g,
        rows: &rows,
        slopes,
        dscores: &dscores,
        hypotheses: lists.rows.len() as u32,
        texts: texts as u32,
        factor: 1.0,
    };
    launch(kernel, &call, Groups::linear((texts as u32).div_ceil(kernel.constant("THREADS"))));
    dscores
}

/// The term, z, scales and `R - I`.
pub(super) fn correlation(cls: &CubeTensor) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
    let (rows, width) = dims(cls);
    let d = width as usize;
    let (z, scales) = (empty([rows as usize, d], cls), empty([d, 2], cls));
    let kernel = correlation_standardise::variant();
    let call = correlation_standardise::Arguments { cls, z: &z, scales: &scales, rows, width };
    launch(kernel, &call, Groups::linear(width.div_ceil(kernel.constant("COLUMNS"))));

    let kernel = correlation_matrix::variant();
    let tiles = width.div_ceil(kernel.constant("TILE")).pow(2);
    let (off, partials) = (empty([d, d], cls), empty([tiles as usize], cls));
    let call = correlation_matrix::Arguments { z: &z, off: &off, partials: &partials, rows, width };
    launch(kernel, &call, Groups::linear(tiles));

    let value = empty([1], cls);
    let call =
        correlation_finish::Arguments { partials: &partials, value: &value, count: tiles, width };
    launch(correlation_finish::variant(), &call, Groups::linear(1));
    (value, z, scales, off)
}

/// Gradient of the term by the rows that it was computed from.
pub(super) fn correlation_backward(
    g: &CubeTensor,
    value: &CubeTensor,
    z: &CubeTensor,
    scales: &CubeTensor,
    off: &CubeTensor,
) -> CubeTensor {
    let (rows, width) = dims(z);
    let dcls = empty([rows as usize, width as usize], z);
    let kernel = correlation_backward::variant();
    let tile = kernel.constant("TILE");
    let call = correlation_backward::Arguments {
        upstream: g,
        value,
        z,
        scales,
        off,
        dcls: &dcls,
        rows,
        width,
        factor: 1.0,
    };
    launch(kernel, &call, Groups::linear(rows.div_ceil(tile) * width.div_ceil(tile)));
    dcls
}

/// The tensor itself where nobody else holds its memory, else a copy: for kernels that work in
/// place.
fn owned(tensor: CubeTensor) -> CubeTensor {
    if tensor.handle.can_mut() {
        return tensor;
    }
    let copy = empty([count(&tensor) as usize], &tensor);
    let offsets = [0, usize::MAX, usize::MAX, usize::MAX, usize::MAX, usize::MAX];
    write_parts(&copy, &[&tensor; 6], offsets);
    copy
}

/// Writes six vectors to their places in `flat`; an offset of `usize::MAX` leaves one out.
fn write_parts(flat: &CubeTensor, parts: &[&CubeTensor; 6], offsets: [usize; 6]) {
    let used = |k: usize| offsets[k] != usize::MAX;
    let length = |k: usize| if used(k) { count(parts[k]) } else { 0 };
    let offset = |k: usize| if used(k) { offsets[k] as u32 } else { 0 };
    let [s0, s1, s2, s3, s4, s5] = *parts;
    let call = pack::Arguments {
        s0,
        s1,
        s2,
        s3,
        s4,
        s5,
        flat,
        length0: length(0),
        length1: length(1),
        length2: length(2),
        length3: length(3),
        length4: length(4),
        length5: length(5),
        offset0: offset(0),
        offset1: offset(1),
        offset2: offset(2),
        offset3: offset(3),
        offset4: offset(4),
        offset5: offset(5),
    };
    let total: u32 = (0..6).map(length).sum();
    let kernel = pack::variant();
    launch(kernel, &call, Groups::linear(total.div_ceil(kernel.constant("BLOCK"))));
}

/// A copy of the `len` elements from `offset` on.
pub(super) fn cut(flat: &CubeTensor, offset: usize, len: usize) -> CubeTensor {
    let y = empty([len], flat);
    let call = cut::Arguments { flat, y: &y, offset: offset as u32, length: len as u32 };
    let kernel = cut::variant();
    launch(kernel, &call, Groups::linear((len as u32).div_ceil(kernel.constant("BLOCK"))));
    y
}

/// `flat` with six vectors at their places.
pub(super) fn pack(flat: CubeTensor, parts: &[CubeTensor; 6], offsets: [usize; 6]) -> CubeTensor {
    let flat = owned(flat);
    write_parts(&flat, &parts.each_ref(), offsets);
    flat
}

/// Parameters, moments and the gradient's norm after a step.
pub(super) fn adamw(
    [parameters, first, second]: [CubeTensor; 3],
    g: &CubeTensor,
    step: &AdamWStep,
) -> [CubeTensor; 4] {
    let [parameters, first, second] = [parameters, first, second].map(owned);
    let elements = count(g);
    let kernel = global_norm::variant();
    let partials = empty([kernel.constant("PARTIALS") as usize], g);
    let call = global_norm::Arguments { g, partials: &partials, count: elements };
    launch(kernel, &call, Groups::linear(count(&partials)));
    let norm = empty([1], g);
    let adam = &step.settings;
    let [correction1, correction2] = step.corrections();
    let schedule = [step.lr, correction1, correction2].map(|value| (value as f32).to_bits());
    let schedule = upload(&schedule, g);
    let call = adamw::Arguments {
        g,
        parameters: &parameters,
        first: &first,
        second: &second,
        partials: &partials,
        schedule: &schedule,
        norm: &norm,
        count: elements,
        weight_decay: adam.weight_decay as f32,
        beta1: adam.beta1 as f32,
        beta2: adam.beta2 as f32,
        epsilon: adam.epsilon as f32,
        rest1: (1.0 - adam.beta1) as f32,
        rest2: (1.0 - adam.beta2) as f32,
        clip_norm: adam.clip_norm as f32,
    };
    let kernel = adamw::variant();
    launch(kernel, &call, Groups::linear(elements.div_ceil(kernel.constant("BLOCK")).max(1)));
    [parameters, first, second, norm]
}
