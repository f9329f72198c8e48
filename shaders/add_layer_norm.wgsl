// Sum of two rows, normalised, with saved activations for the backward step:
//   v = x + residual, n = (v - mean v) / sqrt(mean (v - mean v)^2 + epsilon), y = n gamma + beta
//
// x, residual, y, normalised (n) [rows, width]; gamma, beta [width]; inverse_deviation [rows]
//
// Dispatch: LANES threads per row, ROWS = THREADS / LANES rows per workgroup;
// ceil(rows / ROWS) workgroups.
//
// LANES, SIDE: variant; 64 lanes for many rows, 256 for few or wide ones. Numerics: f32; the deviations
// are squared after the mean is known, so a large mean loses no precision.
#use layer_norm

struct Params { rows: u32, width: u32, epsilon: f32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> residual: array<f32>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> normalised: array<f32>;
@group(0) @binding(6) var<storage, read_write> inverse_deviation: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

fn element(row: u32, column: u32) -> f32 {
    let at = row * p.width + column;
    return x[at] + residual[at];
}

fn store(row: u32, column: u32, n: f32) {
    let at = row * p.width + column;
    normalised[at] = n;
    y[at] = fma(n, gamma[column], beta[column]);
}

@compute @workgroup_size(THREADS)
fn add_layer_norm(@builtin(workgroup_id) group: vec3<u32>,
                  @builtin(num_workgroups) groups: vec3<u32>,
                  @builtin(local_invocation_index) thread: u32) {
    let row = linear_group(group, groups) * ROWS + thread / LANES;
    let factor = normalise(row, thread);
    if (row < p.rows && thread % LANES == 0u) { inverse_deviation[row] = factor; }
}
