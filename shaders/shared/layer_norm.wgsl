#use grid
// Mean and inverse deviation of rows: ROWS rows per workgroup of THREADS, LANES threads per row. A
// variant uses row_sum or row_sum_subgroup. The kernel defines `fn element(row, column)` and the fields
// rows, width and epsilon of its Params.
alias Sum = f32;
const ROWS: u32 = THREADS / LANES;
// Elements that a thread keeps; elements further along a row are recomputed.
const HELD: u32 = 12u;

var<workgroup> held: array<f32, THREADS * HELD>;

// Element of the caller's row, `turn` its column / LANES. Only the thread that wrote an element reads it.
fn again(row: u32, turn: u32, thread: u32) -> f32 {
    if (turn < HELD) { return held[turn * THREADS + thread]; }
    return element(row, turn * LANES + thread % LANES);
}

// Mean and 1 / sqrt(variance + epsilon) of the caller's row; undefined for a row past the end.
fn moments(row: u32, thread: u32) -> vec2<f32> {
    let turns = select(0u, (p.width + LANES - 1u - thread % LANES) / LANES, row < p.rows);
    var sum = 0.0;
    for (var turn = 0u; turn < turns; turn++) {
        let x = element(row, turn * LANES + thread % LANES);
        if (turn < HELD) { held[turn * THREADS + thread] = x; }
        sum += x;
    }
    let mean = row_sum(sum, thread) / f32(p.width);
    var squares = 0.0;
    for (var turn = 0u; turn < turns; turn++) {
        let x = again(row, turn, thread) - mean;
        squares = fma(x, x, squares);
    }
    return vec2<f32>(mean, inverseSqrt(row_sum(squares, thread) / f32(p.width) + p.epsilon));
}
