// dx = g W + v A: gradient of an adapted linear layer with respect to its input.
//
//   g [rows, outputs], W [outputs, inputs] (f32, f16 or int8: see shared/weight_*.wgsl),
//   A [stacked_rank, inputs] at the start of `factors`, v [rows, stacked_rank] the gradient of x A^T;
//   dx [rows, inputs].
// If x is the output of GELU, dx can be the gradient with respect to its input, pre [rows, inputs]: the product times
// gelu'(pre).
//
// Dispatch: one workgroup of THREADS threads for TILE_ROWS x TILE_COLUMNS elements of dx (shared/product.wgsl):
// ceil(rows / TILE_ROWS) * ceil(inputs / TILE_COLUMNS) of them, columns fastest. Sums in f32.
#use linear_nn
#use no_extra

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    // Word of w at which the scales of int8 weights start; unused for other precisions.
    scales: u32,
    // Adapted blocks times rank.
    stacked_rank: u32,
    // Whether dx is the gradient of pre; if not, pre may have any size.
    gelu: u32,
}

@group(0) @binding(0) var<storage, read> g: array<Item>;
@group(0) @binding(1) var<storage, read> w: array<Word>;
@group(0) @binding(2) var<storage, read> factors: array<Item>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read> pre: array<Item>;
@group(0) @binding(5) var<storage, read_write> dx: array<Item>;
@group(0) @binding(6) var<uniform> p: Params;

// Elements (row, i .. i + 3) of v; zero outside. Ranks need not be multiples of four.
fn low_left_quad(row: u32, i: u32) -> vec4<f32> {
    if (row >= p.rows || i >= p.stacked_rank) {
        return vec4(0.0);
    }
    let inside = vec4(i) + vec4(0u, 1u, 2u, 3u) < vec4(p.stacked_rank);
    let at = row * p.stacked_rank + min(vec4(i) + vec4(0u, 1u, 2u, 3u), vec4(p.stacked_rank - 1u));
    return select(vec4(0.0), vec4(v[at.x], v[at.y], v[at.z], v[at.w]), inside);
}

// Elements (i, k .. k + 3) of A; zero outside.
fn low_right_quad(k: u32, i: u32) -> vec4<f32> {
    if (i >= p.stacked_rank || k >= p.inputs) {
        return vec4(0.0);
    }
    let at = quad_items(i * p.inputs + k, (i + 1u) * p.inputs - 1u);
    return join(factors[at.x], factors[at.y], factors[at.z], factors[at.w]);
}

@compute @workgroup_size(THREADS)
fn lora_linear_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread_index: u32,
) {
    if (!find_tile(linear_group(group, groups), thread_index, p.rows, p.inputs)) {
        return;
    }
    var sums = product(p.outputs, false);
    add_low_rank(&sums, p.stacked_rank);
    finish_all(sums);
}
