// Value of the correlation term, the root mean square of `off` outside its diagonal:
//   value = sqrt(sum of partials / (width (width - 1)))       at least 1.2e-38 under the root
//
// partials [count], of `correlation_matrix`; value [1]. width is 2 or more.
//
// Dispatch: one workgroup. Numerics: f32.
#use row_sum

struct Params { count: u32, width: u32 }

@group(0) @binding(0) var<storage, read> partials: array<f32>;
@group(0) @binding(1) var<storage, read_write> value: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

alias Sum = f32;
const THREADS: u32 = 256u;
const LANES: u32 = THREADS;
const SIDE: u32 = 16u;

@compute @workgroup_size(THREADS)
fn correlation_finish(@builtin(local_invocation_index) thread: u32) {
    var sum = 0.0;
    for (var i = thread; i < p.count; i += THREADS) { sum += partials[i]; }
    sum = row_sum(sum, thread);
    let pairs = f32(p.width) * f32(p.width - 1u);
    // The bound is the smallest normal number.
    if (thread == 0u) { value[0] = sqrt(max(sum / pairs, 1.1754944e-38)); }
}
