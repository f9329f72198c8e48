//! The gated GELU on the CPU.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use pulp::Arch;

use super::{GatedGelu, GatedGeluKernels};
use crate::ops::cpu::buffer::{dims, matrix, values};
use crate::ops::cpu::parallel;
use crate::ops::gelu::{normal_cdf, slope};

impl GatedGelu for Flex {
    fn gated_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (rows, width) = dims(&x);
        let (x, inner) = (values(&x), width / 2);
        let mut y = vec![0.0; rows * inner];
        parallel::over_rows(&mut y, inner, |first, chunk| {
            Arch::new().dispatch(|| {
                let x = x[first * width..].chunks_exact(width);
                for (y, x) in chunk.chunks_exact_mut(inner).zip(x) {
                    let (a, b) = x.split_at(inner);
                    for (y, (a, b)) in y.iter_mut().zip(a.iter().zip(b)) {
                        *y = a * normal_cdf(*a) * b;
                    }
                }
            });
        });
        matrix(y, rows, inner)
    }
}

impl GatedGeluKernels for Flex {
    fn gated_gelu_backward(g: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (rows, width) = dims(&x);
        let (g, x, inner) = (values(&g), values(&x), width / 2);
        let mut out = vec![0.0; rows * width];
        parallel::over_rows(&mut out, width, |first, chunk| {
            Arch::new().dispatch(|| {
                let x = x[first * width..].chunks_exact(width);
                let g = g[first * inner..].chunks_exact(inner);
                for ((out, x), g) in chunk.chunks_exact_mut(width).zip(x).zip(g) {
                    let (a, b) = x.split_at(inner);
                    let (by_a, by_b) = out.split_at_mut(inner);
                    for ((by_a, by_b), ((a, b), g)) in
                        by_a.iter_mut().zip(by_b).zip(a.iter().zip(b).zip(g))
                    {
                        *by_a = g * b * slope(*a);
                        *by_b = g * a * normal_cdf(*a);
                    }
                }
            });
        });
        matrix(out, rows, width)
    }
}
