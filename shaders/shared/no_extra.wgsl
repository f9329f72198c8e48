// For products without extra columns.
fn extra_quad(column: u32, k: u32) -> vec4<f32> {
    return vec4(0.0);
}
