// `add_layer_norm` without saved activations:
//   v = x + residual, y = (v - mean v) / sqrt(mean (v - mean v)^2 + epsilon) gamma + beta
//
// x, residual, y [rows, width]; gamma, beta [width]
//
// Dispatch: LANES threads per row, ROWS = THREADS / LANES rows per workgroup;
// ceil(rows / ROWS) workgroups.
//
// THREADS, LANES, SIDE: variant. Numerics: as `add_layer_norm`, bit for bit.
#use layer_norm

struct Params { rows: u32, width: u32, epsilon: f32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> residual: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

fn element(row: u32, column: u32) -> f32 {
    let at = row * p.width + column;
    return x[at] + residual[at];
}

fn store(row: u32, column: u32, n: f32) {
    y[row * p.width + column] = fma(n, gamma[column], beta[column]);
}

@compute @workgroup_size(THREADS)
fn add_layer_norm_infer(@builtin(workgroup_id) group: vec3<u32>,
                        @builtin(num_workgroups) groups: vec3<u32>,
                        @builtin(local_invocation_index) thread: u32) {
    normalise(linear_group(group, groups) * ROWS + thread / LANES, thread);
}
