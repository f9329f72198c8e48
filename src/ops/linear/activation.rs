//! Activations of linear layers.

/// A function applied to every output of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Identity,
    /// The exact GELU, `x (1 + erf(x / sqrt 2)) / 2`: Hendrycks and Gimpel, arXiv 1606.08415.
    Gelu,
}
