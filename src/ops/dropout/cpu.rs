//! Dropout on the CPU.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::{Dropout, DropoutMask};
use crate::ops::cpu::buffer::{dims, into_values, matrix};
use crate::ops::cpu::parallel;

impl Dropout for Flex {
    fn dropout(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        let (t, width) = dims(&x);
        let mut y = into_values(x);
        parallel::over_rows(&mut y, width, |first, chunk| mask.apply(chunk, first * width));
        matrix(y, t, width)
    }
}
