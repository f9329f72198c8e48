// Sums of the squares of a vector, such as a gradient, by workgroup: partials[k] = sum of g^2 over its elements.
//
// g [count]; partials [256]
//
// Dispatch: always 256 workgroups; global thread i sums elements i, i + 65536, ... Numerics: f32; a
// non-finite element makes its sum non-finite.
#use row_sum

struct Params { count: u32 }

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

alias Sum = f32;
const THREADS: u32 = 256u;
const LANES: u32 = THREADS;
const SIDE: u32 = 16u;
const PARTIALS: u32 = 256u;

@compute @workgroup_size(THREADS)
fn global_norm(@builtin(workgroup_id) group: vec3<u32>,
               @builtin(local_invocation_index) thread: u32) {
    var sum = 0.0;
    for (var i = group.x * THREADS + thread; i < p.count; i += PARTIALS * THREADS) {
        sum = fma(g[i], g[i], sum);
    }
    sum = row_sum(sum, thread);
    if (thread == 0u) { partials[group.x] = sum; }
}
