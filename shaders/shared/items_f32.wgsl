// Matrices of any shape, read and written one element at a time.
alias Item = f32;
const PER_ITEM: u32 = 1u;

// The items with four elements from `first` on; `last` is the last existing element.
fn quad_items(first: u32, last: u32) -> vec4<u32> {
    return min(vec4(first) + vec4(0u, 1u, 2u, 3u), vec4(last));
}

fn join(a: Item, b: Item, c: Item, d: Item) -> vec4<f32> {
    return vec4(a, b, c, d);
}

// Four elements of a row from `column` on; zero past the row's end.
fn within(v: vec4<f32>, column: u32, columns: u32) -> vec4<f32> {
    return select(vec4(0.0), v, vec4(column) + vec4(0u, 1u, 2u, 3u) < vec4(columns));
}

fn part(v: vec4<f32>, i: u32) -> Item {
    return v[i];
}

fn element(item: Item, i: u32) -> f32 {
    return item;
}
