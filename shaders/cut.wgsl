// Copies a part of a flat tensor that is not aligned for a binding: y[i] = flat[offset + i].
//
// flat [offset + length or more], y [length].
//
// Dispatch: BLOCK = 1024 elements of y per workgroup; ceil(length / BLOCK) of them.
#use elements

struct Params { offset: u32, length: u32 }

@group(0) @binding(0) var<storage, read> flat: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn cut(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
       @builtin(local_invocation_index) thread: u32) {
    let start = linear_group(group, groups) * BLOCK;
    for (var i = start + thread; i < min(start + BLOCK, p.length); i += THREADS) {
        y[i] = flat[p.offset + i];
    }
}
