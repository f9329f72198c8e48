//! What follows a linear layer.

/// A function applied to every output of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// The exact GELU, `x (1 + erf(x / sqrt 2)) / 2`: Hendrycks and Gimpel, arXiv 1606.08415.
    Gelu,
}
