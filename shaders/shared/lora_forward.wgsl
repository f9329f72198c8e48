#use linear_nt
#use slots
// The low-rank term of the forward kernels, added to the tile's sums as additional inner indices: u of an adapted block,
// times scale * B of that block. A variant uses lora_given, which reads u, or lora_fused, which computes it.

// The adapted block whose term is added: its index among the adapted ones, and its first column.
var<private> low_slot: u32;
var<private> low_column: u32;

// Elements (column, i .. i + 3) of scale * B of the block; zero outside, and in columns of other blocks.
fn low_right_quad(column: u32, i: u32) -> vec4<f32> {
    let in_block = column - low_column;
    // No branches here: as many of them as a patch has elements take SwiftShader's compiler minutes and gigabytes.
    let inside = (in_block < p.width) & (column < p.outputs);
    let elements = vec4(i) + vec4(0u, 1u, 2u, 3u);
    let row = p.adapted * p.rank * p.inputs + (low_slot * p.width + in_block) * p.rank;
    let at = select(vec4(0u), vec4(row) + elements, vec4(inside) & (elements < vec4(p.rank)));
    let b = vec4(element(factors[at.x / PER_ITEM], at.x % PER_ITEM), element(factors[at.y / PER_ITEM], at.y % PER_ITEM),
        element(factors[at.z / PER_ITEM], at.z % PER_ITEM), element(factors[at.w / PER_ITEM], at.w % PER_ITEM));
    return select(vec4(0.0), p.scale * b, vec4(inside) & (elements < vec4(p.rank)));
}
