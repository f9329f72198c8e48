// Scales the columns of cls to mean 0 and standard deviation 1, the first step of the correlation term:
//   z = (cls - mean) / max(deviation, 1e-5)        by column, deviation with rows - 1
//
// cls, z [rows, width]; scales [width]: one over the divisor, and 1 if the divisor is the deviation, 0 if
// it is clamped and therefore constant. rows is 2 or more.
//
// Dispatch: COLUMNS = 16 columns for a workgroup; ceil(width / COLUMNS) of them. Numerics: f32; the
// deviations are squared after the mean is known.
#use grid
#use column_sum

struct Params { rows: u32, width: u32 }

@group(0) @binding(0) var<storage, read> cls: array<f32>;
@group(0) @binding(1) var<storage, read_write> z: array<f32>;
@group(0) @binding(2) var<storage, read_write> scales: array<vec2<f32>>;
@group(0) @binding(3) var<uniform> p: Params;

// Clamp the variance, not its root: the root has no derivative at a constant column.
const MIN_VARIANCE: f32 = 1e-10;

@compute @workgroup_size(THREADS)
fn correlation_standardise(@builtin(workgroup_id) group: vec3<u32>,
                           @builtin(num_workgroups) groups: vec3<u32>,
                           @builtin(local_invocation_index) thread: u32) {
    let column = linear_group(group, groups) * COLUMNS + thread % COLUMNS;
    let first = thread / COLUMNS;
    let end = select(0u, p.rows, column < p.width);
    var sum = 0.0;
    for (var row = first; row < end; row += SLICES) { sum += cls[row * p.width + column]; }
    let mean = column_sum(sum, thread) / f32(p.rows);
    var squares = 0.0;
    for (var row = first; row < end; row += SLICES) {
        let x = cls[row * p.width + column] - mean;
        squares = fma(x, x, squares);
    }
    let variance = column_sum(squares, thread) / f32(p.rows - 1u);
    let inverse = inverseSqrt(max(variance, MIN_VARIANCE));
    for (var row = first; row < end; row += SLICES) {
        let at = row * p.width + column;
        z[at] = (cls[at] - mean) * inverse;
    }
    if (thread < COLUMNS && column < p.width) {
        scales[column] = vec2<f32>(inverse, select(0.0, 1.0, variance > MIN_VARIANCE));
    }
}
