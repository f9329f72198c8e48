#use product
#use gelu
// The product g W of the backward kernels. Uses `g`, `w`, `pre`, `dx` and `p` as declared by the kernel.
const LEFT_ACROSS: bool = true;
const RIGHT_ACROSS: bool = false;

// Elements (row, o .. o + 3) of g; zero outside.
fn g_quad(row: u32, o: u32) -> vec4<f32> {
    if (row >= p.rows || o >= p.outputs) {
        return vec4(0.0);
    }
    let at = quad_items(row * p.outputs + o, (row + 1u) * p.outputs - 1u);
    return within(join(g[at.x], g[at.y], g[at.z], g[at.w]), o, p.outputs);
}

fn left_quad(row: u32, o: u32, low: bool) -> vec4<f32> {
    if (low) {
        return low_left_quad(row, o);
    }
    return g_quad(row, o);
}

fn right_quad(column: u32, o: u32, low: bool) -> vec4<f32> {
    if (low) {
        return low_right_quad(column, o);
    }
    return weight_quad(o, column);
}

// Four neighbouring elements of a row of dx, times the derivative of the GELU that x is the output of, if it is one.
// `pre` has the input of that GELU.
fn before_gelu(at: u32, last: u32, v: vec4<f32>) -> vec4<f32> {
    if (p.gelu == 0u) {
        return v;
    }
    let i = quad_items(at, last);
    let x = join(pre[i.x], pre[i.y], pre[i.z], pre[i.w]);
    return v * vec4(gelu_derivative(x.x), gelu_derivative(x.y), gelu_derivative(x.z), gelu_derivative(x.w));
}

// Stores four neighbouring elements of a row of dx.
fn finish(row: u32, column: u32, sums: vec4<f32>) {
    if (row >= p.rows || column >= p.inputs) {
        return;
    }
    let at = row * p.inputs + column;
    let v = before_gelu(at, (row + 1u) * p.inputs - 1u, sums);
    dx[at / PER_ITEM] = part(v, 0u);
    if (PER_ITEM == 1u) {
        let count = p.inputs - column;
        if (count > 1u) { dx[at + 1u] = part(v, 1u); }
        if (count > 2u) { dx[at + 2u] = part(v, 2u); }
        if (count > 3u) { dx[at + 3u] = part(v, 3u); }
    }
}
