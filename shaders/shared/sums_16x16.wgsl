#use patches
// Sums of a product's tile of 128 by 128: 16 by 16 for a thread. A GPU does not have enough registers for that.
// On a software adapter, a read of workgroup memory costs much more than a multiplication, and this tile
// needs fewer reads.

// m_ab holds quad a of the thread's rows as columns of the matrix, quad b of its columns.
struct Sums {
    m00: mat4x4<f32>,
    m01: mat4x4<f32>,
    m02: mat4x4<f32>,
    m03: mat4x4<f32>,
    m10: mat4x4<f32>,
    m11: mat4x4<f32>,
    m12: mat4x4<f32>,
    m13: mat4x4<f32>,
    m20: mat4x4<f32>,
    m21: mat4x4<f32>,
    m22: mat4x4<f32>,
    m23: mat4x4<f32>,
    m30: mat4x4<f32>,
    m31: mat4x4<f32>,
    m32: mat4x4<f32>,
    m33: mat4x4<f32>,
    // The extra columns x and x + 8 for the thread's rows: e_ab is quad a of the rows.
    e00: vec4<f32>,
    e10: vec4<f32>,
    e20: vec4<f32>,
    e30: vec4<f32>,
    e01: vec4<f32>,
    e11: vec4<f32>,
    e21: vec4<f32>,
    e31: vec4<f32>,
}

// Adds `count` inner indices of the staged tiles, and the extra columns if requested.
fn multiply(sums: ptr<function, Sums>, count: u32, with_extra: bool) {
    for (var k = 0u; k < count; k++) {
        let row = k * PITCH + thread / 8u;
        let column = k * PITCH + thread % 8u;
        let b0 = right_tile[column + 0u];
        let b1 = right_tile[column + 8u];
        let b2 = right_tile[column + 16u];
        let b3 = right_tile[column + 24u];
        let a0 = left_tile[row + 0u];
        (*sums).m00 = outer((*sums).m00, a0, b0);
        (*sums).m01 = outer((*sums).m01, a0, b1);
        (*sums).m02 = outer((*sums).m02, a0, b2);
        (*sums).m03 = outer((*sums).m03, a0, b3);
        let a1 = left_tile[row + 8u];
        (*sums).m10 = outer((*sums).m10, a1, b0);
        (*sums).m11 = outer((*sums).m11, a1, b1);
        (*sums).m12 = outer((*sums).m12, a1, b2);
        (*sums).m13 = outer((*sums).m13, a1, b3);
        let a2 = left_tile[row + 16u];
        (*sums).m20 = outer((*sums).m20, a2, b0);
        (*sums).m21 = outer((*sums).m21, a2, b1);
        (*sums).m22 = outer((*sums).m22, a2, b2);
        (*sums).m23 = outer((*sums).m23, a2, b3);
        let a3 = left_tile[row + 24u];
        (*sums).m30 = outer((*sums).m30, a3, b0);
        (*sums).m31 = outer((*sums).m31, a3, b1);
        (*sums).m32 = outer((*sums).m32, a3, b2);
        (*sums).m33 = outer((*sums).m33, a3, b3);
        if (EXTRA > 0u && with_extra) {
            let c = extra_tile[k * 8u * EXTRA + thread % 8u];
            (*sums).e00 += c * a0;
            (*sums).e10 += c * a1;
            (*sums).e20 += c * a2;
            (*sums).e30 += c * a3;
            if (EXTRA > 1u) {
                let d = extra_tile[k * 8u * EXTRA + 8u + thread % 8u];
                (*sums).e01 += d * a0;
                (*sums).e11 += d * a1;
                (*sums).e21 += d * a2;
                (*sums).e31 += d * a3;
            }
        }
    }
}

// The extra column thread % 8 + 8 * turn: column a of the matrix has quad a of the thread's rows. HEIGHT is the number
// of its columns that have rows.
const HEIGHT: u32 = 4u;
fn extra_sums(sums: ptr<function, Sums>, turn: u32) -> mat4x4<f32> {
    if (turn == 0u) {
        return mat4x4<f32>((*sums).e00, (*sums).e10, (*sums).e20, (*sums).e30);
    }
    return mat4x4<f32>((*sums).e01, (*sums).e11, (*sums).e21, (*sums).e31);
}

// Passes every four neighbouring outputs to `finish(row, column, values)`.
fn finish_all(sums: Sums) {
    let row = tile_row + 4u * (thread / 8u);
    let column = tile_column + 4u * (thread % 8u);
    finish_block(sums.m00, row, column);
    finish_block(sums.m01, row, column + 32u);
    finish_block(sums.m02, row, column + 64u);
    finish_block(sums.m03, row, column + 96u);
    finish_block(sums.m10, row + 32u, column);
    finish_block(sums.m11, row + 32u, column + 32u);
    finish_block(sums.m12, row + 32u, column + 64u);
    finish_block(sums.m13, row + 32u, column + 96u);
    finish_block(sums.m20, row + 64u, column);
    finish_block(sums.m21, row + 64u, column + 32u);
    finish_block(sums.m22, row + 64u, column + 64u);
    finish_block(sums.m23, row + 64u, column + 96u);
    finish_block(sums.m30, row + 96u, column);
    finish_block(sums.m31, row + 96u, column + 32u);
    finish_block(sums.m32, row + 96u, column + 64u);
    finish_block(sums.m33, row + 96u, column + 96u);
}
