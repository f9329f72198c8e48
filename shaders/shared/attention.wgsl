#use grid
// Attention within one segment by tiles: a workgroup of 64 threads works with TILE rows and TILE other rows of a
// segment, CHUNK columns of a head at a time, so registers and workgroup memory do not depend on the head. The
// kernel defines `p` with the fields heads and head.
//
// Tiles are arrays of quads, eight to a row. Thread (y, x) = (thread / 8, thread % 8) computes the patch of rows
// 4 y to 4 y + 3 and of four columns from 4 x on.
const THREADS: u32 = 64u;
const TILE: u32 = 32u;
const CHUNK: u32 = 32u;

// Rows of the left and of the right operand, and weights, rows by rows.
var<workgroup> left: array<vec4<f32>, 256>;
var<workgroup> right: array<vec4<f32>, 256>;
var<workgroup> weights: array<vec4<f32>, 256>;
// Two values for each row of the left operand.
var<workgroup> stats: array<vec2<f32>, TILE>;

// Place of a quad of a row. Threads that read quads of one column, four rows apart, access different banks.
fn at(row: u32, quad: u32) -> u32 {
    return 8u * row + (quad ^ (row / 4u));
}

// Start of four neighbouring elements of head h in a row of `parts` tensors side by side.
fn first_of(row: u32, parts: u32, part: u32, h: u32, column: u32) -> u32 {
    return ((parts * row + part) * p.heads + h) * p.head + column;
}

// Writes a thread's quads (quad thread % 8 of rows thread / 8, + 8, + 16 and + 24) of an operand with `count` rows.
// Rows past them, up to a multiple of four, become zero.
fn stage_left(quads: mat4x4<f32>, count: u32, thread: u32) {
    for (var n = 0u; n < 4u; n++) {
        let row = thread / 8u + 8u * n;
        left[at(row, thread % 8u)] = select(vec4<f32>(0.0), quads[n], row < count);
    }
}

fn stage_right(quads: mat4x4<f32>, count: u32, thread: u32) {
    for (var n = 0u; n < 4u; n++) {
        let row = thread / 8u + 8u * n;
        right[at(row, thread % 8u)] = select(vec4<f32>(0.0), quads[n], row < count);
    }
}

fn dots(a: vec4<f32>, b: mat4x4<f32>) -> vec4<f32> {
    return vec4<f32>(dot(a, b[0]), dot(a, b[1]), dot(a, b[2]), dot(a, b[3]));
}

// sum + the patch of left right^T, for `rows` rows of the left operand: its rows by rows of the right one.
fn add_products(sum: mat4x4<f32>, rows: u32, thread: u32) -> mat4x4<f32> {
    let y = thread / 8u;
    let x = thread % 8u;
    var total = sum;
    if (4u * y >= rows) { return total; }
    for (var c = 0u; c < 8u; c++) {
        let i = 32u * y + (c ^ y);
        let j = 32u * x + (c ^ x);
        let b = mat4x4<f32>(right[j], right[j + 8u], right[j + 16u], right[j + 24u]);
        total = mat4x4<f32>(total[0] + dots(left[i], b), total[1] + dots(left[i + 8u], b),
                            total[2] + dots(left[i + 16u], b), total[3] + dots(left[i + 24u], b));
    }
    return total;
}

fn store_weights(products: mat4x4<f32>, thread: u32) {
    let y = thread / 8u;
    for (var n = 0u; n < 4u; n++) { weights[at(4u * y + n, thread % 8u)] = products[n]; }
}

// The patch of weights right, for `rows` rows of weights over `count` rows of the right operand: rows by quad x.
fn weigh_right(rows: u32, count: u32, thread: u32) -> mat4x4<f32> {
    let y = thread / 8u;
    let x = thread % 8u;
    var sum = mat4x4<f32>();
    if (4u * y >= rows) { return sum; }
    for (var k = 0u; 4u * k < count; k++) {
        let i = 32u * y + (k ^ y);
        let j = 32u * k + (x ^ k);
        let b = mat4x4<f32>(right[j], right[j + 8u], right[j + 16u], right[j + 24u]);
        sum = mat4x4<f32>(sum[0] + b * weights[i], sum[1] + b * weights[i + 8u],
                          sum[2] + b * weights[i + 16u], sum[3] + b * weights[i + 24u]);
    }
    return sum;
}
