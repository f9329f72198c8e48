// Attention of one query per segment over the rows of that segment, by online softmax:
//   w[s, j]        = exp(scale * dot(q[s], k[j]))        j over the rows of segment s, per head
//   out[s]         = sum_j w[s, j] v[j] / sum_j w[s, j]
//   log_sums[s, h] = log(sum_j w[s, j])
//
// q [segments, H], kv [rows, 2 H]: keys and values next to each other; H = heads * head
// offsets [segments + 1]: first row of each segment, and the end of the last
// out [segments, H], log_sums [segments, heads]
//
// Dispatch: one workgroup for one segment and one head, index segment * heads + head;
// segments * heads workgroups. Neighbouring threads read neighbouring quads of the rows of keys
// and values; each thread sums the values of every PARTS-th row for its quad.
//
// HEAD, KEYS: variant. Numerics: f32; the largest score so far is subtracted before exp.
#use grid

struct Params { segments: u32, heads: u32, head: u32, scale: f32 }

@group(0) @binding(0) var<storage, read> q: array<Cell>;
@group(0) @binding(1) var<storage, read> kv: array<Cell>;
@group(0) @binding(2) var<storage, read> offsets: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<Cell>;
@group(0) @binding(4) var<storage, read_write> log_sums: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

const THREADS: u32 = 64u;
const QUADS: u32 = HEAD / 4u;
const PARTS: u32 = THREADS / QUADS;
const LOWEST: f32 = -1e30;

var<workgroup> products: array<f32, KEYS * QUADS>;
var<workgroup> scores: array<f32, KEYS>;
var<workgroup> sums: array<vec4<f32>, THREADS>;
var<workgroup> totals: array<f32, THREADS>;

fn load_q(segment: u32, h: u32, quad: u32) -> vec4<f32> {
    let i = (segment * p.heads + h) * p.head + 4u * quad;
    if (EXACT) { return vec4<f32>(q[i / 4u]); }
    var x = vec4<f32>(0.0);
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) { x[n] = vec4<f32>(q[i + n]).x; }
    }
    return x;
}

// A quad of head h from a row's keys (part 0) or values (1).
fn load_kv(row: u32, part: u32, h: u32, quad: u32) -> vec4<f32> {
    let i = ((2u * row + part) * p.heads + h) * p.head + 4u * quad;
    if (EXACT) { return vec4<f32>(kv[i / 4u]); }
    var x = vec4<f32>(0.0);
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) { x[n] = vec4<f32>(kv[i + n]).x; }
    }
    return x;
}

fn store_out(segment: u32, h: u32, quad: u32, x: vec4<f32>) {
    let i = (segment * p.heads + h) * p.head + 4u * quad;
    if (EXACT) { out[i / 4u] = cell(x, 0u); return; }
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) { out[i + n] = cell(x, n); }
    }
}

@compute @workgroup_size(THREADS)
fn attention_cls(
    @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = linear_group(group, groups);
    let h = index % p.heads;
    let segment = index / p.heads;
    if (segment >= p.segments) { return; }
    let end = offsets[segment + 1u];
    // THREADS is a multiple of QUADS: a thread has the same quad of a head in every row.
    let quad = thread % QUADS;
    let query = load_q(segment, h, quad);
    var sum = vec4<f32>(0.0);
    var largest = LOWEST;
    var total = 0.0;

    for (var tile = offsets[segment]; tile < end; tile += KEYS) {
        let count = min(KEYS, end - tile);
        for (var i = thread; i < count * QUADS; i += THREADS) {
            products[i] = dot(query, load_kv(tile + i / QUADS, 0u, h, quad));
        }
        workgroupBarrier();
        for (var j = thread; j < count; j += THREADS) {
            var score = 0.0;
            for (var c = 0u; c < QUADS; c++) { score += products[j * QUADS + c]; }
            scores[j] = score * p.scale;
        }
        workgroupBarrier();
        var top = largest;
        for (var j = 0u; j < count; j++) { top = max(top, scores[j]); }
        let shrink = exp(largest - top);
        sum *= shrink;
        total *= shrink;
        for (var j = thread / QUADS; j < count; j += PARTS) {
            let w = exp(scores[j] - top);
            sum += w * load_kv(tile + j, 1u, h, quad);
            total += w;
        }
        largest = top;
    }

    sums[thread] = sum;
    totals[thread] = total;
    workgroupBarrier();
    if (thread < QUADS) {
        for (var i = thread + QUADS; i < THREADS; i += QUADS) {
            sum += sums[i];
            total += totals[i];
        }
        store_out(segment, h, quad, sum / total);
        if (thread == 0u) { log_sums[index] = largest + log(total); }
    }
}
