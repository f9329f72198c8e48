// Factors of a product in workgroup memory: f32.
alias Staged = vec4<f32>;

fn staged(v: vec4<f32>) -> Staged {
    return v;
}

// The values to multiply.
fn full(v: Staged) -> vec4<f32> {
    return v;
}
