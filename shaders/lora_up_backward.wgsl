// v_j = scale * g[:, block_j] B_j for each adapted block j: the gradient of u = x A^T.
//
//   g [rows, outputs], outputs in at most three blocks of `width`; factors: A
//   [adapted * rank, inputs], then B [adapted * width, rank]; v [rows, adapted * rank].
//
// Dispatch: one workgroup of 64 threads for 8 rows by 8 columns of v of one block
// (shared/skinny.wgsl): ceil(rows / 8) * adapted * ceil(rank / 8) of them, columns fastest, then
// blocks. Sums in f32, scaled at the end.
#use skinny
#use slots

struct Params {
    rows: u32,
    outputs: u32,
    width: u32,
    rank: u32,
    adapted: u32,
    // Index of block 0, 1 and 2 among the adapted blocks; 0xffffffff if not adapted.
    slot_0: u32,
    slot_1: u32,
    slot_2: u32,
    // Element of factors at which B starts: adapted * rank * inputs.
    b_start: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> factors: array<f32>;
@group(0) @binding(2) var<storage, read_write> v: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

// First column of the block in g, and its first row of B.
var<private> block_column: u32;
var<private> block_row: u32;

fn left(row: u32, k: u32) -> f32 {
    return g[row * p.outputs + block_column + k];
}

fn right(k: u32, column: u32) -> f32 {
    return factors[p.b_start + (block_row + k) * p.rank + column];
}

@compute @workgroup_size(64)
fn lora_up_backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = linear_group(group, groups);
    let chunks = (p.rank + 7u) / 8u;
    let first_row = index / (chunks * p.adapted) * 8u;
    if (first_row >= p.rows) {
        return;
    }
    let slot = index / chunks % p.adapted;
    block_column = block_of(slot) * p.width;
    block_row = slot * p.width;
    let first_column = index % chunks * 8u;
    let sum = skinny_product(thread, first_row, p.rows, first_column, p.rank, p.width);
    let row = first_row + thread % 8u;
    let column = first_column + thread / 8u;
    if (row < p.rows && column < p.rank) {
        v[(row * p.adapted + slot) * p.rank + column] = p.scale * sum;
    }
}
