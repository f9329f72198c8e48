// erfc(z) for z >= 0, with a relative error below 2e-7 before rounding: a Chebyshev fit in
// t = 1 / (1 + z/2), after Numerical Recipes, section 6.2. erf(z) is one minus it.
fn erfc_positive(z_any: f32) -> f32 {
    // erfc(10) is 0 in f32; the bound keeps the square finite.
    let z = min(z_any, 10.0);
    let t = 1.0 / (1.0 + 0.5 * z);
    var s = fma(t, 0.17087277, -0.82215223);
    s = fma(t, s, 1.48851587);
    s = fma(t, s, -1.13520398);
    s = fma(t, s, 0.27886807);
    s = fma(t, s, -0.18628806);
    s = fma(t, s, 0.09678418);
    s = fma(t, s, 0.37409196);
    s = fma(t, s, 1.00002368);
    s = fma(t, s, -1.26551223);
    return t * exp(fma(-z, z, s));
}
