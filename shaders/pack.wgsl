// Copies up to six tensors to their positions in a flat one:
//   flat[offset_k + i] = s_k[i]        i < length_k
//
// s0 to s5 [length_k or more], flat. Sources of length 0 are skipped; elements that no source covers are unchanged.
//
// Dispatch: BLOCK = 1024 elements of the concatenated sources per workgroup;
// ceil(sum of the lengths / BLOCK) workgroups.
#use elements

struct Params {
    length0: u32, length1: u32, length2: u32, length3: u32, length4: u32, length5: u32,
    offset0: u32, offset1: u32, offset2: u32, offset3: u32, offset4: u32, offset5: u32,
}

@group(0) @binding(0) var<storage, read> s0: array<f32>;
@group(0) @binding(1) var<storage, read> s1: array<f32>;
@group(0) @binding(2) var<storage, read> s2: array<f32>;
@group(0) @binding(3) var<storage, read> s3: array<f32>;
@group(0) @binding(4) var<storage, read> s4: array<f32>;
@group(0) @binding(5) var<storage, read> s5: array<f32>;
@group(0) @binding(6) var<storage, read_write> flat: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

// Element `at` of the concatenated sources.
fn copy(at: u32) {
    var i = at;
    if (i < p.length0) { flat[p.offset0 + i] = s0[i]; return; }
    i -= p.length0;
    if (i < p.length1) { flat[p.offset1 + i] = s1[i]; return; }
    i -= p.length1;
    if (i < p.length2) { flat[p.offset2 + i] = s2[i]; return; }
    i -= p.length2;
    if (i < p.length3) { flat[p.offset3 + i] = s3[i]; return; }
    i -= p.length3;
    if (i < p.length4) { flat[p.offset4 + i] = s4[i]; return; }
    i -= p.length4;
    if (i < p.length5) { flat[p.offset5 + i] = s5[i]; }
}

@compute @workgroup_size(THREADS)
fn pack(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {
    let start = linear_group(group, groups) * BLOCK;
    for (var i = start + thread; i < start + BLOCK; i += THREADS) { copy(i); }
}
