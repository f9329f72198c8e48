#use lora_forward
// The low-rank term where every workgroup computes its u, x A^T, as extra columns of the product; its
// tile lies in one block.

// Elements (column's row of A, k .. k + 3) for the block of this tile; zero outside.
fn extra_quad(i: u32, k: u32) -> vec4<f32> {
    if (i >= p.rank || k >= p.inputs) {
        return vec4(0.0);
    }
    let row = slot_of(tile_column / p.width) * p.rank + i;
    let at = quad_items(row * p.inputs + k, (row + 1u) * p.inputs - 1u);
    return within(join(factors[at.x], factors[at.y], factors[at.z], factors[at.w]), k, p.inputs);
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

// The extra columns become the left tile, and go to memory from the first tile
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
    let slot = slot_of(column / p.width);
    var sums = product(p.inputs, slot != NO_SLOT);
    if (slot != NO_SLOT) {
        add_fused(&sums, slot);
    }
    return sums;
}
