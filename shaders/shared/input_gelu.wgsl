#use gelu
// The input of a linear layer, of which was kept what GELU was applied to.
fn restored(kept: vec4<f32>) -> vec4<f32> {
    return vec4(gelu(kept.x), gelu(kept.y), gelu(kept.z), gelu(kept.w));
}
