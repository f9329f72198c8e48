// The index of an output block's factors among those of the adapted blocks.
const NO_SLOT: u32 = 0xffffffffu;

fn slot_of(block: u32) -> u32 {
    return select(select(p.slot_2, p.slot_1, block == 1u), p.slot_0, block == 0u);
}

// The block of an adapted position.
fn block_of(slot: u32) -> u32 {
    if (slot == p.slot_0) {
        return 0u;
    }
    return select(2u, 1u, slot == p.slot_1);
}
