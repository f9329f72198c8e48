// y = x W^T + bias: a linear layer.
//
//   x [rows, inputs], W [outputs, inputs] (f32, f16 or int8: see shared/weight_*.wgsl), bias [outputs];
//   y [rows, outputs].
//
// Dispatch: one workgroup of THREADS threads for TILE_ROWS x TILE_COLUMNS outputs (shared/product.wgsl):
// ceil(rows / TILE_ROWS) * ceil(outputs / TILE_COLUMNS) of them, columns fastest. Sums in f32.
#use linear_nt
#use no_low_rank

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

fn finish(row: u32, column: u32, sums: vec4<f32>) {
    store_y(row, column, sums + bias_quad(column));
}

@compute @workgroup_size(THREADS)
fn linear(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread_index: u32,
) {
    if (!find_tile(linear_group(group, groups), thread_index, p.rows, p.outputs)) {
        return;
    }
    finish_all(product(p.inputs, false));
}
