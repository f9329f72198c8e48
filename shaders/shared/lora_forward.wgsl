#use linear_nt
#use slots
// The low-rank term of the forward kernels, added to the tile's sums as additional inner indices:
// u, times scale * B of the block of a column. A variant uses lora_given, which reads u, or lora_fused,
// which computes it.

// Element (row, i) of u, i < adapted * rank; zero outside.
fn u_element(row: u32, i: u32) -> f32 {
    if (row >= p.rows || i >= p.adapted * p.rank) {
        return 0.0;
    }
    return u[row * p.adapted * p.rank + i];
}

// Four rows of column i of u.
fn u_rows(row: u32, i: u32) -> vec4<f32> {
    return vec4(u_element(row, i), u_element(row + 1u, i), u_element(row + 2u, i), u_element(row + 3u, i));
}

// scale * B for an output column and column i of u; zero if they belong to different blocks.
fn b_element(column: u32, i: u32) -> f32 {
    let slot = slot_of(column / p.width);
    // No branch here: sixteen of them in the loop below take SwiftShader's compiler minutes and gigabytes.
    let inside = (column < p.outputs) & (slot != NO_SLOT) & (i / p.rank == slot);
    let place = p.adapted * p.rank * p.inputs + (slot * p.width + column % p.width) * p.rank + i % p.rank;
    let at = select(0u, place, inside);
    return select(0.0, p.scale * element(factors[at / PER_ITEM], at % PER_ITEM), inside);
}

// Four output columns of row i of scale * B^T.
fn b_columns(column: u32, i: u32) -> vec4<f32> {
    return vec4(b_element(column, i), b_element(column + 1u, i),
        b_element(column + 2u, i), b_element(column + 3u, i));
}

fn stage_b(i: u32) {
    let right = patch_place(RIGHT_ACROSS) + vec2(tile_column, i);
    stage_right(mat4x4(b_columns(right.x, right.y), b_columns(right.x, right.y + 1u),
        b_columns(right.x, right.y + 2u), b_columns(right.x, right.y + 3u)));
}
