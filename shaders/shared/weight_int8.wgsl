// Weights in eight bits, four per word: element i of the flat [outputs, inputs] is the signed
// byte i % 4 of word i / 4, times the f32 scale of its output, word `p.scales + o`.
alias Word = u32;

fn weight(i: u32) -> f32 {
    return f32(extractBits(bitcast<i32>(w[i / 4u]), 8u * (i % 4u), 8u));
}

// Elements (o, k .. k + 3); zero outside.
fn weight_quad(o: u32, k: u32) -> vec4<f32> {
    if (o >= p.outputs || k >= p.inputs) {
        return vec4(0.0);
    }
    let scale = bitcast<f32>(w[p.scales + o]);
    let first = o * p.inputs + k;
    if (PER_ITEM == 4u) {
        let word = vec4(bitcast<i32>(w[first / 4u]));
        return scale * vec4<f32>((word << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
    }
    let at = quad_items(first, (o + 1u) * p.inputs - 1u);
    let bytes = vec4(weight(at.x), weight(at.y), weight(at.z), weight(at.w));
    return scale * within(bytes, k, p.inputs);
}
