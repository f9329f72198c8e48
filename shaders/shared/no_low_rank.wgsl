#use no_extra
// For products without a low-rank term.
fn low_left_quad(row: u32, i: u32) -> vec4<f32> {
    return vec4(0.0);
}

fn low_right_quad(column: u32, i: u32) -> vec4<f32> {
    return vec4(0.0);
}
