// Gradient of the list losses with respect to the scores of the distinct texts:
//   dscores[s] = upstream[0] * factor * sum over hypotheses i with rows[i] = s of slopes[i]
//
// upstream [1]; rows, slopes [hypotheses]; dscores [texts]
//
// Dispatch: one thread per text, 64 per workgroup; ceil(texts / 64) workgroups. All hypotheses are staged
// in workgroup memory, so the sums need no atomics and have a fixed order. Numerics: f32.
#use grid

struct Params { hypotheses: u32, texts: u32, factor: f32 }

@group(0) @binding(0) var<storage, read> upstream: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> slopes: array<f32>;
@group(0) @binding(3) var<storage, read_write> dscores: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

const THREADS: u32 = 64u;

var<workgroup> text_of: array<u32, THREADS>;
var<workgroup> slope_of: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn list_loss_backward(@builtin(workgroup_id) group: vec3<u32>,
                      @builtin(num_workgroups) groups: vec3<u32>,
                      @builtin(local_invocation_index) thread: u32) {
    let text = linear_group(group, groups) * THREADS + thread;
    var sum = 0.0;
    for (var start = 0u; start < p.hypotheses; start += THREADS) {
        let i = start + thread;
        text_of[thread] = 0u;
        slope_of[thread] = 0.0;
        if (i < p.hypotheses) {
            text_of[thread] = rows[i];
            slope_of[thread] = slopes[i];
        }
        workgroupBarrier();
        for (var k = 0u; k < THREADS; k++) {
            sum += select(0.0, slope_of[k], text_of[k] == text);
        }
        workgroupBarrier();
    }
    if (text < p.texts) { dscores[text] = upstream[0] * p.factor * sum; }
}
