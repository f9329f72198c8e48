// Reads and writes of the forward kernels, except for the weight. They use `x`, `bias`, `y` and `p` as
// declared by the kernel.

// Elements (row, k .. k + 3) of x; zero outside.
fn x_quad(row: u32, k: u32) -> vec4<f32> {
    if (row >= p.rows || k >= p.inputs) {
        return vec4(0.0);
    }
    let at = quad_items(row * p.inputs + k, (row + 1u) * p.inputs - 1u);
    return within(join(x[at.x], x[at.y], x[at.z], x[at.w]), k, p.inputs);
}

fn bias_quad(column: u32) -> vec4<f32> {
    let at = quad_items(min(column, p.outputs - 1u), p.outputs - 1u);
    return join(bias[at.x], bias[at.y], bias[at.z], bias[at.w]);
}

// Stores four neighbouring elements of a row of y.
fn store_y(row: u32, column: u32, v: vec4<f32>) {
    if (row >= p.rows || column >= p.outputs) {
        return;
    }
    let at = row * p.outputs + column;
    y[at / PER_ITEM] = part(v, 0u);
    if (PER_ITEM == 1u) {
        let count = p.outputs - column;
        if (count > 1u) { y[at + 1u] = part(v, 1u); }
        if (count > 2u) { y[at + 2u] = part(v, 2u); }
        if (count > 3u) { y[at + 3u] = part(v, 3u); }
    }
}
