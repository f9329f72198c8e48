// Rotary positions: in every head of queries and keys, elements i and i + d/2 turn by the angle of their position.
//   y[i]       = x[i] cos - x[i + d/2] sin
//   y[i + d/2] = x[i + d/2] cos + x[i] sin
// Values stay. With sign -1 it turns back, which is the gradient.
//
// qkv, y [count], rows of `columns` = 3 H: queries, keys, values side by side; d = head
// angles [positions, head]: the cosines of a position's d/2 angles, then their sines
// places [rows]: position of each row
//
// Dispatch: BLOCK = 1024 elements per workgroup; ceil(count / BLOCK) of them. Numerics: f32.
#use elements

struct Params { count: u32, columns: u32, positions: u32, head: u32, sign: f32 }

@group(0) @binding(0) var<storage, read> qkv: array<f32>;
@group(0) @binding(1) var<storage, read> angles: array<f32>;
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn rotate(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
          @builtin(local_invocation_index) thread: u32) {
    let start = linear_group(group, groups) * BLOCK;
    for (var i = start + thread; i < min(start + BLOCK, p.count); i += THREADS) {
        let column = i % p.columns;
        if (column >= p.columns / 3u * 2u) {
            y[i] = qkv[i];
            continue;
        }
        let half = p.head / 2u;
        let place = min(places[i / p.columns], p.positions - 1u);
        let pair = column % half;
        let cosine = angles[place * p.head + pair];
        let sine = p.sign * angles[place * p.head + half + pair];
        // Elements of the first half of a head turn against those of the second.
        if (column % p.head < half) {
            y[i] = qkv[i] * cosine - qkv[i + half] * sine;
        } else {
            y[i] = qkv[i] * cosine + qkv[i - half] * sine;
        }
    }
}
