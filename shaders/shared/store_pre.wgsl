// Stores four neighbouring elements of a row of `pre`, the values before GELU.
fn store_pre(row: u32, column: u32, v: vec4<f32>) {
    if (row >= p.rows || column >= p.outputs) {
        return;
    }
    let at = row * p.outputs + column;
    pre[at / PER_ITEM] = part(v, 0u);
    if (PER_ITEM == 1u) {
        let count = p.outputs - column;
        if (count > 1u) { pre[at + 1u] = part(v, 1u); }
        if (count > 2u) { pre[at + 2u] = part(v, 2u); }
        if (count > 3u) { pre[at + 3u] = part(v, 3u); }
    }
}
