// First row of each segment: y[s] = x[offsets[s]].
//
// x [rows, width]; offsets [segments + 1]: first row of each segment, and the end of the last
// y [segments, width]
//
// Dispatch: BLOCK = 1024 elements of y per workgroup; ceil(segments width / BLOCK) of them.
#use elements

struct Params { segments: u32, width: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn gather_cls(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let start = linear_group(group, groups) * BLOCK;
    for (var i = start + thread; i < min(start + BLOCK, p.segments * p.width); i += THREADS) {
        y[i] = x[offsets[i / p.width] * p.width + i % p.width];
    }
}
