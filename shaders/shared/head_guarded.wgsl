// Heads with at most HEAD dimensions, of any width: buffers are read and written value by value, and
// lanes past the head's width read as 0 and are not written. Counterpart of head_exact.
alias Cell = f32;
const EXACT: bool = false;

// The contents of a quad's n-th cell: its n-th value.
fn cell(quad: vec4<f32>, n: u32) -> Cell {
    return quad[n];
}
