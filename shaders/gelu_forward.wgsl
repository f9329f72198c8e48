// The exact GELU of every element: y = x (1 + erf(x / sqrt 2)) / 2.
//
// x, y [count]
//
// Dispatch: BLOCK = 1024 elements per workgroup; ceil(count / BLOCK) of them. Numerics: f32.
#use elements
#use gelu

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn gelu_forward(@builtin(workgroup_id) group: vec3<u32>,
                @builtin(num_workgroups) groups: vec3<u32>,
                @builtin(local_invocation_index) thread: u32) {
    let start = linear_group(group, groups) * BLOCK;
    for (var i = start + thread; i < min(start + BLOCK, p.count); i += THREADS) {
        y[i] = gelu(x[i]);
    }
}
