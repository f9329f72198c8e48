// Multi-head self-attention of packed rows, each within its own segment, by online softmax:
//   w[i, j]        = exp(scale * dot(q[i], k[j]))        j over the segment of row i, or its near rows, per head
//   out[i]         = sum_j w[i, j] v[j] / sum_j w[i, j]
//   log_sums[i, h] = log(sum_j w[i, j])
//
// qkv [rows, 3 H]: queries, keys, values next to each other; H = heads * head
// blocks [blocks]: a block's first row, the rows of a block of its segment (at most 32), and the segment's first row
// and end
// places [rows]: position of each row, only read by windowed variants
// out [rows, H], log_sums [rows, heads]
//
// Dispatch: one workgroup for one block and `each` heads, block_count * ceil(heads / each) workgroups, heads fastest.
// A GPU needs many workgroups, so one head each; on a software adapter a workgroup costs as much as its work. Queries, keys and values are staged in workgroup memory. Up to 32 rows, a segment is one tile of keys. If there
// are more, the sums of the tiles so far are in `out`, so registers do not depend on the head.
//
// Numerics: f32; the largest score so far is subtracted before exp, so scores of any finite size are safe.
#use attention
#use window

struct Params { block_count: u32, heads: u32, head: u32, each: u32, reach: u32, scale: f32 }

@group(0) @binding(0) var<storage, read> qkv: array<Item>;
@group(0) @binding(1) var<storage, read> blocks: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<Item>;
@group(0) @binding(4) var<storage, read_write> log_sums: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

const LOWEST: f32 = -1e30;

// A thread's quads of a part (queries 0, keys 1, values 2) of `count` rows, as `stage_left` takes them.
fn fetch(part: u32, first: u32, count: u32, h: u32, chunk: u32, thread: u32) -> mat4x4<f32> {
    let column = chunk + 4u * (thread % 8u);
    var quads = mat4x4<f32>();
    if (column >= p.head) { return quads; }
    for (var n = 0u; n < 4u; n++) {
        let row = first + min(thread / 8u + 8u * n, count - 1u);
        let start = first_of(row, 3u, part, h, column);
        let i = quad_items(start, start - column + p.head - 1u);
        quads[n] = within(join(qkv[i.x], qkv[i.y], qkv[i.z], qkv[i.w]), column, p.head);
    }
    return quads;
}

// out = (shrink * out + x) / total for four columns of a row; `fresh`: x / total.
fn keep(row: u32, h: u32, column: u32, x: vec4<f32>, stat: vec2<f32>, fresh: bool) {
    let start = first_of(row, 1u, 0u, h, column);
    for (var n = 0u; n < 4u / PER_ITEM; n++) {
        if (column + n < p.head) {
            let i = start / PER_ITEM + n;
            var sum = part(x, n);
            if (!fresh) { sum += stat.x * out[i]; }
            out[i] = sum / stat.y;
        }
    }
}

@compute @workgroup_size(THREADS)
fn attention(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
             @builtin(local_invocation_index) thread: u32) {
    let index = linear_group(group, groups);
    let parts = (p.heads + p.each - 1u) / p.each;
    if (index / parts >= p.block_count) { return; }
    let block = blocks[index / parts];
    let size = block.y;
    let rows = min(size, block.w - block.x);
    let first = index % parts * p.each;
    for (var h = first; h < min(first + p.each, p.heads); h++) {
        // Of the caller's row of the block, for the first threads.
        var largest = LOWEST;
        var total = 0.0;
        for (var tile = block.z; tile < block.w; tile += size) {
            let count = min(size, block.w - tile);
            let last = tile + count == block.w;
            let values = fetch(2u, tile, count, h, 0u, thread);
            var scores = mat4x4<f32>();
            for (var chunk = 0u; chunk < p.head; chunk += CHUNK) {
                let q = fetch(0u, block.x, rows, h, chunk, thread);
                let k = fetch(1u, tile, count, h, chunk, thread);
                workgroupBarrier();
                stage_left(q, rows, thread);
                stage_right(k, count, thread);
                workgroupBarrier();
                scores = add_products(scores, rows, thread);
            }
            workgroupBarrier();
            store_weights(scores * p.scale, thread);
            stage_right(values, count, thread);
            workgroupBarrier();
            if (thread < rows) {
                var top = largest;
                for (var c = 0u; 4u * c < count; c++) {
                    let keys = vec4<u32>(4u * c) + vec4<u32>(0u, 1u, 2u, 3u);
                    let known = (keys < vec4<u32>(count)) & near(block.x + thread, tile + 4u * c, block.w - 1u);
                    let four = select(vec4<f32>(LOWEST), weights[at(thread, c)], known);
                    top = max(top, max(max(four.x, four.y), max(four.z, four.w)));
                }
                let shrink = exp(largest - top);
                total *= shrink;
                for (var c = 0u; 4u * c < count; c++) {
                    let keys = vec4<u32>(4u * c) + vec4<u32>(0u, 1u, 2u, 3u);
                    let known = (keys < vec4<u32>(count)) & near(block.x + thread, tile + 4u * c, block.w - 1u);
                    let w = select(vec4<f32>(0.0), exp(weights[at(thread, c)] - top), known);
                    weights[at(thread, c)] = w;
                    total += dot(w, vec4<f32>(1.0));
                }
                largest = top;
                stats[thread] = vec2<f32>(shrink, select(1.0, total, last));
                if (last) { log_sums[(block.x + thread) * p.heads + h] = largest + log(total); }
            }
            workgroupBarrier();
            for (var chunk = 0u; chunk < p.head; chunk += CHUNK) {
                if (chunk > 0u) {
                    let more = fetch(2u, tile, count, h, chunk, thread);
                    workgroupBarrier();
                    stage_right(more, count, thread);
                    workgroupBarrier();
                }
                let sum = weigh_right(rows, count, thread);
                for (var n = 0u; n < 4u; n++) {
                    let row = thread / 8u * 4u + n;
                    if (row < rows) {
                        keep(block.x + row, h, chunk + thread % 8u * 4u, sum[n], stats[row], tile == block.z);
                    }
                }
            }
        }
    }
}
