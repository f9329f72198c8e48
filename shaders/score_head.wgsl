// Score of each row: scores[s] = cls[s] . w + b.
//
// cls [rows, width]; head [width + 1]: w, then b; scores [rows]
//
// Dispatch: LANES = 64 threads per row, 4 rows per workgroup; ceil(rows / 4) workgroups.
// Numerics: f32.
#use grid
#use row_sum

struct Params { rows: u32, width: u32 }

@group(0) @binding(0) var<storage, read> cls: array<f32>;
@group(0) @binding(1) var<storage, read> head: array<f32>;
@group(0) @binding(2) var<storage, read_write> scores: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

alias Sum = f32;
const THREADS: u32 = 256u;
const LANES: u32 = 64u;
const SIDE: u32 = 8u;
const ROWS: u32 = THREADS / LANES;

@compute @workgroup_size(THREADS)
fn score_head(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let row = linear_group(group, groups) * ROWS + thread / LANES;
    let end = select(0u, p.width, row < p.rows);
    var sum = 0.0;
    for (var column = thread % LANES; column < end; column += LANES) {
        sum = fma(cls[row * p.width + column], head[column], sum);
    }
    let score = row_sum(sum, thread);
    if (row < p.rows && thread % LANES == 0u) { scores[row] = score + head[p.width]; }
}
