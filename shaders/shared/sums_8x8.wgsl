#use patches
// Sums of a product's tile of 64 by 64: 8 by 8 for a thread, and extra columns.

// Sums of one thread: m_ab holds half a of its rows as columns of the matrix, half b of its
// columns. Constant indices only, so that it stays in registers.
struct Sums {
    m00: mat4x4<f32>,
    m01: mat4x4<f32>,
    m10: mat4x4<f32>,
    m11: mat4x4<f32>,
    // The extra columns x and x + 8 for the thread's rows: e_ab is half a of the rows.
    e00: vec4<f32>,
    e01: vec4<f32>,
    e10: vec4<f32>,
    e11: vec4<f32>,
}

// Adds `count` inner indices of the staged tiles, and the extra columns if requested.
fn multiply(sums: ptr<function, Sums>, count: u32, with_extra: bool) {
    let x = thread % 8u;
    let y = thread / 8u;
    for (var k = 0u; k < count; k++) {
        let a = left_tile[k * PITCH + y];
        let b = right_tile[k * PITCH + x];
        (*sums).m00 = outer((*sums).m00, a, b);
        let a_far = left_tile[k * PITCH + 8u + y];
        let b_far = right_tile[k * PITCH + 8u + x];
        (*sums).m01 = outer((*sums).m01, a, b_far);
        (*sums).m10 = outer((*sums).m10, a_far, b);
        (*sums).m11 = outer((*sums).m11, a_far, b_far);
        if (EXTRA > 0u && with_extra) {
            let c = extra_tile[k * 8u * EXTRA + x];
            (*sums).e00 += c * a;
            (*sums).e10 += c * a_far;
            if (EXTRA > 1u) {
                let d = extra_tile[k * 8u * EXTRA + 8u + x];
                (*sums).e01 += d * a;
                (*sums).e11 += d * a_far;
            }
        }
    }
}

// The extra column thread % 8 + 8 * turn: column a of the matrix has the thread's rows in the half a. HEIGHT is the
// number of its columns that have rows.
const HEIGHT: u32 = 2u;
fn extra_sums(sums: ptr<function, Sums>, turn: u32) -> mat4x4<f32> {
    let none = vec4<f32>();
    if (turn == 0u) {
        return mat4x4<f32>((*sums).e00, (*sums).e10, none, none);
    }
    return mat4x4<f32>((*sums).e01, (*sums).e11, none, none);
}

// Passes every four neighbouring outputs to `finish(row, column, values)`.
fn finish_all(sums: Sums) {
    let row = tile_row + 4u * (thread / 8u);
    let column = tile_column + 4u * (thread % 8u);
    finish_block(sums.m00, row, column);
    finish_block(sums.m01, row, column + 32u);
    finish_block(sums.m10, row + 32u, column);
    finish_block(sums.m11, row + 32u, column + 32u);
}
