#use grid
// A matrix product by tiles. One workgroup of 64 threads computes TILE rows by TILE columns of the
// output (TILE 32, 64 or 128) and iterates over the inner dimension in steps of 1024 / TILE. For each
// step, every thread loads one 4 by 4 patch of each factor, a step before its use, and stages it in
// workgroup memory, where threads read four rows or columns at once. A thread of the 8 by 8 owns rows
// 4 y .. + 3 and columns 4 x .. + 3 of the tile, and the same again at every offset of 32.
//
// A variant uses `sums`, or `sums_wide` for TILE 128. They hold a thread's sums, multiply staged tiles, and
// return the results.
//
// The including file defines `left_patch(k)` and `right_patch(k)`, which load this thread's patch for
// inner indices from k on (column i of the matrix is inner index i, its entries are four rows or
// columns of the output, zero outside), LEFT_ACROSS and RIGHT_ACROSS, and `extra_quad(i, k)`.
// The product has 8 * EXTRA extra columns; see `Sums`.
const STEP: u32 = 1024u / TILE;
// Stride in quads between inner indices of a tile, padded by one to avoid bank conflicts.
const PITCH: u32 = TILE / 4u + 1u;

var<workgroup> left_tile: array<vec4<f32>, STEP * PITCH>;
var<workgroup> right_tile: array<vec4<f32>, STEP * PITCH>;
var<workgroup> extra_tile: array<f32, STEP * 8u * max(EXTRA, 1u)>;

// The start of this workgroup's tile, and the thread.
var<private> tile_row: u32;
var<private> tile_column: u32;
var<private> thread: u32;

// Finds the tile of this workgroup; columns vary fastest. False if there is none.
fn find_tile(index: u32, thread_index: u32, rows: u32, columns: u32) -> bool {
    let across = (columns + TILE - 1u) / TILE;
    let first_row = index / across * TILE;
    tile_row = first_row;
    tile_column = first_column(index, columns);
    thread = thread_index;
    // Not from the private variable, which is not uniform across threads.
    return first_row < rows;
}

// First column of the tile of a workgroup.
fn first_column(index: u32, columns: u32) -> u32 {
    return index % ((columns + TILE - 1u) / TILE) * TILE;
}

// This thread's position in a patch grid: x the first row or column in the tile, y the first inner index.
// Across: the matrix is contiguous along the inner dimension, so neighbouring threads load along it.
fn patch_place(across: bool) -> vec2<u32> {
    if (across) {
        return 4u * vec2(thread / (STEP / 4u), thread % (STEP / 4u));
    }
    return 4u * vec2(thread % (TILE / 4u), thread / (TILE / 4u));
}

fn stage_left(values: mat4x4<f32>) {
    let place = patch_place(LEFT_ACROSS);
    let at = place.y * PITCH + place.x / 4u;
    left_tile[at] = values[0];
    left_tile[at + PITCH] = values[1];
    left_tile[at + 2u * PITCH] = values[2];
    left_tile[at + 3u * PITCH] = values[3];
}

fn stage_right(values: mat4x4<f32>) {
    let place = patch_place(RIGHT_ACROSS);
    let at = place.y * PITCH + place.x / 4u;
    right_tile[at] = values[0];
    right_tile[at + PITCH] = values[1];
    right_tile[at + 2u * PITCH] = values[2];
    right_tile[at + 3u * PITCH] = values[3];
}

fn stage_extra(k: u32) {
    for (var i = thread; i < EXTRA * 2u * STEP; i += 64u) {
        let column = i / (STEP / 4u);
        let inner = 4u * (i % (STEP / 4u));
        let quad = extra_quad(column, k + inner);
        let at = inner * 8u * EXTRA + column;
        extra_tile[at] = quad.x;
        extra_tile[at + 8u * EXTRA] = quad.y;
        extra_tile[at + 16u * EXTRA] = quad.z;
        extra_tile[at + 24u * EXTRA] = quad.w;
    }
}

fn outer(sum: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(sum[0] + a.x * b, sum[1] + a.y * b, sum[2] + a.z * b, sum[3] + a.w * b);
}

// The whole product over `inner` indices. Afterwards the tiles can be staged again.
fn product(inner: u32, with_extra: bool) -> Sums {
    var sums: Sums;
    var left = left_patch(0u);
    var right = right_patch(0u);
    for (var k = 0u; k < inner; k += STEP) {
        stage_left(left);
        stage_right(right);
        if (EXTRA > 0u && with_extra) {
            stage_extra(k);
        }
        workgroupBarrier();
        if (k + STEP < inner) {
            left = left_patch(k + STEP);
            right = right_patch(k + STEP);
        }
        multiply(&sums, STEP, with_extra);
        workgroupBarrier();
    }
    return sums;
}

fn finish_block(m: mat4x4<f32>, row: u32, column: u32) {
    finish(row, column, m[0]);
    finish(row + 1u, column, m[1]);
    finish(row + 2u, column, m[2]);
    finish(row + 3u, column, m[3]);
}
