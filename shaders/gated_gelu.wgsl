// The gated GELU of rows [a, b]: y = gelu(a) b.
//
// x [rows, 2 inner], y [rows, inner]; count = rows * inner
//
// Dispatch: BLOCK = 1024 elements of y per workgroup; ceil(count / BLOCK) of them. Numerics: f32.
#use elements
#use gelu

struct Params { count: u32, inner: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn gated_gelu(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
              @builtin(local_invocation_index) thread: u32) {
    let start = linear_group(group, groups) * BLOCK;
    for (var i = start + thread; i < min(start + BLOCK, p.count); i += THREADS) {
        let a = i / p.inner * 2u * p.inner + i % p.inner;
        y[i] = gelu(x[a]) * x[a + p.inner];
    }
}
