// Gradient of `attention` with respect to qkv. With w[i, j] = exp(scale * dot(q[i], k[j]) - log_sums[i]) and
// d[i, j] = w[i, j] (dot(g[i], v[j]) - dot(g[i], out[i])), within a segment and per head:
//   dq[i] = scale * sum_j d[i, j] k[j]
//   dk[j] = scale * sum_i d[i, j] q[i]
//   dv[j] = sum_i w[i, j] g[i]
//
// g, out [rows, H]; qkv, dqkv [rows, 3 H]: query, key, value side by side; H = heads * head
// log_sums [rows, heads]; bounds [rows]: first row and end row of each row's segment, ascending
//
// Dispatch: one workgroup for ROWS rows, one head and one of the parts dq, dk, dv, index
// (block * heads + head) * 3 + part; ceil(rows / ROWS) * heads * 3 workgroups. A thread keeps its
// own row and its gradient in registers; the rows it is paired with are staged in workgroup memory.
// The three parts compute some products twice, but need no atomics and fit in registers.
//
// HEAD, KEYS: variant. Numerics: f32; the exponent is at most 0, except for rounding.
#use grid

struct Params { rows: u32, heads: u32, head: u32, scale: f32 }

@group(0) @binding(0) var<storage, read> g: array<Cell>;
@group(0) @binding(1) var<storage, read> qkv: array<Cell>;
@group(0) @binding(2) var<storage, read> out: array<Cell>;
@group(0) @binding(3) var<storage, read> log_sums: array<f32>;
@group(0) @binding(4) var<storage, read> bounds: array<vec2<u32>>;
@group(0) @binding(5) var<storage, read_write> dqkv: array<Cell>;
@group(0) @binding(6) var<uniform> p: Params;

const ROWS: u32 = 64u;
const QUADS: u32 = HEAD / 4u;
// One quad of padding per row, so that rows of different segments are in different banks.
const STRIDE: u32 = QUADS + 1u;
const DQ: u32 = 0u;
const DK: u32 = 1u;
const DV: u32 = 2u;

// Paired rows: keys and values for dq; queries and g, with log-sum and dot(g, out), for dk and dv.
var<workgroup> left: array<vec4<f32>, KEYS * STRIDE>;
var<workgroup> right: array<vec4<f32>, KEYS * STRIDE>;
var<workgroup> stats: array<vec2<f32>, KEYS>;

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

// A quad of head h in a row of g, or of out.
fn load_single(of_g: bool, row: u32, h: u32, quad: u32) -> vec4<f32> {
    let i = (row * p.heads + h) * p.head + 4u * quad;
    if (EXACT) {
        if (of_g) { return vec4<f32>(g[i / 4u]); }
        return vec4<f32>(out[i / 4u]);
    }
    var x = vec4<f32>(0.0);
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) {
            if (of_g) { x[n] = vec4<f32>(g[i + n]).x; } else { x[n] = vec4<f32>(out[i + n]).x; }
        }
    }
    return x;
}

// dot(g, out) of one head of a row, summed in the order of dot(g, v): in a segment of one row,
// where out is v, their difference is exactly 0.
fn output_product(row: u32, h: u32) -> f32 {
    var sum = 0.0;
    for (var c = 0u; c < QUADS; c++) {
        sum += dot(load_single(true, row, h, c), load_single(false, row, h, c));
    }
    return sum;
}

fn store(row: u32, part: u32, h: u32, quad: u32, x: vec4<f32>) {
    let i = ((3u * row + part) * p.heads + h) * p.head + 4u * quad;
    if (EXACT) { dqkv[i / 4u] = cell(x, 0u); return; }
    for (var n = 0u; n < 4u; n++) {
        if (4u * quad + n < p.head) { dqkv[i + n] = cell(x, n); }
    }
}

@compute @workgroup_size(ROWS)
fn attention_backward(
    @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let index = linear_group(group, groups);
    let part = index % 3u;
    let h = index / 3u % p.heads;
    let start = index / 3u / p.heads * ROWS;
    if (start >= p.rows) { return; }
    let first = bounds[start].x;
    let end = bounds[min(start + ROWS, p.rows) - 1u].y;

    // A thread without a row has an empty segment and only helps with staging.
    let row = start + thread;
    var segment = vec2<u32>(0u);
    var own_left: array<vec4<f32>, QUADS>;
    var own_right: array<vec4<f32>, QUADS>;
    var sum: array<vec4<f32>, QUADS>;
    var log_sum = vec4<f32>(0.0);
    var delta = vec4<f32>(0.0);
    if (row < p.rows) {
        segment = bounds[row];
        for (var c = 0u; c < QUADS; c++) {
            if (part == DQ) {
                own_left[c] = load_qkv(row, 0u, h, c);
                own_right[c] = load_single(true, row, h, c);
            } else {
                own_left[c] = load_qkv(row, 1u, h, c);
                if (part == DK) { own_right[c] = load_qkv(row, 2u, h, c); }
            }
        }
        if (part == DQ) {
            log_sum = vec4<f32>(log_sums[row * p.heads + h]);
            delta = vec4<f32>(output_product(row, h));
        }
    }
    for (var c = 0u; c < QUADS; c++) { sum[c] = vec4<f32>(0.0); }

    for (var tile = first; tile < end; tile += KEYS) {
        let count = min(KEYS, end - tile);
        workgroupBarrier();
        for (var i = thread; i < count * QUADS; i += ROWS) {
            let at = i / QUADS * STRIDE + i % QUADS;
            if (part == DQ) {
                left[at] = load_qkv(tile + i / QUADS, 1u, h, i % QUADS);
                right[at] = load_qkv(tile + i / QUADS, 2u, h, i % QUADS);
            } else {
                left[at] = load_qkv(tile + i / QUADS, 0u, h, i % QUADS);
                right[at] = load_single(true, tile + i / QUADS, h, i % QUADS);
            }
        }
        if (part != DQ) {
            for (var j = thread; j < count; j += ROWS) {
                var stat = vec2<f32>(log_sums[(tile + j) * p.heads + h], 0.0);
                if (part == DK) { stat.y = output_product(tile + j, h); }
                stats[j] = stat;
            }
        }
        workgroupBarrier();
        let stop = min(segment.y, tile + count);
        for (var j = max(segment.x, tile); j < stop; j += 4u) {
            // Past the end, use the last row with weight 0.
            let four = vec4<u32>(j, j + 1u, j + 2u, j + 3u);
            let near = min(four, vec4<u32>(stop - 1u)) - tile;
            let at = near * STRIDE;
            if (part != DQ) {
                let stat = array(stats[near.x], stats[near.y], stats[near.z], stats[near.w]);
                log_sum = vec4<f32>(stat[0].x, stat[1].x, stat[2].x, stat[3].x);
                delta = vec4<f32>(stat[0].y, stat[1].y, stat[2].y, stat[3].y);
            }
            var scores = vec4<f32>(0.0);
            for (var c = 0u; c < QUADS; c++) {
                let x = own_left[c];
                scores += vec4<f32>(dot(x, left[at.x + c]), dot(x, left[at.y + c]),
                                    dot(x, left[at.z + c]), dot(x, left[at.w + c]));
            }
            var w = exp(scores * p.scale - log_sum);
            w = select(vec4<f32>(0.0), w, four < vec4<u32>(stop));
            if (part == DV) {
                for (var c = 0u; c < QUADS; c++) {
                    sum[c] += w.x * right[at.x + c] + w.y * right[at.y + c]
                        + w.z * right[at.z + c] + w.w * right[at.w + c];
                }
            } else {
                var products = vec4<f32>(0.0);
                for (var c = 0u; c < QUADS; c++) {
                    let x = own_right[c];
                    products += vec4<f32>(dot(x, right[at.x + c]), dot(x, right[at.y + c]),
                                          dot(x, right[at.z + c]), dot(x, right[at.w + c]));
                }
                let d = w * (products - delta) * p.scale;
                for (var c = 0u; c < QUADS; c++) {
                    sum[c] += d.x * left[at.x + c] + d.y * left[at.y + c]
                        + d.z * left[at.z + c] + d.w * left[at.w + c];
                }
            }
        }
    }
    if (row < p.rows) {
        for (var c = 0u; c < QUADS; c++) { store(row, part, h, c, sum[c]); }
    }
}
