// Multiply-adds in registers: the highest rate of the device's arithmetic.
//
// Every invocation has eight independent chains of four lanes, x = x a + b, as many as hide the latency of an
// instruction. Each of `rounds` rounds has 4 * 8 * 4 multiply-adds. FUSED, which the host puts before this text,
// selects the function `fma` or a product and a sum, which most compilers fuse; the products of the model have the latter.
//
// factors [2 n]: a of each invocation in (0, 1), then b; y [n], sums of the chains.
//
// Dispatch: n / 256 workgroups.
struct Params {
    rounds: u32,
}

@group(0) @binding(0) var<storage, read> factors: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

fn add(x: vec4<f32>, a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    if (FUSED) {
        return fma(x, a, b);
    }
    return x * a + b;
}

@compute @workgroup_size(256)
fn multiply_add(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x;
    let n = arrayLength(&y);
    if (i >= n) {
        return;
    }
    let a = factors[i];
    let b = factors[n + i];
    var x0 = b;
    var x1 = b * 2.0;
    var x2 = b * 3.0;
    var x3 = b * 4.0;
    var x4 = b * 5.0;
    var x5 = b * 6.0;
    var x6 = b * 7.0;
    var x7 = b * 8.0;
    for (var round = 0u; round < p.rounds; round++) {
        for (var turn = 0u; turn < 4u; turn++) {
            x0 = add(x0, a, b);
            x1 = add(x1, a, b);
            x2 = add(x2, a, b);
            x3 = add(x3, a, b);
            x4 = add(x4, a, b);
            x5 = add(x5, a, b);
            x6 = add(x6, a, b);
            x7 = add(x7, a, b);
        }
    }
    y[i] = x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7;
}
