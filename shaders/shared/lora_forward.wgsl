#use linear_nt
#use slots
// The low-rank term of the forward kernels, added to the tile's sums as further inner indices:
// u, times scale * B of the block that a column lies in. With FUSED this workgroup also computes
// its u, x A^T, as extra columns of the product; its tile then lies in one block.

// Elements (column's row of A, k .. k + 3) for the block of this tile; zero outside.
fn extra_quad(i: u32, k: u32) -> vec4<f32> {
    if (i >= p.rank || k >= p.inputs) {
        return vec4(0.0);
    }
    let row = slot_of(tile_column / p.width) * p.rank + i;
    let at = quad_items(row * p.inputs + k, (row + 1u) * p.inputs - 1u);
    return within(join(factors[at.x], factors[at.y], factors[at.z], factors[at.w]), k, p.inputs);
}

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

// scale * B for an output column and column i of u; zero where they are of different blocks.
fn b_element(column: u32, i: u32) -> f32 {
    let slot = slot_of(column / p.width);
    if (column >= p.outputs || slot == NO_SLOT || i / p.rank != slot) {
        return 0.0;
    }
    let at = p.adapted * p.rank * p.inputs + (slot * p.width + column % p.width) * p.rank + i % p.rank;
    return p.scale * element(factors[at / PER_ITEM], at % PER_ITEM);
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

// With u given: over the slots of the blocks that the tile's columns, from `column` on, lie in.
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

// Stores one column of u for four rows.
fn store_u(row: u32, i: u32, values: vec4<f32>) {
    let stride = p.adapted * p.rank;
    let at = row * stride + i;
    if (row < p.rows) { u[at] = values.x; }
    if (row + 1u < p.rows) { u[at + stride] = values.y; }
    if (row + 2u < p.rows) { u[at + 2u * stride] = values.z; }
    if (row + 3u < p.rows) { u[at + 3u * stride] = values.w; }
}

// With u in the extra columns: they become the left tile, and go to memory from the first tile
// of the block.
fn add_fused(sums: ptr<function, Sums>, slot: u32) {
    let lane_x = thread % 8u;
    let lane_y = thread / 8u;
    left_tile[lane_x * PITCH + lane_y] = (*sums).e00;
    if (TILE == 64u) {
        left_tile[lane_x * PITCH + 8u + lane_y] = (*sums).e10;
    }
    if (EXTRA > 1u) {
        left_tile[(8u + lane_x) * PITCH + lane_y] = (*sums).e01;
        if (TILE == 64u) {
            left_tile[(8u + lane_x) * PITCH + 8u + lane_y] = (*sums).e11;
        }
    }
    stage_b(slot * p.rank);
    workgroupBarrier();
    multiply(sums, p.rank, false);
    if (tile_column % p.width == 0u) {
        let row = tile_row + 4u * lane_y;
        let at = slot * p.rank + lane_x;
        if (lane_x < p.rank) {
            store_u(row, at, (*sums).e00);
            if (TILE == 64u) { store_u(row + 32u, at, (*sums).e10); }
        }
        if (EXTRA > 1u && lane_x + 8u < p.rank) {
            store_u(row, at + 8u, (*sums).e01);
            if (TILE == 64u) { store_u(row + 32u, at + 8u, (*sums).e11); }
        }
    }
}

// Sums of the tile whose first output column is `column`.
fn adapted_product(column: u32) -> Sums {
    if (!FUSED) {
        var sums = product(p.inputs, false);
        add_given(&sums, column);
        return sums;
    }
    let slot = slot_of(column / p.width);
    var sums = product(p.inputs, slot != NO_SLOT);
    if (slot != NO_SLOT) {
        add_fused(&sums, slot);
    }
    return sums;
}
