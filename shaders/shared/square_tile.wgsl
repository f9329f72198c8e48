// A product in square tiles of TILE = 16 EACH: a workgroup of 256 computes TILE x TILE elements, a thread
// EACH x EACH of them, 16 apart; DEPTH terms of the inner sum are staged in workgroup memory at a time.
const THREADS: u32 = 256u;
const EACH: u32 = 4u;
const TILE: u32 = 16u * EACH;
const DEPTH: u32 = 16u;

// left[k * STRIDE + i], right[k * STRIDE + j]; padded by one column to avoid bank conflicts.
const STRIDE: u32 = TILE + 1u;
var<workgroup> left: array<f32, DEPTH * STRIDE>;
var<workgroup> right: array<f32, DEPTH * STRIDE>;

// The terms of the caller's four columns.
fn four_right(at: u32) -> vec4<f32> {
    return vec4<f32>(right[at], right[at + 16u], right[at + 32u], right[at + 48u]);
}
