// y = x W^T + bias: a linear layer, adapted.
// y[:, block] += scale * (x A^T) B^T for each adapted block.
//
//   x [rows, inputs], W [outputs, inputs] (f32, f16 or int8: see shared/weight_*.wgsl), bias [outputs];
//   factors: A [adapted * rank, inputs], then B [adapted * width, rank], for the adapted blocks in ascending
//   order (of at most three blocks of `width` columns); u = x A^T [rows, adapted * rank];
//   y [rows, outputs].
//
// u is an input, or, in the variants with lora_fused, computed and written here. These support ranks up to
// 8 * EXTRA and widths that are multiples of TILE_COLUMNS.
//
// Dispatch: one workgroup of THREADS threads for TILE_ROWS x TILE_COLUMNS outputs (shared/product.wgsl):
// ceil(rows / TILE_ROWS) * ceil(outputs / TILE_COLUMNS) of them, columns fastest. Sums in f32.
#use lora_forward

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    // Word of w at which the scales of int8 weights start; unused for other precisions.
    scales: u32,
    // Columns of an output block, rank of an adapted one, and number of adapted blocks.
    width: u32,
    rank: u32,
    adapted: u32,
    // Index of block 0, 1 and 2 among the adapted blocks; 0xffffffff if not adapted.
    slot_0: u32,
    slot_1: u32,
    slot_2: u32,
    // Factor on the low-rank term.
    scale: f32,
}

@group(0) @binding(0) var<storage, read> x: array<Item>;
@group(0) @binding(1) var<storage, read> w: array<Word>;
@group(0) @binding(2) var<storage, read> bias: array<Item>;
@group(0) @binding(3) var<storage, read> factors: array<Item>;
@group(0) @binding(4) var<storage, read_write> u: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<Item>;
@group(0) @binding(6) var<uniform> p: Params;

fn finish(row: u32, column: u32, sums: vec4<f32>) {
    store_y(row, column, sums + bias_quad(column));
}

@compute @workgroup_size(THREADS)
fn lora_linear(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread_index: u32,
) {
    let index = linear_group(group, groups);
    if (!find_tile(index, thread_index, p.rows, p.outputs)) {
        return;
    }
    finish_all(adapted_product(first_column(index, p.outputs)));
}
