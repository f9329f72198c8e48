// dx = g W: gradient of a linear layer with respect to its input.
//
//   g [rows, outputs], W [outputs, inputs] (f32, f16 or int8: see shared/weight_*.wgsl),
//   dx [rows, inputs].
// If x is the output of GELU, dx can be the gradient with respect to its input, pre [rows, inputs]: the product times
// gelu'(pre).
//
// Dispatch: one workgroup of THREADS threads for TILE_ROWS x TILE_COLUMNS elements of dx (shared/product.wgsl):
// ceil(rows / TILE_ROWS) * ceil(inputs / TILE_COLUMNS) of them, columns fastest. Sums in f32.
#use linear_nn
#use no_low_rank

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    // Word of w at which the scales of int8 weights start; unused for other precisions.
    scales: u32,
    // Whether dx is the gradient of pre; if not, pre may have any size.
    gelu: u32,
}

@group(0) @binding(0) var<storage, read> g: array<Item>;
@group(0) @binding(1) var<storage, read> w: array<Word>;
@group(0) @binding(2) var<storage, read> pre: array<Item>;
@group(0) @binding(3) var<storage, read_write> dx: array<Item>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn linear_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread_index: u32,
) {
    if (!find_tile(linear_group(group, groups), thread_index, p.rows, p.inputs)) {
        return;
    }
    finish_all(product(p.outputs, false));
}
