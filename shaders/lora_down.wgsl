// u = x A^T: the low-rank projections of all adapted blocks.
//
//   x [rows, inputs], factors: starts with A [stacked_rank, inputs]; u [rows, stacked_rank].
//
// Dispatch: one workgroup of 64 threads for 8 rows by 8 columns of u (shared/skinny.wgsl):
// ceil(rows / 8) * ceil(stacked_rank / 8) of them, columns fastest. Sums in f32.
#use skinny

struct Params {
    rows: u32,
    inputs: u32,
    // Adapted blocks times rank.
    stacked_rank: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read_write> u: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

fn left(row: u32, k: u32) -> f32 {
    return x[row * p.inputs + k];
}

fn right(k: u32, column: u32) -> f32 {
    return factors[column * p.inputs + k];
}

@compute @workgroup_size(64)
fn lora_down(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = linear_group(group, groups);
    let chunks = (p.stacked_rank + 7u) / 8u;
    let first_row = index / chunks * 8u;
    if (first_row >= p.rows) {
        return;
    }
    let first_column = index % chunks * 8u;
    let sum = skinny_product(thread, first_row, p.rows, first_column, p.stacked_rank, p.inputs);
    let row = first_row + thread % 8u;
    let column = first_column + thread / 8u;
    if (row < p.rows && column < p.stacked_rank) {
        u[row * p.stacked_rank + column] = sum;
    }
}
