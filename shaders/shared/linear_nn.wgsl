#use product
// The product g W of the backward kernels. Uses `g`, `w`, `dx` and `p` as declared by the kernel.
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

fn left_patch(o: u32) -> mat4x4<f32> {
    let at = patch_place(LEFT_ACROSS) + vec2(tile_row, o);
    return transpose(mat4x4(g_quad(at.x, at.y), g_quad(at.x + 1u, at.y),
        g_quad(at.x + 2u, at.y), g_quad(at.x + 3u, at.y)));
}

fn right_patch(o: u32) -> mat4x4<f32> {
    let at = patch_place(RIGHT_ACROSS) + vec2(tile_column, o);
    return mat4x4(weight_quad(at.y, at.x), weight_quad(at.y + 1u, at.x),
        weight_quad(at.y + 2u, at.x), weight_quad(at.y + 3u, at.x));
}

// Stores four neighbouring elements of a row of dx.
fn finish(row: u32, column: u32, v: vec4<f32>) {
    if (row >= p.rows || column >= p.inputs) {
        return;
    }
    let at = row * p.inputs + column;
    dx[at / PER_ITEM] = part(v, 0u);
    if (PER_ITEM == 1u) {
        let count = p.inputs - column;
        if (count > 1u) { dx[at + 1u] = part(v, 1u); }
        if (count > 2u) { dx[at + 2u] = part(v, 2u); }
        if (count > 3u) { dx[at + 3u] = part(v, 3u); }
    }
}
