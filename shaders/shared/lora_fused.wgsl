#use lora_forward
// The low-rank term if every workgroup computes its u, x A^T, as extra columns of the product. A tile
// belongs to one block.

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

// Copies the extra columns from 8 * turn on into the left tile, as its inner indices from `at` on.
fn stage_extra_sums(sums: ptr<function, Sums>, turn: u32, at: u32) {
    let quads = extra_sums(sums, turn);
    let place = (at + thread % 8u) * PITCH + thread / 8u;
    left_tile[place] = quads[0];
    if (TILE > 32u) {
        left_tile[place + 8u] = quads[1];
    }
    if (TILE > 64u) {
        left_tile[place + 16u] = quads[2];
        left_tile[place + 24u] = quads[3];
    }
}

// Stores the extra columns from 8 * turn on, as u of the slot.
fn store_extra_sums(sums: ptr<function, Sums>, turn: u32, slot: u32) {
    let i = 8u * turn + thread % 8u;
    if (i < p.rank) {
        let quads = extra_sums(sums, turn);
        let row = tile_row + 4u * (thread / 8u);
        let column = slot * p.rank + i;
        store_u(row, column, quads[0]);
        if (TILE > 32u) {
            store_u(row + 32u, column, quads[1]);
        }
        if (TILE > 64u) {
            store_u(row + 64u, column, quads[2]);
            store_u(row + 96u, column, quads[3]);
        }
    }
}

// The extra columns become the left tile, as many at a time as it has inner indices. The first tile of the
// block writes them to memory.
fn add_fused(sums: ptr<function, Sums>, slot: u32) {
    for (var first = 0u; first < p.rank; first += STEP) {
        stage_extra_sums(sums, first / 8u, 0u);
        if (EXTRA > 1u && STEP > 8u) {
            stage_extra_sums(sums, 1u, 8u);
        }
        stage_b(slot * p.rank + first);
        workgroupBarrier();
        multiply(sums, min(STEP, p.rank - first), false);
        workgroupBarrier();
    }
    if (tile_column % p.width == 0u) {
        store_extra_sums(sums, 0u, slot);
        if (EXTRA > 1u) {
            store_extra_sums(sums, 1u, slot);
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
