#use gelu
// The input of a linear layer, recomputed from the saved input of GELU.
fn restored(kept: vec4<f32>) -> vec4<f32> {
    return vec4(gelu(kept.x), gelu(kept.y), gelu(kept.z), gelu(kept.w));
}
