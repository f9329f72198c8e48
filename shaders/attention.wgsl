// Multi-head self-attention of packed rows, each within its own segment, by online softmax:
//   w[i, j]        = exp(scale * dot(q[i], k[j]))        j over the segment of row i, per head
//   out[i]         = sum_j w[i, j] v[j] / sum_j w[i, j]
//   log_sums[i, h] = log(sum_j w[i, j])
//
// qkv [rows, 3 H]: queries, keys, values next to each other; H = heads * head
// bounds [rows]: first row and end row of each row's segment, ascending
// out [rows, H], log_sums [rows, heads]
//
// Dispatch: one workgroup for ROWS rows and one head, index block * heads + head;
// ceil(rows / ROWS) * heads workgroups. A thread holds one query and its sum in registers; the
// keys and values of all segments of the rows are staged in workgroup memory.
//
// HEAD, KEYS: variant. Numerics: f32; the largest score so far is subtracted before exp, so scores
// of any finite size are safe. Four keys are processed at a time, so that the sum is rescaled once per four.
#use grid

struct Params { rows: u32, heads: u32, head: u32, scale: f32 }

@group(0) @binding(0) var<storage, read> qkv: array<Cell>;
@group(0) @binding(1) var<storage, read> bounds: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<Cell>;
@group(0) @binding(3) var<storage, read_write> log_sums: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

const ROWS: u32 = 64u;
const QUADS: u32 = HEAD / 4u;
// One quad of padding per row, so that rows of different segments are in different banks.
const STRIDE: u32 = QUADS + 1u;
const LOWEST: f32 = -1e30;

var<workgroup> keys: array<vec4<f32>, KEYS * STRIDE>;
var<workgroup> values: array<vec4<f32>, KEYS * STRIDE>;

// A quad of head h from a row's queries (part 0), keys (1) or values (2).
fn load_qkv(row: u32, part: u32, h: u32, quad: u32) -> vec4<f32> {
    let i = ((3u * row + part) * p.heads + h) * p.head + 4u * quad;
    if (EXACT) { return vec4<f32>(qkv[i / 4u]); }
    var x = vec4<f32>(0.0);
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) { x[n] = vec4<f32>(qkv[i + n]).x; }
    }
    return x;
}

fn store_out(row: u32, h: u32, quad: u32, x: vec4<f32>) {
    let i = (row * p.heads + h) * p.head + 4u * quad;
    if (EXACT) { out[i / 4u] = cell(x, 0u); return; }
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) { out[i + n] = cell(x, n); }
    }
}

@compute @workgroup_size(ROWS)
fn attention(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) thread: u32) {
    let index = linear_group(group, groups);
    let h = index % p.heads;
    let start = index / p.heads * ROWS;
    if (start >= p.rows) { return; }
    let first = bounds[start].x;
    let end = bounds[min(start + ROWS, p.rows) - 1u].y;

    // A thread without a row has an empty segment and only helps with staging.
    let row = start + thread;
    var segment = vec2<u32>(0u);
    var q: array<vec4<f32>, QUADS>;
    var sum: array<vec4<f32>, QUADS>;
    if (row < p.rows) {
        segment = bounds[row];
        for (var c = 0u; c < QUADS; c++) { q[c] = load_qkv(row, 0u, h, c); }
    }
    for (var c = 0u; c < QUADS; c++) { sum[c] = vec4<f32>(0.0); }
    var largest = LOWEST;
    var total = 0.0;

    for (var tile = first; tile < end; tile += KEYS) {
        let count = min(KEYS, end - tile);
        workgroupBarrier();
        for (var i = thread; i < count * QUADS; i += ROWS) {
            let at = i / QUADS * STRIDE + i % QUADS;
            keys[at] = load_qkv(tile + i / QUADS, 1u, h, i % QUADS);
            values[at] = load_qkv(tile + i / QUADS, 2u, h, i % QUADS);
        }
        workgroupBarrier();
        let stop = min(segment.y, tile + count);
        for (var j = max(segment.x, tile); j < stop; j += 4u) {
            // Past the end, use the last key with weight 0.
            let four = vec4<u32>(j, j + 1u, j + 2u, j + 3u);
            let at = (min(four, vec4<u32>(stop - 1u)) - tile) * STRIDE;
            var scores = vec4<f32>(0.0);
            for (var c = 0u; c < QUADS; c++) {
                scores += vec4<f32>(dot(q[c], keys[at.x + c]), dot(q[c], keys[at.y + c]),
                                    dot(q[c], keys[at.z + c]), dot(q[c], keys[at.w + c]));
            }
            scores = select(vec4<f32>(LOWEST), scores * p.scale, four < vec4<u32>(stop));
            let top = max(max(largest, max(scores.x, scores.y)), max(scores.z, scores.w));
            let shrink = exp(largest - top);
            let w = exp(scores - top);
            for (var c = 0u; c < QUADS; c++) {
                sum[c] = sum[c] * shrink + w.x * values[at.x + c] + w.y * values[at.y + c]
                    + w.z * values[at.z + c] + w.w * values[at.w + c];
            }
            total = total * shrink + dot(w, vec4<f32>(1.0));
            largest = top;
        }
    }
    if (row < p.rows) {
        for (var c = 0u; c < QUADS; c++) { store_out(row, h, c, sum[c] / total); }
        log_sums[row * p.heads + h] = largest + log(total);
    }
}
