// One step of AdamW (arXiv 1711.05101) in place, after clipping to a global norm:
//   g'  = g min(1, clip_norm / (norm + 1e-6))     norm = sqrt(sum of partials); clip_norm 0: g
//   m   = beta1 m + rest1 g'                                 v = beta2 v + rest2 g'^2
//   x   = x (1 - lr weight_decay) - lr (m / correction1) / (sqrt(v / correction2) + epsilon)
// with correction = 1 - beta^step and rest = 1 - beta, which the host computes in f64. A non-finite
// norm changes only `norm`.
//
// g, parameters (x), first (m), second (v) [count]; partials [256], of `global_norm`; norm [1];
// schedule [3]: lr, correction1, correction2. They change at every step, and the runtime keeps a buffer
// for every distinct set of uniform parameters.
//
// Dispatch: BLOCK = 1024 elements per workgroup; ceil(count / BLOCK), at least one. Each sums
// the partials again, which saves a dispatch. Numerics: f32.
#use elements
#use row_sum

struct Params {
    count: u32, weight_decay: f32, beta1: f32, beta2: f32, epsilon: f32,
    rest1: f32, rest2: f32, clip_norm: f32,
}

@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;
@group(0) @binding(4) var<storage, read> partials: array<f32>;
@group(0) @binding(5) var<storage, read> schedule: array<f32>;
@group(0) @binding(6) var<storage, read_write> norm: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

alias Sum = f32;
const LANES: u32 = THREADS;
const SIDE: u32 = 16u;

@compute @workgroup_size(THREADS)
fn adamw(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) thread: u32) {
    let index = linear_group(group, groups);
    let size = sqrt(row_sum(partials[thread], thread));
    if (index == 0u && thread == 0u) { norm[0] = size; }
    // Test the bits: a compiler may assume that no number is NaN or infinite.
    if ((bitcast<u32>(size) & 0x7f800000u) == 0x7f800000u) { return; }
    var factor = 1.0;
    if (p.clip_norm > 0.0) { factor = min(1.0, p.clip_norm / (size + 1e-6)); }
    let lr = schedule[0];
    let start = index * BLOCK;
    for (var i = start + thread; i < min(start + BLOCK, p.count); i += THREADS) {
        let slope = g[i] * factor;
        let m = p.beta1 * first[i] + p.rest1 * slope;
        let v = p.beta2 * second[i] + p.rest2 * slope * slope;
        first[i] = m;
        second[i] = v;
        let way = lr / schedule[1] * m / (sqrt(v / schedule[2]) + p.epsilon);
        parameters[i] = parameters[i] * (1.0 - lr * p.weight_decay) - way;
    }
}
