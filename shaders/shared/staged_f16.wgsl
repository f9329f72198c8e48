// Factors of a product in workgroup memory: rounded to f16. A product of two of them is exact in f32, in which they are
// multiplied and summed. Values above 65504 become infinite, so that the result is not finite and is refused.
alias Staged = vec4<f16>;

fn staged(v: vec4<f32>) -> Staged {
    return Staged(v);
}

// The values to multiply.
fn full(v: Staged) -> vec4<f32> {
    return vec4<f32>(v);
}
