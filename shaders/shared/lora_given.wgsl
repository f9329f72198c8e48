#use lora_forward
#use no_extra
// The low-rank term with u = x A^T as input.

// Elements (row, i .. i + 3) of u of the block; zero outside. Ranks need not be multiples of four.
fn low_left_quad(row: u32, i: u32) -> vec4<f32> {
    if (row >= p.rows || i >= p.rank) {
        return vec4(0.0);
    }
    let elements = vec4(i) + vec4(0u, 1u, 2u, 3u);
    let at = (row * p.adapted + low_slot) * p.rank + min(elements, vec4(p.rank - 1u));
    return select(vec4(0.0), vec4(u[at.x], u[at.y], u[at.z], u[at.w]), elements < vec4(p.rank));
}

// Sums of the tile whose first output column is `column`. It may contain columns of several blocks.
fn adapted_product(column: u32) -> Sums {
    var sums = product(p.inputs, false);
    let last_block = (min(column + TILE_COLUMNS, p.outputs) - 1u) / p.width;
    for (var block = column / p.width; block <= last_block; block++) {
        let slot = slot_of(block);
        if (slot != NO_SLOT) {
            low_slot = slot;
            low_column = block * p.width;
            add_low_rank(&sums, p.rank);
        }
    }
    return sums;
}
