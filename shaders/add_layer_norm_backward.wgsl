// Gradient of `add_layer_norm` with respect to x, which is also that of residual. With h = g gamma, n = normalised:
//   dx = (h - mean h - n mean(h n)) inverse_deviation           means over a row
//
// g, normalised, dx [rows, width]; inverse_deviation [rows]; gamma [width]
//
// Dispatch: LANES threads per row, ROWS = THREADS / LANES rows per workgroup;
// ceil(rows / ROWS) workgroups.
//
// THREADS, LANES, SIDE: variant. Numerics: f32. The second read of a row hits the cache.
#use grid

struct Params { rows: u32, width: u32 }

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> normalised: array<f32>;
@group(0) @binding(2) var<storage, read> inverse_deviation: array<f32>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

alias Sum = vec2<f32>;
const ROWS: u32 = THREADS / LANES;

@compute @workgroup_size(THREADS)
fn add_layer_norm_backward(@builtin(workgroup_id) group: vec3<u32>,
                           @builtin(num_workgroups) groups: vec3<u32>,
                           @builtin(local_invocation_index) thread: u32) {
    let row = linear_group(group, groups) * ROWS + thread / LANES;
    let end = select(0u, p.width, row < p.rows);
    var sum = vec2<f32>(0.0);
    for (var column = thread % LANES; column < end; column += LANES) {
        let at = row * p.width + column;
        let h = g[at] * gamma[column];
        sum += vec2<f32>(h, h * normalised[at]);
    }
    let mean = row_sum(sum, thread) / f32(p.width);
    for (var column = thread % LANES; column < end; column += LANES) {
        let at = row * p.width + column;
        let h = g[at] * gamma[column];
        dx[at] = (h - mean.x - normalised[at] * mean.y) * inverse_deviation[row];
    }
}
