#use grid
// Normalisation of rows: ROWS rows per workgroup of THREADS, LANES threads per row. A variant uses row_sum or
// row_sum_subgroup. The kernel defines `fn element(row, column)`, `fn store(row, column, normalised)` and the fields
// rows, width and epsilon of its Params.
alias Sum = f32;
const ROWS: u32 = THREADS / LANES;

// Stores (x - mean) / sqrt(variance + epsilon) of the caller's row and returns 1 / sqrt(variance + epsilon). A row
// past the end reads and stores nothing. A thread keeps its first HELD (variant) elements in registers, so the loops
// over them have constant bounds; elements further along a row are computed again.
fn normalise(row: u32, thread: u32) -> f32 {
    let lane = thread % LANES;
    let end = select(0u, p.width, row < p.rows);
    var held: array<f32, HELD>;
    var sum = 0.0;
    for (var turn = 0u; turn < HELD; turn++) {
        let column = turn * LANES + lane;
        if (column < end) {
            held[turn] = element(row, column);
            sum += held[turn];
        }
    }
    for (var column = HELD * LANES + lane; column < end; column += LANES) { sum += element(row, column); }
    let mean = row_sum(sum, thread) / f32(p.width);
    var squares = 0.0;
    for (var turn = 0u; turn < HELD; turn++) {
        let x = held[turn] - mean;
        squares = select(squares, fma(x, x, squares), turn * LANES + lane < end);
    }
    for (var column = HELD * LANES + lane; column < end; column += LANES) {
        let x = element(row, column) - mean;
        squares = fma(x, x, squares);
    }
    let factor = inverseSqrt(row_sum(squares, thread) / f32(p.width) + p.epsilon);
    for (var turn = 0u; turn < HELD; turn++) {
        let column = turn * LANES + lane;
        if (column < end) { store(row, column, (held[turn] - mean) * factor); }
    }
    for (var column = HELD * LANES + lane; column < end; column += LANES) {
        store(row, column, (element(row, column) - mean) * factor);
    }
    return factor;
}
