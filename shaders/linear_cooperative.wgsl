// y = x W^T + bias, or its exact GELU, on the device's matrix units: factors rounded to f16, sums in f32.
//
//   x [rows, inputs], W [outputs, inputs] (f32, f16 or int8: see shared/weight_*.wgsl), bias [outputs];
//   y [rows, outputs]; inputs and outputs are multiples of four.
//
// Experimental: cooperative matrices are a wgpu extension. The device must multiply 16 by 16 matrices
// of f16 with sums in f32, and have subgroups of 32 invocations.
//
// Dispatch: one workgroup of 128 threads, four subgroups, for TILE x TILE outputs: ceil(rows / TILE) *
// ceil(outputs / TILE) of them, columns fastest. The workgroup iterates over the inner dimension in
// steps of STEP, staging both factors; each subgroup computes a quarter of the tile, four matrices.
//
// Numerics: values of x and W above 65504 overflow f16.
#use grid
#use linear_io
#use gelu

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    // Word of w at which the scales of int8 weights start; unused for other precisions.
    scales: u32,
}

@group(0) @binding(0) var<storage, read> x: array<Item>;
@group(0) @binding(1) var<storage, read> w: array<Word>;
@group(0) @binding(2) var<storage, read> bias: array<Item>;
@group(0) @binding(3) var<storage, read_write> y: array<Item>;
@group(0) @binding(4) var<uniform> p: Params;

const THREADS: u32 = 128u;
const TILE: u32 = 64u;
const TILE_ROWS: u32 = 64u;
const TILE_COLUMNS: u32 = 64u;
const STEP: u32 = 32u;
// Row strides of a staged factor and of a result, padded to avoid bank conflicts.
const PITCH: u32 = STEP + 8u;
const RESULT_PITCH: u32 = 20u;

// Rows of x and of W, and one matrix of each subgroup.
var<workgroup> left: array<f16, TILE * PITCH>;
var<workgroup> right: array<f16, TILE * PITCH>;
var<workgroup> result: array<f32, 4u * 16u * RESULT_PITCH>;

fn stage(row: u32, column: u32, k: u32, thread: u32) {
    for (var i = thread; i < TILE * STEP / 4u; i += THREADS) {
        let line = i / (STEP / 4u);
        let inner = 4u * (i % (STEP / 4u));
        let at = line * PITCH + inner;
        let a = vec4<f16>(x_quad(row + line, k + inner));
        left[at] = a.x;
        left[at + 1u] = a.y;
        left[at + 2u] = a.z;
        left[at + 3u] = a.w;
        let b = vec4<f16>(weight_quad(column + line, k + inner));
        right[at] = b.x;
        right[at + 1u] = b.y;
        right[at + 2u] = b.z;
        right[at + 3u] = b.w;
    }
}

// Stores the matrix (`down`, `across`) that each subgroup wrote to `result`. All threads take part, from
// any subgroup.
fn finish(row: u32, column: u32, down: u32, across: u32, thread: u32) {
    workgroupBarrier();
    for (var i = thread; i < 256u; i += THREADS) {
        let quarter = i / 64u;
        let line = i % 64u / 4u;
        let first = 4u * (i % 4u);
        let at = (quarter * 16u + line) * RESULT_PITCH + first;
        let to_row = row + quarter / 2u * 32u + down * 16u + line;
        let to_column = column + quarter % 2u * 32u + across * 16u + first;
        let sums = vec4(result[at], result[at + 1u], result[at + 2u], result[at + 3u]);
        let v = sums + bias_quad(to_column);
        if (GELU) {
            store_y(to_row, to_column, vec4(gelu(v.x), gelu(v.y), gelu(v.z), gelu(v.w)));
        } else {
            store_y(to_row, to_column, v);
        }
    }
    workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn linear_cooperative(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let index = linear_group(group, groups);
    let tiles = (p.outputs + TILE - 1u) / TILE;
    let row = index / tiles * TILE;
    let column = index % tiles * TILE;
    // A workgroup past the last tile continues but stores nothing: matrices need uniform control flow.
    var sums_00 = coop_mat16x16<f32, C>();
    var sums_01 = coop_mat16x16<f32, C>();
    var sums_10 = coop_mat16x16<f32, C>();
    var sums_11 = coop_mat16x16<f32, C>();
    let top = subgroup / 2u * 32u * PITCH;
    let bottom = top + 16u * PITCH;
    let near = subgroup % 2u * 32u * PITCH;
    let far = near + 16u * PITCH;
    for (var k = 0u; k < p.inputs; k += STEP) {
        stage(row, column, k, thread);
        workgroupBarrier();
        for (var i = 0u; i < STEP; i += 16u) {
            // Rows of x are rows of the left factor, rows of W are columns of the right factor.
            let a_top = coopLoadT<coop_mat16x16<f16, A>>(&left[top + i], PITCH);
            let a_bottom = coopLoadT<coop_mat16x16<f16, A>>(&left[bottom + i], PITCH);
            let b_near = coopLoad<coop_mat16x16<f16, B>>(&right[near + i], PITCH);
            let b_far = coopLoad<coop_mat16x16<f16, B>>(&right[far + i], PITCH);
            sums_00 = coopMultiplyAdd(a_top, b_near, sums_00);
            sums_01 = coopMultiplyAdd(a_top, b_far, sums_01);
            sums_10 = coopMultiplyAdd(a_bottom, b_near, sums_10);
            sums_11 = coopMultiplyAdd(a_bottom, b_far, sums_11);
        }
        workgroupBarrier();
    }
    let at = subgroup * 16u * RESULT_PITCH;
    coopStoreT(sums_00, &result[at], RESULT_PITCH);
    finish(row, column, 0u, 0u, thread);
    coopStoreT(sums_01, &result[at], RESULT_PITCH);
    finish(row, column, 0u, 1u, thread);
    coopStoreT(sums_10, &result[at], RESULT_PITCH);
    finish(row, column, 1u, 0u, thread);
    coopStoreT(sums_11, &result[at], RESULT_PITCH);
    finish(row, column, 1u, 1u, thread);
}
