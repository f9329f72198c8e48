// dW = g^T x: gradient of a linear layer with respect to its weights.
//
//   g [rows, outputs], x [rows, inputs]; dw [outputs, inputs].
//
// Dispatch: one workgroup of THREADS threads for TILE_ROWS x TILE_COLUMNS elements of dw (shared/product.wgsl):
// ceil(outputs / TILE_ROWS) * ceil(inputs / TILE_COLUMNS) of them, columns fastest. Sums in f32, in order of rows.
#use product
#use no_extra

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
}

@group(0) @binding(0) var<storage, read> g: array<Item>;
@group(0) @binding(1) var<storage, read> x: array<Item>;
@group(0) @binding(2) var<storage, read_write> dw: array<Item>;
@group(0) @binding(3) var<uniform> p: Params;

const LEFT_ACROSS: bool = false;
const RIGHT_ACROSS: bool = false;

// Elements (row, o .. o + 3) of g; zero outside.
fn g_quad(row: u32, o: u32) -> vec4<f32> {
    if (row >= p.rows || o >= p.outputs) {
        return vec4(0.0);
    }
    let at = quad_items(row * p.outputs + o, (row + 1u) * p.outputs - 1u);
    return join(g[at.x], g[at.y], g[at.z], g[at.w]);
}

// Elements (row, k .. k + 3) of x; zero outside.
fn x_quad(row: u32, k: u32) -> vec4<f32> {
    if (row >= p.rows || k >= p.inputs) {
        return vec4(0.0);
    }
    let at = quad_items(row * p.inputs + k, (row + 1u) * p.inputs - 1u);
    return join(x[at.x], x[at.y], x[at.z], x[at.w]);
}

fn left_quad(o: u32, row: u32, low: bool) -> vec4<f32> {
    return g_quad(row, o);
}

fn right_quad(k: u32, row: u32, low: bool) -> vec4<f32> {
    return x_quad(row, k);
}

// Stores four neighbouring elements of a row of dw.
fn finish(row: u32, column: u32, v: vec4<f32>) {
    if (row >= p.outputs || column >= p.inputs) {
        return;
    }
    let at = row * p.inputs + column;
    dw[at / PER_ITEM] = part(v, 0u);
    if (PER_ITEM == 1u) {
        let count = p.inputs - column;
        if (count > 1u) { dw[at + 1u] = part(v, 1u); }
        if (count > 2u) { dw[at + 2u] = part(v, 2u); }
        if (count > 3u) { dw[at + 3u] = part(v, 3u); }
    }
}

@compute @workgroup_size(THREADS)
fn linear_weight_grad(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread_index: u32,
) {
    if (!find_tile(linear_group(group, groups), thread_index, p.outputs, p.inputs)) {
        return;
    }
    finish_all(product(p.rows, false));
}
