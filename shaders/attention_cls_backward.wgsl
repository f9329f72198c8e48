// Gradients of `attention_cls` with respect to q and kv. With w[j] = exp(scale * dot(q, k[j]) - log_sum),
// d[j] = w[j] (dot(g, v[j]) - sum_i w[i] dot(g, v[i])), over the rows of a segment and per head:
//   dq = scale * sum_j d[j] k[j],   dk[j] = scale * d[j] q,   dv[j] = w[j] g
// The inner sum equals dot(g, out); computing it from the weights saves the buffer of out.
//
// g, q, dq [segments, H]; kv, dkv [rows, 2 H]: keys and values side by side; H = heads * head
// log_sums [segments, heads]; offsets [segments + 1]: first row of each segment, end of the last
//
// Dispatch: one workgroup for one segment and one head, index segment * heads + head;
// segments * heads workgroups. A segment with more than KEYS rows is processed in two passes.
//
// HEAD, KEYS: variant. Numerics: f32; the exponent is at most 0, except for rounding.
#use grid

struct Params { segments: u32, heads: u32, head: u32, scale: f32 }

@group(0) @binding(0) var<storage, read> g: array<Cell>;
@group(0) @binding(1) var<storage, read> q: array<Cell>;
@group(0) @binding(2) var<storage, read> kv: array<Cell>;
@group(0) @binding(3) var<storage, read> log_sums: array<f32>;
@group(0) @binding(4) var<storage, read> offsets: array<u32>;
@group(0) @binding(5) var<storage, read_write> dq: array<Cell>;
@group(0) @binding(6) var<storage, read_write> dkv: array<Cell>;
@group(0) @binding(7) var<uniform> p: Params;

const THREADS: u32 = 64u;
const QUADS: u32 = HEAD / 4u;
const PARTS: u32 = THREADS / QUADS;

// For each row of a tile: dot(q, k) and dot(g, v) by quads, then the weight and dot(g, v).
var<workgroup> products: array<vec2<f32>, KEYS * QUADS>;
var<workgroup> pairs: array<vec2<f32>, KEYS>;
var<workgroup> sums: array<vec4<f32>, THREADS>;

// A quad of head h of a segment: of g, or of q.
fn load_single(of_g: bool, segment: u32, h: u32, quad: u32) -> vec4<f32> {
    let i = (segment * p.heads + h) * p.head + 4u * quad;
    var x = vec4<f32>(0.0);
    if (EXACT) {
        if (of_g) { return vec4<f32>(g[i / 4u]); }
        return vec4<f32>(q[i / 4u]);
    }
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) {
            if (of_g) { x[n] = vec4<f32>(g[i + n]).x; } else { x[n] = vec4<f32>(q[i + n]).x; }
        }
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

fn store_dkv(row: u32, part: u32, h: u32, quad: u32, x: vec4<f32>) {
    let i = ((2u * row + part) * p.heads + h) * p.head + 4u * quad;
    if (EXACT) { dkv[i / 4u] = cell(x, 0u); return; }
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) { dkv[i + n] = cell(x, n); }
    }
}

fn store_dq(segment: u32, h: u32, quad: u32, x: vec4<f32>) {
    let i = (segment * p.heads + h) * p.head + 4u * quad;
    if (EXACT) { dq[i / 4u] = cell(x, 0u); return; }
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) { dq[i + n] = cell(x, n); }
    }
}

// Fills `pairs` for the rows of a tile.
fn weigh(
    tile: u32, count: u32, h: u32, thread: u32, log_sum: f32, query: vec4<f32>, grad: vec4<f32>,
) {
    let quad = thread % QUADS;
    for (var i = thread; i < count * QUADS; i += THREADS) {
        let row = tile + i / QUADS;
        products[i] = vec2<f32>(dot(query, load_kv(row, 0u, h, quad)),
                                dot(grad, load_kv(row, 1u, h, quad)));
    }
    workgroupBarrier();
    for (var j = thread; j < count; j += THREADS) {
        var pair = vec2<f32>(0.0);
        for (var c = 0u; c < QUADS; c++) { pair += products[j * QUADS + c]; }
        pairs[j] = vec2<f32>(exp(pair.x * p.scale - log_sum), pair.y);
    }
    workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn attention_cls_backward(
    @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = linear_group(group, groups);
    let h = index % p.heads;
    let segment = index / p.heads;
    if (segment >= p.segments) { return; }
    let first = offsets[segment];
    let end = offsets[segment + 1u];
    // THREADS is a multiple of QUADS: a thread has the same quad of a head in every row.
    let quad = thread % QUADS;
    let query = load_single(false, segment, h, quad);
    let grad = load_single(true, segment, h, quad);
    let log_sum = log_sums[index];

    var mean = 0.0;
    for (var tile = first; tile < end; tile += KEYS) {
        let count = min(KEYS, end - tile);
        weigh(tile, count, h, thread, log_sum, query, grad);
        for (var j = 0u; j < count; j++) { mean += pairs[j].x * pairs[j].y; }
    }
    var sum = vec4<f32>(0.0);
    for (var tile = first; tile < end; tile += KEYS) {
        let count = min(KEYS, end - tile);
        // A single tile is still in `pairs`.
        if (end - first > KEYS) { weigh(tile, count, h, thread, log_sum, query, grad); }
        for (var j = thread / QUADS; j < count; j += PARTS) {
            let pair = pairs[j];
            let d = pair.x * (pair.y - mean) * p.scale;
            sum += d * load_kv(tile + j, 0u, h, quad);
            store_dkv(tile + j, 0u, h, quad, d * query);
            store_dkv(tile + j, 1u, h, quad, pair.x * grad);
        }
    }

    sums[thread] = sum;
    workgroupBarrier();
    if (thread < QUADS) {
        for (var i = thread + QUADS; i < THREADS; i += QUADS) { sum += sums[i]; }
        store_dq(segment, h, quad, sum);
    }
}
