// Gradient of `attention` with respect to qkv. With w[i, j] = exp(scale * dot(q[i], k[j]) - log_sums[i]) and
// d[i, j] = w[i, j] (dot(g[i], v[j]) - dot(g[i], out[i])), within a segment, or for near rows of it, and per head:
//   dq[i] = scale * sum_j d[i, j] k[j]
//   dk[j] = scale * sum_i d[i, j] q[i]
//   dv[j] = sum_i w[i, j] g[i]
//
// g, out [rows, H]; qkv, dqkv [rows, 3 H]: query, key, value side by side; H = heads * head
// log_sums [rows, heads]
// blocks [blocks]: a block's first row, the rows of a block of its segment (at most 32), and the segment's first row
// and end
// places [rows]: position of each row, only read by windowed variants
//
// Dispatch: one workgroup for one block and `each` heads, as for `attention`. It computes the gradients of the block's rows, first from the block itself, then from the other blocks of the
// segment, twice each: with them as keys and as queries. The sums so far are in dqkv, so there are no atomics, and
// registers do not depend on the head.
//
// Numerics: f32; the exponent is at most 0, except for rounding.
#use attention
#use window

struct Params { block_count: u32, heads: u32, head: u32, each: u32, reach: u32, scale: f32 }

@group(0) @binding(0) var<storage, read> g: array<Item>;
@group(0) @binding(1) var<storage, read> qkv: array<Item>;
@group(0) @binding(2) var<storage, read> out: array<Item>;
@group(0) @binding(3) var<storage, read> log_sums: array<f32>;
@group(0) @binding(4) var<storage, read> blocks: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read> places: array<u32>;
@group(0) @binding(6) var<storage, read_write> dqkv: array<Item>;
@group(0) @binding(7) var<uniform> p: Params;

// Parts of qkv, and g and out.
const Q: u32 = 0u;
const K: u32 = 1u;
const V: u32 = 2u;
const G: u32 = 3u;
const OUT: u32 = 4u;

fn load(what: u32, row: u32, h: u32, column: u32) -> vec4<f32> {
    if (what <= V) {
        let start = first_of(row, 3u, what, h, column);
        let i = quad_items(start, start - column + p.head - 1u);
        return join(qkv[i.x], qkv[i.y], qkv[i.z], qkv[i.w]);
    }
    let start = first_of(row, 1u, 0u, h, column);
    let i = quad_items(start, start - column + p.head - 1u);
    if (what == G) { return join(g[i.x], g[i.y], g[i.z], g[i.w]); }
    return join(out[i.x], out[i.y], out[i.z], out[i.w]);
}

// A thread's quads of `count` rows, as `stage_left` takes them.
fn fetch(what: u32, first: u32, count: u32, h: u32, chunk: u32, thread: u32) -> mat4x4<f32> {
    let column = chunk + 4u * (thread % 8u);
    var quads = mat4x4<f32>();
    if (column >= p.head) { return quads; }
    for (var n = 0u; n < 4u; n++) {
        let row = first + min(thread / 8u + 8u * n, count - 1u);
        quads[n] = within(load(what, row, h, column), column, p.head);
    }
    return quads;
}

// Adds a patch to the gradients of `count` rows of a part, or, if `fresh`, makes it the gradient.
fn keep(sum: mat4x4<f32>, part_of: u32, first: u32, count: u32, h: u32, chunk: u32, thread: u32, fresh: bool) {
    let column = chunk + thread % 8u * 4u;
    for (var n = 0u; n < 4u; n++) {
        let row = thread / 8u * 4u + n;
        let start = first_of(first + row, 3u, part_of, h, column);
        for (var c = 0u; c < 4u / PER_ITEM; c++) {
            if (row < count && column + c < p.head) {
                let i = start / PER_ITEM + c;
                if (fresh) { dqkv[i] = part(sum[n], c); } else { dqkv[i] += part(sum[n], c); }
            }
        }
    }
}

// The patch of weights^T left, for `rows` columns of weights over `count` rows of the left operand: columns by quad x.
fn weigh_left(rows: u32, count: u32, thread: u32) -> mat4x4<f32> {
    let y = thread / 8u;
    let x = thread % 8u;
    var sum = mat4x4<f32>();
    if (4u * y >= rows) { return sum; }
    for (var k = 0u; 4u * k < count; k++) {
        for (var n = 0u; n < 4u; n++) {
            let w = weights[32u * k + 8u * n + (y ^ k)];
            let b = left[32u * k + 8u * n + (x ^ k)];
            sum = mat4x4<f32>(sum[0] + w.x * b, sum[1] + w.y * b, sum[2] + w.z * b, sum[3] + w.w * b);
        }
    }
    return sum;
}

struct Rows { first: u32, count: u32 }

// Adds the gradients of the queries and, or, of the keys and values of two tiles.
fn add_gradients(
    queries: Rows, keys: Rows, h: u32, thread: u32, to_queries: bool, to_keys: bool, fresh: bool,
) {
    var products = mat4x4<f32>();
    // dot(g, out) of the caller's row, for the first threads. In a segment of one row, where out is v, it is summed as
    // dot(g, v).
    var delta = 0.0;
    for (var chunk = 0u; chunk < p.head; chunk += CHUNK) {
        let grad = fetch(G, queries.first, queries.count, h, chunk, thread);
        let values = fetch(V, keys.first, keys.count, h, chunk, thread);
        let output = fetch(OUT, queries.first, queries.count, h, chunk, thread);
        workgroupBarrier();
        stage_left(grad, queries.count, thread);
        stage_right(values, keys.count, thread);
        for (var n = 0u; n < 4u; n++) {
            weights[at(thread / 8u + 8u * n, thread % 8u)] = vec4<f32>(dot(grad[n], output[n]));
        }
        workgroupBarrier();
        if (thread < queries.count) {
            for (var c = 0u; c < 8u; c++) { delta += weights[at(thread, c)].x; }
        }
        products = add_products(products, queries.count, thread);
    }
    if (thread < queries.count) {
        stats[thread] = vec2<f32>(log_sums[(queries.first + thread) * p.heads + h], delta);
    }
    let chunks = (p.head + CHUNK - 1u) / CHUNK;
    var scores = mat4x4<f32>();
    for (var c = chunks; c > 0u; c--) {
        let q = fetch(Q, queries.first, queries.count, h, (c - 1u) * CHUNK, thread);
        let k = fetch(K, keys.first, keys.count, h, (c - 1u) * CHUNK, thread);
        workgroupBarrier();
        stage_left(q, queries.count, thread);
        stage_right(k, keys.count, thread);
        workgroupBarrier();
        scores = add_products(scores, queries.count, thread);
    }
    let key = thread % 8u * 4u;
    let present = vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(keys.count);
    for (var n = 0u; n < 4u; n++) {
        let row = thread / 8u * 4u + n;
        let own = queries.first + min(row, queries.count - 1u);
        let known = present & near(own, keys.first + key, keys.first + keys.count - 1u);
        let w = exp(scores[n] * p.scale - stats[row].x);
        scores[n] = select(vec4<f32>(0.0), w, known & vec4<bool>(row < queries.count));
        let d = w * (products[n] - stats[row].y) * p.scale;
        products[n] = select(vec4<f32>(0.0), d, known & vec4<bool>(row < queries.count));
    }
    store_weights(products, thread);
    workgroupBarrier();
    // The first chunk is still staged.
    for (var chunk = 0u; chunk < p.head; chunk += CHUNK) {
        if (chunk > 0u) {
            let q = fetch(Q, queries.first, queries.count, h, chunk, thread);
            let k = fetch(K, keys.first, keys.count, h, chunk, thread);
            workgroupBarrier();
            stage_left(q, queries.count, thread);
            stage_right(k, keys.count, thread);
            workgroupBarrier();
        }
        if (to_queries) {
            keep(weigh_right(queries.count, keys.count, thread), Q, queries.first, queries.count, h, chunk, thread, fresh);
        }
        if (to_keys) {
            keep(weigh_left(keys.count, queries.count, thread), K, keys.first, keys.count, h, chunk, thread, fresh);
        }
    }
    if (!to_keys) { return; }
    for (var chunk = 0u; chunk < p.head; chunk += CHUNK) {
        let grad = fetch(G, queries.first, queries.count, h, chunk, thread);
        workgroupBarrier();
        if (chunk == 0u) { store_weights(scores, thread); }
        stage_left(grad, queries.count, thread);
        workgroupBarrier();
        keep(weigh_left(keys.count, queries.count, thread), V, keys.first, keys.count, h, chunk, thread, fresh);
    }
}

@compute @workgroup_size(THREADS)
fn attention_backward(
    @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = linear_group(group, groups);
    let parts = (p.heads + p.each - 1u) / p.each;
    if (index / parts >= p.block_count) { return; }
    let block = blocks[index / parts];
    let size = block.y;
    let own = Rows(block.x, min(size, block.w - block.x));
    let turns = 2u * ((block.w - block.z + size - 1u) / size) - 1u;
    let first_head = index % parts * p.each;
    let heads = min(p.each, p.heads - first_head);
    for (var i = 0u; i < heads * turns; i++) {
        // The block itself; then each other one, first as keys, then as queries.
        let turn = i % turns;
        var first = block.x;
        if (turn > 0u) {
            first = block.z + (turn - 1u) / 2u * size;
            if (first >= block.x) { first += size; }
        }
        let other = Rows(first, min(size, block.w - first));
        var queries = other;
        var keys = own;
        if (turn % 2u == 1u) {
            queries = own;
            keys = other;
        }
        let to_queries = turn == 0u || turn % 2u == 1u;
        add_gradients(queries, keys, first_head + i / turns, thread, to_queries, turn % 2u == 0u, turn == 0u);
    }
}
