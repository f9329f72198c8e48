#use lora_forward
#use no_extra
// The low-rank term with u = x A^T as input.

// Sums over the slots of the blocks of the tile's columns, from `column` on.
fn add_given(sums: ptr<function, Sums>, column: u32) {
    var first = NO_SLOT;
    var end = 0u;
    let last_block = (min(column + TILE, p.outputs) - 1u) / p.width;
    for (var block = column / p.width; block <= last_block; block++) {
        let slot = slot_of(block);
        if (slot != NO_SLOT) {
            first = min(first, slot);
            end = slot + 1u;
        }
    }
    for (var i = min(first, end) * p.rank; i < end * p.rank; i += STEP) {
        let left = patch_place(LEFT_ACROSS) + vec2(tile_row, i);
        stage_left(mat4x4(u_rows(left.x, left.y), u_rows(left.x, left.y + 1u),
            u_rows(left.x, left.y + 2u), u_rows(left.x, left.y + 3u)));
        stage_b(i);
        workgroupBarrier();
        multiply(sums, min(STEP, end * p.rank - i), false);
        workgroupBarrier();
    }
}

// Sums of the tile whose first output column is `column`.
fn adapted_product(column: u32) -> Sums {
    var sums = product(p.inputs, false);
    add_given(&sums, column);
    return sums;
}
