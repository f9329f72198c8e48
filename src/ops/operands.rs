//! Structs of tensors, handled field by field.
//!
//! The arguments and results of an operation are structs that derive burn's `ExtensionType`, which carries
//! them between the tensors of the model and those of a backend. [`operands!`] adds what LoRB's own
//! backends do with all tensors of such a struct.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

/// A struct of float tensors of the backend `B` and other values.
pub(in crate::ops) trait Tensors<B: Backend>: Sized {
    /// The same struct with tensors of another backend.
    type On<C: Backend>;

    /// Converts every tensor.
    fn map<C: Backend>(self, convert: &impl Fn(FloatTensor<B>) -> FloatTensor<C>) -> Self::On<C>;

    /// Whether `test` is true for every tensor.
    fn all(&self, test: &impl Fn(&FloatTensor<B>) -> bool) -> bool;
}

/// Implements [`Tensors`] for a struct: its float tensors; after `nested`, fields that implement it
/// themselves; after `with`, everything else.
macro_rules! operands {
    ($name:ident { $($tensor:ident),+ $(; nested $($nested:ident),+)? $(; with $($value:ident),+)? }) => {
        impl<B: burn::backend::Backend> $crate::ops::operands::Tensors<B> for $name<B> {
            type On<C: burn::backend::Backend> = $name<C>;

            fn map<C: burn::backend::Backend>(
                self,
                convert: &impl Fn(burn::backend::tensor::FloatTensor<B>) -> burn::backend::tensor::FloatTensor<C>,
            ) -> $name<C> {
                $name {
                    $($tensor: convert(self.$tensor),)+
                    $($($nested: $crate::ops::operands::Tensors::<B>::map(self.$nested, convert),)+)?
                    $($($value: self.$value,)+)?
                }
            }

            fn all(&self, test: &impl Fn(&burn::backend::tensor::FloatTensor<B>) -> bool) -> bool {
                $(test(&self.$tensor))&&+
                    $($(&& $crate::ops::operands::Tensors::<B>::all(&self.$nested, test))+)?
            }
        }
    };
}

pub(in crate::ops) use operands;
