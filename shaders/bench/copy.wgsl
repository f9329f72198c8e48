// y = x, in quads: the rate at which the device reads and writes its memory.
//
// Dispatch: one workgroup for 256 quads.
struct Params {
    count: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(256)
fn copy(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < p.count) {
        y[id.x] = x[id.x];
    }
}
