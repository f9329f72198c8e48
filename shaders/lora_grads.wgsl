// dA = v^T x and dB_j = scale * g[:, block_j]^T u_j: the gradient of the stacked factors.
//
//   g [rows, outputs], outputs in at most three blocks of `width`; x [rows, inputs];
//   u, v [rows, adapted * rank], v holding the scale; dfactors: dA [adapted * rank, inputs], then
//   dB [adapted * width, rank].
//
// Dispatch: one workgroup of 256 threads for 16 columns of x or of a block of g by 8 columns of
// v or of u_j, over all rows: `a_groups` = ceil(inputs / 16) * ceil(adapted * rank / 8) of them for
// dA, columns fastest in v; then adapted * ceil(width / 16) * ceil(rank / 8) for dB.
//
// Numerics: f32; each of 64 threads takes every 64th row, then a tree over the 64.
#use grid
#use slots

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    width: u32,
    rank: u32,
    adapted: u32,
    // Position of block 0, 1 and 2 among the adapted; 0xffffffff where it is not.
    slot_0: u32,
    slot_1: u32,
    slot_2: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> g: array<Item>;
@group(0) @binding(1) var<storage, read> x: array<Item>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> dfactors: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

// Sums of 256 threads for four columns of v or u.
var<workgroup> partial: array<mat4x4<f32>, 256>;

// Four elements of x from `at` on, none past `last`; what is past is not used.
fn x_quad(first: u32, last: u32) -> vec4<f32> {
    let at = quad_items(first, last);
    return join(x[at.x], x[at.y], x[at.z], x[at.w]);
}

fn g_quad(first: u32, last: u32) -> vec4<f32> {
    let at = quad_items(first, last);
    return join(g[at.x], g[at.y], g[at.z], g[at.w]);
}

fn v_quad(row: u32, c: vec4<u32>) -> vec4<f32> {
    let at = row * p.adapted * p.rank + c;
    return vec4(v[at.x], v[at.y], v[at.z], v[at.w]);
}

fn u_quad(row: u32, c: vec4<u32>) -> vec4<f32> {
    let at = row * p.adapted * p.rank + c;
    return vec4(u[at.x], u[at.y], u[at.z], u[at.w]);
}

fn outer(sum: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(sum[0] + a.x * b, sum[1] + a.y * b, sum[2] + a.z * b, sum[3] + a.w * b);
}

// The sum over the 64 threads that share a quad of columns, in those with thread < 4.
fn sum_threads(thread: u32, sum: mat4x4<f32>) -> mat4x4<f32> {
    partial[thread] = sum;
    for (var half = 128u; half >= 4u; half /= 2u) {
        workgroupBarrier();
        if (thread < half) {
            partial[thread] = partial[thread] + partial[thread + half];
        }
    }
    let total = partial[thread];
    workgroupBarrier();
    return total;
}

@compute @workgroup_size(256)
fn lora_grads(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let stacked = p.adapted * p.rank;
    let a_chunks = (stacked + 7u) / 8u;
    let a_groups = (p.inputs + 15u) / 16u * a_chunks;
    let b_chunks = (p.rank + 7u) / 8u;
    let slot_groups = (p.width + 15u) / 16u * b_chunks;
    var index = linear_group(group, groups);
    if (index >= a_groups + p.adapted * slot_groups) {
        return;
    }
    let of_a = index < a_groups;
    var low: mat4x4<f32>;
    var high: mat4x4<f32>;
    let lane = thread / 4u;
    if (of_a) {
        let column = index / a_chunks * 16u + 4u * (thread % 4u);
        let first = index % a_chunks * 8u;
        let c = vec4(first) + vec4(0u, 1u, 2u, 3u);
        let c_low = min(c, vec4(stacked - 1u));
        let c_high = min(c + 4u, vec4(stacked - 1u));
        let at = min(column, p.inputs - 1u);
        for (var row = lane; row < p.rows; row += 64u) {
            let b = x_quad(row * p.inputs + at, (row + 1u) * p.inputs - 1u);
            low = outer(low, v_quad(row, c_low), b);
            high = outer(high, v_quad(row, c_high), b);
        }
        low = sum_threads(thread, low);
        high = sum_threads(thread, high);
        if (thread < 4u) {
            store_a(low, first, column);
            store_a(high, first + 4u, column);
        }
        return;
    }
    index -= a_groups;
    let slot = index / slot_groups;
    index %= slot_groups;
    let column = index / b_chunks * 16u + 4u * (thread % 4u);
    let first = index % b_chunks * 8u;
    let c = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let c_low = slot * p.rank + min(c, vec4(p.rank - 1u));
    let c_high = slot * p.rank + min(c + 4u, vec4(p.rank - 1u));
    let at = block_of(slot) * p.width + min(column, p.width - 1u);
    for (var row = lane; row < p.rows; row += 64u) {
        let b = g_quad(row * p.outputs + at, (row + 1u) * p.outputs - 1u);
        low = outer(low, u_quad(row, c_low), b);
        high = outer(high, u_quad(row, c_high), b);
    }
    low = sum_threads(thread, low);
    high = sum_threads(thread, high);
    if (thread < 4u) {
        store_b(low, slot, first, column);
        store_b(high, slot, first + 4u, column);
    }
}

// Rows i .. i + 3 of dA at columns column .. + 3.
fn store_a(m: mat4x4<f32>, i: u32, column: u32) {
    var values = m;
    for (var a = 0u; a < 4u; a++) {
        for (var b = 0u; b < 4u; b++) {
            if (i + a < p.adapted * p.rank && column + b < p.inputs) {
                dfactors[(i + a) * p.inputs + column + b] = values[a][b];
            }
        }
    }
}

// Columns i .. i + 3 of dB of a slot, at rows column .. + 3.
fn store_b(m: mat4x4<f32>, slot: u32, i: u32, column: u32) {
    var values = m;
    let start = p.adapted * p.rank * p.inputs + slot * p.width * p.rank;
    for (var a = 0u; a < 4u; a++) {
        for (var b = 0u; b < 4u; b++) {
            if (i + a < p.rank && column + b < p.width) {
                dfactors[start + (column + b) * p.rank + i + a] = p.scale * values[a][b];
            }
        }
    }
}
