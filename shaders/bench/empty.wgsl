// Nothing: what a launch costs without its work. `count` is 0, which the compiler does not know.
//
// Dispatch: one workgroup.
struct Params {
    count: u32,
}

@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<uniform> p: Params;

@compute @workgroup_size(64)
fn empty(@builtin(local_invocation_index) i: u32) {
    if (i < p.count) {
        y[i] = 1.0;
    }
}
