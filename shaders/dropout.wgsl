// Dropout, and its gradient: y[i] = scale x[i] where word i % 4 of philox(i / 4) is at least `threshold`, else 0.
//
// x, y [count]
//
// Dispatch: BLOCK = 1024 elements per workgroup, four neighbouring ones per thread; ceil(count / BLOCK) of them.
//
// Numerics: the words are those of the CPU path, bit for bit. The mask is computed again for the gradient.
#use elements

struct Params { count: u32, threshold: u32, seed_low: u32, seed_high: u32, layer: u32, place: u32, scale: f32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> p: Params;

// The high word of a product, from products of half words.
fn multiply_high(a: u32, b: u32) -> u32 {
    let middle = (a >> 16u) * (b & 0xffffu) + (((a & 0xffffu) * (b & 0xffffu)) >> 16u);
    let low = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (low >> 16u);
}

// Philox4x32-10, as ops/dropout/philox.rs.
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round++) {
        c = vec4<u32>(multiply_high(0xcd9e8d57u, c.z) ^ c.y ^ k.x, 0xcd9e8d57u * c.z,
                      multiply_high(0xd2511f53u, c.x) ^ c.w ^ k.y, 0xd2511f53u * c.x);
        k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c;
}

@compute @workgroup_size(THREADS)
fn dropout(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
           @builtin(local_invocation_index) thread: u32) {
    let quad = linear_group(group, groups) * THREADS + thread;
    if (4u * quad >= p.count) { return; }
    let words = philox(vec4<u32>(quad, p.layer, p.place, 0u), vec2<u32>(p.seed_low, p.seed_high));
    for (var n = 0u; n < 4u; n++) {
        let i = 4u * quad + n;
        if (i < p.count) { y[i] = select(0.0, p.scale * x[i], words[n] >= p.threshold); }
    }
}
