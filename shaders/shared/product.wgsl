#use grid
// A matrix product by tiles. One workgroup of THREADS threads computes TILE_ROWS by TILE_COLUMNS of the output
// and iterates over the inner dimension in steps of STEP. For each step, the threads load a part of both factors,
// a step before its use, and stage it in workgroup memory. Every thread then adds the products of its rows and
// columns to its sums.
//
// A variant uses one of `sums` (tiles for GPUs: 4 rows by 4 or 8 columns for a thread), `sums_8x8` and
// `sums_16x16`. They define `Sums`, `product`, `add_low_rank`, `add_fused` and `finish_all`.
//
// The including file defines `left_quad(row, k, low)` and `right_quad(column, k, low)`: four neighbouring elements of a
// factor, zero outside. LEFT_ACROSS and RIGHT_ACROSS say in which direction: along the inner dimension from k on, in
// which the factor is then contiguous in memory, or along the rows or columns of the output. With `low`, they are
// of the factors of a low-rank term instead, whose inner indices are added to the same sums. `finish(row, column,
// values)` gets four neighbouring outputs, and `extra_quad(i, k)` gives four inner indices of the extra columns: the
// product has 8 * EXTRA of them, which no output contains.

// The start of this workgroup's tile, and the thread.
var<private> tile_row: u32;
var<private> tile_column: u32;
var<private> thread: u32;

// Finds the tile of this workgroup; columns vary fastest. False if there is none.
fn find_tile(index: u32, thread_index: u32, rows: u32, columns: u32) -> bool {
    let across = (columns + TILE_COLUMNS - 1u) / TILE_COLUMNS;
    let first_row = index / across * TILE_ROWS;
    tile_row = first_row;
    tile_column = first_column(index, columns);
    thread = thread_index;
    // Not from the private variable, which is not uniform across threads.
    return first_row < rows;
}

// First column of the tile of a workgroup.
fn first_column(index: u32, columns: u32) -> u32 {
    return index % ((columns + TILE_COLUMNS - 1u) / TILE_COLUMNS) * TILE_COLUMNS;
}

fn outer(sum: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(sum[0] + a.x * b, sum[1] + a.y * b, sum[2] + a.z * b, sum[3] + a.w * b);
}

fn finish_block(m: mat4x4<f32>, row: u32, column: u32) {
    finish(row, column, m[0]);
    finish(row + 1u, column, m[1]);
    finish(row + 2u, column, m[2]);
    finish(row + 3u, column, m[3]);
}
