#use erf
// The exact GELU, x Phi(x), with Phi(x) = (1 + erf(x / sqrt 2)) / 2, and its derivative.

// Phi from the tail on the side of x, to avoid cancellation for negative x.
fn normal_cdf(x: f32) -> f32 {
    let tail = 0.5 * erfc_positive(abs(x) * 0.70710678);
    return select(tail, 1.0 - tail, x > 0.0);
}

fn gelu(x: f32) -> f32 {
    return x * normal_cdf(x);
}

// Phi(x) + x phi(x). Past |x| = 20 the density is 0 in f32; the bound keeps its square finite.
fn gelu_derivative(x: f32) -> f32 {
    let near = clamp(x, -20.0, 20.0);
    return fma(near, 0.39894228 * exp(-0.5 * near * near), normal_cdf(x));
}
