//! How far a result may be from the truth: the one table of all kernel tests.

/// What a result may be off by: `absolute + relative * max |expected|`, and why.
///
/// Relative to the largest element of a result, since sums that cancel keep the error of their terms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
    pub why: &'static str,
}

const fn allow(absolute: f64, relative: f64, why: &'static str) -> Tolerance {
    Tolerance { absolute, relative, why }
}

/// Finite differences of an f64 computation, of any kind.
pub(super) const DIFFERENCES: Tolerance =
    allow(1e-6, 1e-5, "steps of 1e-5: truncation 1e-10, rounding 1e-16 / 1e-5");
/// Two f32 computations that add up in different orders.
pub(super) const F32: Tolerance =
    allow(2e-5, 2e-5, "some hundred roundings of 6e-8 on either side");
/// The whole of an operation, through autodiff, on the GPU path and on the CPU path.
pub(super) const PATHS: Tolerance = allow(1e-5, 1e-4, "two f32 computations, several kernels each");
/// A gradient of the GPU path along a direction, against differences of the truth, relative to
/// `|gradient| |direction|`.
pub(super) const DIRECTION: Tolerance =
    allow(1e-6, 1e-5, "an element is off by some 1e-6 of the largest, this way or that");

const COPY: Tolerance = allow(0.0, 0.0, "numbers are moved, not computed");
const PRODUCT: Tolerance =
    allow(1e-6, 2e-6, "up to some hundred terms, one rounding of 6e-8 each, mostly cancelling");
const HALF: Tolerance =
    allow(1e-4, 1e-3, "factors rounded to f16, by up to 5e-4 each, independently");
const ACTIVATED: Tolerance =
    allow(1e-6, 4e-6, "a product; then erf by a polynomial, good to some units of 6e-8");
const ELEMENT: Tolerance = allow(1e-6, 1e-6, "one element, by a polynomial and an exp");
const NORMALISED: Tolerance =
    allow(1e-6, 4e-6, "inverseSqrt may be 2 units off, the mean as far as a sum's rounding");
const SOFTMAX: Tolerance =
    allow(1e-6, 1e-5, "WGSL gives exp(x) an error of 3 + 2 |x| units; scores reach some tens");
const LISTS: Tolerance =
    allow(1e-6, 2e-5, "as a softmax; MWED divides scores by a temperature far below 1");
const OPTIMISER: Tolerance =
    allow(1e-7, 1e-6, "a few roundings for an element; square roots and divisions within 3 units");

/// For every kernel of `shaders/`.
const TABLE: &[(&str, Tolerance)] = &[
    ("adamw", OPTIMISER),
    ("add_layer_norm", NORMALISED),
    ("add_layer_norm_backward", NORMALISED),
    ("add_layer_norm_infer", NORMALISED),
    ("attention", SOFTMAX),
    ("attention_backward", SOFTMAX),
    ("attention_cls", SOFTMAX),
    ("attention_cls_backward", SOFTMAX),
    ("correlation_backward", PRODUCT),
    ("correlation_finish", OPTIMISER),
    ("correlation_matrix", PRODUCT),
    ("correlation_standardise", NORMALISED),
    ("cut", COPY),
    ("embed_layer_norm", NORMALISED),
    ("gather_cls", COPY),
    ("gelu_backward", ELEMENT),
    ("gelu_forward", ELEMENT),
    ("global_norm", PRODUCT),
    ("linear", PRODUCT),
    ("linear_backward", PRODUCT),
    ("linear_cooperative", HALF),
    ("linear_gelu", ACTIVATED),
    ("linear_weight_grad", PRODUCT),
    ("list_loss", LISTS),
    ("list_loss_backward", PRODUCT),
    ("lora_down", PRODUCT),
    ("lora_grads", PRODUCT),
    ("lora_grads_scaled", PRODUCT),
    ("lora_linear", PRODUCT),
    ("lora_linear_backward", PRODUCT),
    ("lora_linear_gelu", ACTIVATED),
    ("lora_up_backward", PRODUCT),
    ("pack", COPY),
    ("scatter_cls", COPY),
    ("score_head", PRODUCT),
    ("score_head_backward", PRODUCT),
];

/// That of the kernel of this name.
pub(super) fn of(kernel: &str) -> Tolerance {
    let found = TABLE.iter().find(|(name, _)| *name == kernel);
    found.unwrap_or_else(|| panic!("{kernel} is not in the table of tolerances")).1
}
