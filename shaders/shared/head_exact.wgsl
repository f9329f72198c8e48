// Heads of exactly HEAD dimensions: buffers are read and written four values at a time, and no
// lane of a head is padding. Counterpart of head_guarded.
alias Cell = vec4<f32>;
const EXACT: bool = true;

// What the n-th cell of a quad holds: the quad itself, a buffer's cell being one quad.
fn cell(quad: vec4<f32>, n: u32) -> Cell {
    return quad;
}
