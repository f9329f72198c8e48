// Weights in f32: `w` holds [outputs, inputs].
alias Word = Item;

// Elements (o, k .. k + 3); zero outside.
fn weight_quad(o: u32, k: u32) -> vec4<f32> {
    if (o >= p.outputs || k >= p.inputs) {
        return vec4(0.0);
    }
    let first = o * p.inputs + k;
    let at = quad_items(first, (o + 1u) * p.inputs - 1u);
    return within(join(w[at.x], w[at.y], w[at.z], w[at.w]), k, p.inputs);
}
