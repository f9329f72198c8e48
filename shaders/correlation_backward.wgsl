// Gradient of the correlation term with respect to cls. With c = 2 / (width (width - 1) value (rows - 1)),
// the gradient with respect to z is dz = c z off. Through the standardisation it is, by column,
//   dcls = (dz - mean dz - z sum(dz z) / (rows - 1)) / deviation
// where the last term applies only if the deviation is not clamped.
// z has mean 0, so mean dz = 0; and sum_i dz z = c (rows - 1) sum_k off[k] R[k] with R = off + I, so
//   dcls = upstream * factor * c * (z off - z moves q) / deviation
//   q[j] = sum_k off[k, j]^2 + off[j, j]
//
// upstream, value [1]; z, dcls [rows, width]; scales [width]: 1 / deviation, moves; off [width, width]
//
// Dispatch: a workgroup for TILE rows and TILE columns of dcls, index block row * blocks + block with
// blocks = ceil(width / TILE); ceil(rows / TILE) * blocks of them.
//
// TILE = 64. Numerics: f32. Where the value is clamped to its minimum, the gradient is 0.
#use grid
#use square_tile

struct Params { rows: u32, width: u32, factor: f32 }

@group(0) @binding(0) var<storage, read> upstream: array<f32>;
@group(0) @binding(1) var<storage, read> value: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> scales: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> off: array<f32>;
@group(0) @binding(5) var<storage, read_write> dcls: array<f32>;
@group(0) @binding(6) var<uniform> p: Params;

fn load_z(row: u32, column: u32) -> f32 {
    if (row < p.rows && column < p.width) { return z[row * p.width + column]; }
    return 0.0;
}

fn load_off(row: u32, column: u32) -> f32 {
    if (row < p.width && column < p.width) { return off[row * p.width + column]; }
    return 0.0;
}

@compute @workgroup_size(THREADS)
fn correlation_backward(@builtin(workgroup_id) group: vec3<u32>,
                        @builtin(num_workgroups) groups: vec3<u32>,
                        @builtin(local_invocation_index) thread: u32) {
    let index = linear_group(group, groups);
    let blocks = (p.width + TILE - 1u) / TILE;
    let top = index / blocks * TILE;
    let side = index % blocks * TILE;
    if (top >= p.rows) { return; }
    let down = thread / 16u;
    let along = thread % 16u;
    // Not an array: a loop may spill its elements from the registers.
    var s0 = vec4<f32>(0.0);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    var q = s0;
    for (var start = 0u; start < p.width; start += DEPTH) {
        for (var i = thread; i < DEPTH * TILE; i += THREADS) {
            left[i % DEPTH * STRIDE + i / DEPTH] = load_z(top + i / DEPTH, start + i % DEPTH);
            right[i / TILE * STRIDE + i % TILE] = load_off(start + i / TILE, side + i % TILE);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let y = k * STRIDE + down;
            let x = four_right(k * STRIDE + along);
            q = fma(x, x, q);
            s0 = fma(vec4<f32>(left[y]), x, s0);
            s1 = fma(vec4<f32>(left[y + 16u]), x, s1);
            s2 = fma(vec4<f32>(left[y + 32u]), x, s2);
            s3 = fma(vec4<f32>(left[y + 48u]), x, s3);
        }
        workgroupBarrier();
    }
    var sums = array<vec4<f32>, EACH>(s0, s1, s2, s3);
    let divisor = f32(p.width) * f32(p.width - 1u) * value[0] * f32(p.rows - 1u);
    var c = 0.0;
    // Just above the square root of the smallest normal number.
    if (value[0] > 1.1e-19) { c = upstream[0] * p.factor * 2.0 / divisor; }
    for (var j = 0u; j < EACH; j++) {
        let column = side + j * 16u + along;
        if (column >= p.width) { continue; }
        let scale = scales[column];
        let along_z = scale.y * (q[j] + off[column * p.width + column]);
        for (var i = 0u; i < EACH; i++) {
            let row = top + i * 16u + down;
            if (row >= p.rows) { continue; }
            let at = row * p.width + column;
            dcls[at] = c * scale.x * (sums[i][j] - z[at] * along_z);
        }
    }
}
