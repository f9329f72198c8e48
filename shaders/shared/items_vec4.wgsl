// Matrices read and written four elements at a time: all widths are multiples of four, so four aligned
// elements are one item and belong to one row.
alias Item = vec4<f32>;
const PER_ITEM: u32 = 4u;

// As in items_f32. The four items are the same one; compilers read it once.
fn quad_items(first: u32, last: u32) -> vec4<u32> {
    return vec4(first / 4u);
}

fn join(a: Item, b: Item, c: Item, d: Item) -> vec4<f32> {
    return a;
}

fn within(v: vec4<f32>, column: u32, columns: u32) -> vec4<f32> {
    return v;
}

fn part(v: vec4<f32>, i: u32) -> Item {
    return v;
}

fn element(item: Item, i: u32) -> f32 {
    return item[i];
}
