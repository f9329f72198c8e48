//! Splits work over rows or sequences: on all cores on native targets, sequentially on wasm.
//!
//! The split depends only on the size of the work, never on the number of cores, so results are the same on all
//! machines with the same instruction set.

#[cfg(not(target_arch = "wasm32"))]
use rayon::prelude::*;

/// Rows per task: enough to amortise packing a weight matrix, few enough to stay in the second-level cache and to
/// balance the load.
pub(in crate::ops) fn rows_per_task(rows: usize) -> usize {
    if rows >= 1024 { 256 } else { rows.div_ceil(4).next_multiple_of(16).max(16) }
}

/// Calls `task(first row, rows of out)` for chunks of the matrix `out` of `width` columns.
pub(in crate::ops) fn over_rows(
    out: &mut [f32],
    width: usize,
    task: impl Fn(usize, &mut [f32]) + Sync,
) {
    let rows = rows_per_task(out.len() / width.max(1));
    each(out.chunks_mut(rows * width).collect(), |i, chunk| task(i * rows, chunk));
}

/// Calls `task(index, item)` for each item.
#[cfg(not(target_arch = "wasm32"))]
pub(in crate::ops) fn each<T: Send>(items: Vec<T>, task: impl Fn(usize, T) + Sync) {
    items.into_par_iter().enumerate().for_each(|(i, item)| task(i, item));
}

/// Calls `task(index, item)` for each item.
#[cfg(target_arch = "wasm32")]
pub(in crate::ops) fn each<T>(items: Vec<T>, task: impl Fn(usize, T)) {
    items.into_iter().enumerate().for_each(|(i, item)| task(i, item));
}

/// Splits a matrix of `width` columns into the rows of each range; the ranges are contiguous.
pub(in crate::ops) fn split_rows(
    mut matrix: &mut [f32],
    width: usize,
    ranges: impl Iterator<Item = std::ops::Range<usize>>,
) -> Vec<&mut [f32]> {
    ranges
        .map(|range| {
            let (rows, rest) = std::mem::take(&mut matrix).split_at_mut(range.len() * width);
            matrix = rest;
            rows
        })
        .collect()
}
