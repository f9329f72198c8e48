#use lora_forward
// The low-rank term if every workgroup computes its u, x A^T, as extra columns of the product. A tile
// belongs to one block.

// Elements (column's row of A, k .. k + 3) for the block of this tile; zero outside.
fn extra_quad(i: u32, k: u32) -> vec4<f32> {
    if (i >= p.rank || k >= p.inputs) {
        return vec4(0.0);
    }
    let row = low_slot * p.rank + i;
    let at = quad_items(row * p.inputs + k, (row + 1u) * p.inputs - 1u);
    return within(join(factors[at.x], factors[at.y], factors[at.z], factors[at.w]), k, p.inputs);
}

// u is not read.
fn low_left_quad(row: u32, i: u32) -> vec4<f32> {
    return vec4(0.0);
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

// Stores the extra columns from 8 * turn on, as u of the slot.
fn store_extra_sums(sums: ptr<function, Sums>, turn: u32, slot: u32) {
    let i = 8u * turn + thread % 8u;
    if (i < p.rank) {
        let quads = extra_sums(sums, turn);
        let row = tile_row + 4u * (thread / 8u);
        let column = slot * p.rank + i;
        store_u(row, column, quads[0]);
        if (HEIGHT > 1u) {
            store_u(row + 32u, column, quads[1]);
        }
        if (HEIGHT > 2u) {
            store_u(row + 64u, column, quads[2]);
            store_u(row + 96u, column, quads[3]);
        }
    }
}

// Sums of the tile whose first output column is `column`. The first tile of a block also writes its u to memory.
fn adapted_product(column: u32) -> Sums {
    let block = column / p.width;
    let slot = slot_of(block);
    low_slot = slot;
    low_column = block * p.width;
    var sums = product(p.inputs, slot != NO_SLOT);
    if (slot != NO_SLOT) {
        add_fused(&sums, p.rank);
        if (column % p.width == 0u) {
            store_extra_sums(&sums, 0u, slot);
            if (EXTRA > 1u) {
                store_extra_sums(&sums, 1u, slot);
            }
        }
    }
    return sums;
}
