// Heads with exactly HEAD dimensions: buffers are read and written four values at a time, without
// padding lanes. Counterpart of head_guarded.
alias Cell = vec4<f32>;
const EXACT: bool = true;

// The contents of a quad's n-th cell: the quad itself, because a buffer's cell is one quad.
fn cell(quad: vec4<f32>, n: u32) -> Cell {
    return quad;
}
