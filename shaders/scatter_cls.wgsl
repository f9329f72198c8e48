// Gradient of `gather_cls`: dx[offsets[s]] = g[s], all other rows 0.
//
// g [segments, width]; offsets [segments + 1]: first row of each segment, and the end of the last
// dx [rows, width]
//
// Dispatch: LANES = 64 threads per row, 4 rows per workgroup; ceil(rows / 4) workgroups. The segment
// of a row is found by binary search.
#use grid

struct Params { rows: u32, segments: u32, width: u32 }

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

const THREADS: u32 = 256u;
const LANES: u32 = 64u;
const ROWS: u32 = THREADS / LANES;

@compute @workgroup_size(THREADS)
fn scatter_cls(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
               @builtin(local_invocation_index) thread: u32) {
    let row = linear_group(group, groups) * ROWS + thread / LANES;
    if (row >= p.rows) { return; }
    // The last segment that starts at or before the row.
    var segment = 0u;
    var past = p.segments;
    while (past - segment > 1u) {
        let middle = (segment + past) / 2u;
        if (offsets[middle] <= row) { segment = middle; } else { past = middle; }
    }
    let first = offsets[segment] == row;
    for (var column = thread % LANES; column < p.width; column += LANES) {
        var value = 0.0;
        if (first) { value = g[segment * p.width + column]; }
        dx[row * p.width + column] = value;
    }
}
