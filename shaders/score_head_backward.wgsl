// Gradients of `score_head` for the gradient g of its scores:
//   dcls[s, c] = g[s] w[c]      dhead[c] = sum_s g[s] cls[s, c]      dhead[width] = sum_s g[s]
//
// g [rows]; cls, dcls [rows, width]; head, dhead [width + 1]: w, then b
//
// Dispatch: first ceil(rows width / 1024) workgroups with 1024 elements of dcls each, then
// ceil((width + 1) / COLUMNS) with COLUMNS = 16 elements of dhead each. Numerics: f32.
#use grid
#use column_sum

struct Params { rows: u32, width: u32 }

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> cls: array<f32>;
@group(0) @binding(2) var<storage, read> head: array<f32>;
@group(0) @binding(3) var<storage, read_write> dcls: array<f32>;
@group(0) @binding(4) var<storage, read_write> dhead: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

const BLOCK: u32 = 4u * THREADS;

@compute @workgroup_size(THREADS)
fn score_head_backward(@builtin(workgroup_id) group: vec3<u32>,
                       @builtin(num_workgroups) groups: vec3<u32>,
                       @builtin(local_invocation_index) thread: u32) {
    let index = linear_group(group, groups);
    let count = p.rows * p.width;
    let blocks = (count + BLOCK - 1u) / BLOCK;
    if (index < blocks) {
        let start = index * BLOCK;
        for (var i = start + thread; i < min(start + BLOCK, count); i += THREADS) {
            dcls[i] = g[i / p.width] * head[i % p.width];
        }
        return;
    }
    let column = (index - blocks) * COLUMNS + thread % COLUMNS;
    var sum = 0.0;
    // b multiplies a column of ones.
    for (var row = thread / COLUMNS; row < p.rows; row += SLICES) {
        var x = 1.0;
        if (column < p.width) { x = cls[row * p.width + column]; }
        sum = fma(g[row], x, sum);
    }
    sum = column_sum(sum, thread);
    if (thread < COLUMNS && column <= p.width) { dhead[column] = sum; }
}
