// Correlations of the columns of z, the second step of the correlation term:
//   off = z^T z / (rows - 1) - I          partials[k] = sum of off^2 over tile k
//
// z [rows, width], standardised; off [width, width]; partials [tiles], tiles = ceil(width / TILE)^2
//
// Dispatch: a workgroup for a tile of TILE x TILE; `tiles` of them, index block row * blocks + block.
//
// TILE = 64. Numerics: f32.
#use grid
#use row_sum
#use square_tile

struct Params { rows: u32, width: u32 }

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read_write> off: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

alias Sum = f32;
const LANES: u32 = THREADS;
const SIDE: u32 = 16u;

fn load(row: u32, column: u32) -> f32 {
    if (row < p.rows && column < p.width) { return z[row * p.width + column]; }
    return 0.0;
}

@compute @workgroup_size(THREADS)
fn correlation_matrix(@builtin(workgroup_id) group: vec3<u32>,
                      @builtin(num_workgroups) groups: vec3<u32>,
                      @builtin(local_invocation_index) thread: u32) {
    let index = linear_group(group, groups);
    let blocks = (p.width + TILE - 1u) / TILE;
    if (index >= blocks * blocks) { return; }
    let top = index / blocks * TILE;
    let side = index % blocks * TILE;
    let down = thread / 16u;
    let along = thread % 16u;
    // Not an array: a loop may spill its elements from the registers.
    var s0 = vec4<f32>(0.0);
    var s1 = s0;
    var s2 = s0;
    var s3 = s0;
    for (var start = 0u; start < p.rows; start += DEPTH) {
        for (var i = thread; i < DEPTH * TILE; i += THREADS) {
            let at = i / TILE * STRIDE + i % TILE;
            left[at] = load(start + i / TILE, top + i % TILE);
            right[at] = load(start + i / TILE, side + i % TILE);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let y = k * STRIDE + down;
            let x = four_right(k * STRIDE + along);
            s0 = fma(vec4<f32>(left[y]), x, s0);
            s1 = fma(vec4<f32>(left[y + 16u]), x, s1);
            s2 = fma(vec4<f32>(left[y + 32u]), x, s2);
            s3 = fma(vec4<f32>(left[y + 48u]), x, s3);
        }
        workgroupBarrier();
    }
    var sums = array<vec4<f32>, EACH>(s0, s1, s2, s3);
    var squares = 0.0;
    for (var i = 0u; i < EACH; i++) {
        for (var j = 0u; j < EACH; j++) {
            let row = top + i * 16u + down;
            let column = side + j * 16u + along;
            if (row >= p.width || column >= p.width) { continue; }
            let r = sums[i][j] / f32(p.rows - 1u) - select(0.0, 1.0, row == column);
            off[row * p.width + column] = r;
            squares = fma(r, r, squares);
        }
    }
    let total = row_sum(squares, thread);
    if (thread == 0u) { partials[index] = total; }
}
