// dx = g W: gradient of a linear layer with respect to its input.
//
//   g [rows, outputs], W [outputs, inputs] (f32, f16 or int8: see shared/weight_*.wgsl),
//   dx [rows, inputs].
//
// Dispatch: one workgroup of 64 threads for TILE x TILE elements of dx (shared/product.wgsl):
// ceil(rows / TILE) * ceil(inputs / TILE) of them, columns fastest. Sums in f32.
#use linear_nn
#use no_extra

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    // Word of w at which the scales of int8 weights start; unused for other precisions.
    scales: u32,
}

@group(0) @binding(0) var<storage, read> g: array<Item>;
@group(0) @binding(1) var<storage, read> w: array<Word>;
@group(0) @binding(2) var<storage, read_write> dx: array<Item>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(64)
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
