// Gradient of `gated_gelu` with respect to [a, b]: da = g b gelu'(a), db = g gelu(a).
//
// g [rows, inner]; x, dx [rows, 2 inner]; count = rows * inner
//
// Dispatch: BLOCK = 1024 elements of g per workgroup; ceil(count / BLOCK) of them. Numerics: f32.
#use elements
#use gelu

struct Params { count: u32, inner: u32 }

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn gated_gelu_backward(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
                       @builtin(local_invocation_index) thread: u32) {
    let start = linear_group(group, groups) * BLOCK;
    for (var i = start + thread; i < min(start + BLOCK, p.count); i += THREADS) {
        let a = i / p.inner * 2u * p.inner + i % p.inner;
        let b = a + p.inner;
        dx[a] = g[i] * x[b] * gelu_derivative(x[a]);
        dx[b] = g[i] * gelu(x[a]);
    }
}
