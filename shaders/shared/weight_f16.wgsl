// Weights in f16, two per word: element i of the flat [outputs, inputs] is half i % 2 of
// word i / 2. Does not need shader-f16.
alias Word = u32;

fn weight(i: u32) -> f32 {
    return unpack2x16float(w[i / 2u])[i % 2u];
}

// Elements (o, k .. k + 3); zero outside.
fn weight_quad(o: u32, k: u32) -> vec4<f32> {
    if (o >= p.outputs || k >= p.inputs) {
        return vec4(0.0);
    }
    let first = o * p.inputs + k;
    if (PER_ITEM == 4u) {
        return vec4(unpack2x16float(w[first / 2u]), unpack2x16float(w[first / 2u + 1u]));
    }
    let at = quad_items(first, (o + 1u) * p.inputs - 1u);
    return within(vec4(weight(at.x), weight(at.y), weight(at.z), weight(at.w)), k, p.inputs);
}
