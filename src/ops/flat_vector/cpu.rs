//! Flat vectors on the CPU.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::{FlatVector, FlatVectorKernels, Pieces, composed_cut};
use crate::ops::cpu::buffer::{into_values, values, vector};

impl FlatVector for Flex {
    fn cut(flat: FloatTensor<Self>, offset: usize, len: usize) -> FloatTensor<Self> {
        composed_cut::<Self>(flat, offset, len)
    }
}

impl FlatVectorKernels for Flex {
    fn pack(flat: FloatTensor<Self>, pieces: Pieces<Self>) -> FloatTensor<Self> {
        let mut flat = into_values(flat);
        for (offset, piece) in &pieces.0 {
            let piece = values(piece);
            flat[*offset..offset + piece.len()].copy_from_slice(&piece);
        }
        vector(flat)
    }
}
