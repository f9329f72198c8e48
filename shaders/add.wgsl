// Sum of two tensors, element by element: y = a + b.
//
// a, b, y [count]
//
// Dispatch: BLOCK = 1024 elements for a workgroup; ceil(count / BLOCK) of them. Numerics: f32.
#use elements

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn add(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
       @builtin(local_invocation_index) thread: u32) {
    let start = linear_group(group, groups) * BLOCK;
    for (var i = start + thread; i < min(start + BLOCK, p.count); i += THREADS) {
        y[i] = a[i] + b[i];
    }
}
