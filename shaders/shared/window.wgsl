// In a windowed variant, a token attends only to tokens at most `reach` positions away. The kernel defines `places` and
// `p.reach`; the variant defines WINDOWED.

// Which of the four keys from `key` on a row attends to; `last` is the last existing row.
fn near(row: u32, key: u32, last: u32) -> vec4<bool> {
    if (!WINDOWED) { return vec4<bool>(true); }
    let keys = min(vec4<u32>(key) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(last));
    let others = vec4<u32>(places[keys.x], places[keys.y], places[keys.z], places[keys.w]);
    return abs(vec4<i32>(others) - i32(places[row])) <= vec4<i32>(i32(p.reach));
}
