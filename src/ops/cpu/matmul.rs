//! Matrix products, on the `gemm` crate.

use super::parallel;

/// A matrix in memory: elements, and the strides of rows and columns.
#[derive(Clone, Copy)]
pub(in crate::ops) struct View<'a> {
    pub data: &'a [f32],
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> View<'a> {
    /// Row-major, `width` columns.
    pub fn rows(data: &'a [f32], width: usize) -> Self {
        Self { data, row_stride: width, column_stride: 1 }
    }

    /// The transpose of a row-major matrix of `width` columns.
    pub fn transposed(data: &'a [f32], width: usize) -> Self {
        Self { data, row_stride: 1, column_stride: width }
    }

    /// Without the first `rows` rows and `columns` columns.
    pub fn skip(self, rows: usize, columns: usize) -> Self {
        let first = rows * self.row_stride + columns * self.column_stride;
        Self { data: self.data.get(first..).unwrap_or_default(), ..self }
    }

    /// Index of the last element of an `m` by `n` matrix.
    fn last(&self, m: usize, n: usize) -> usize {
        (m - 1) * self.row_stride + (n - 1) * self.column_stride
    }
}

/// `scale * lhs rhs`: `lhs [m, k]`, `rhs [k, n]`.
#[derive(Clone, Copy)]
struct Product<'a> {
    /// m, n and k.
    shape: [usize; 3],
    lhs: View<'a>,
    rhs: View<'a>,
    scale: f32,
}

impl Product<'_> {
    /// Writes the product to `dst`, or adds it if `add` is set; `dst` has m rows of `stride` floats, of which the
    /// first n are written.
    fn write(self, dst: &mut [f32], stride: usize, add: bool, parallelism: gemm::Parallelism) {
        let Self { shape: [m, n, k], lhs, rhs, scale } = self;
        if m == 0 || n == 0 {
            return;
        }
        assert!((m - 1) * stride + n <= dst.len(), "product: the destination is too small");
        if k > 0 {
            assert!(lhs.last(m, k) < lhs.data.len(), "product: the left matrix is too small");
            assert!(rhs.last(k, n) < rhs.data.len(), "product: the right matrix is too small");
        }
        // SAFETY: the three assertions keep every index that m, n, k and the strides reach in bounds;
        // `dst` is borrowed mutably, so it overlaps neither input.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                dst.as_mut_ptr(),
                1,
                stride as isize,
                add,
                lhs.data.as_ptr(),
                lhs.column_stride as isize,
                lhs.row_stride as isize,
                rhs.data.as_ptr(),
                rhs.column_stride as isize,
                rhs.row_stride as isize,
                1.0,
                scale,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// `dst += scale * lhs rhs` on this core, into the first `n` of every `stride` columns.
pub(in crate::ops) fn add_product(
    dst: &mut [f32],
    stride: usize,
    shape: [usize; 3],
    lhs: View,
    rhs: View,
    scale: f32,
) {
    let product = Product { shape, lhs, rhs, scale };
    product.write(dst, stride, true, gemm::Parallelism::None);
}

/// `lhs rhs` as a new row-major matrix, on all cores, for few rows and a long inner dimension.
pub(in crate::ops) fn long_product(
    shape: [usize; 3],
    lhs: View,
    rhs: View,
    scale: f32,
) -> Vec<f32> {
    #[cfg(not(target_arch = "wasm32"))]
    let parallelism = gemm::Parallelism::Rayon(0);
    #[cfg(target_arch = "wasm32")]
    let parallelism = gemm::Parallelism::None;
    let [m, n, _] = shape;
    let mut dst = vec![0.0; m * n];
    Product { shape, lhs, rhs, scale }.write(&mut dst, n, false, parallelism);
    dst
}

/// `x rhs` for a tall row-major `x [rows, k]`, on all cores; `epilogue` finishes each chunk of
/// rows `(first row, chunk)` while it is in the cache.
pub(in crate::ops) fn tall_product(
    x: &[f32],
    [n, k]: [usize; 2],
    rhs: View,
    prologue: impl Fn(&mut [f32]) -> bool + Sync,
    epilogue: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let rows = x.len() / k;
    let mut out = vec![0.0; rows * n];
    parallel::over_rows(&mut out, n, |first, chunk| {
        let m = chunk.len() / n;
        let add = prologue(chunk);
        let lhs = View::rows(&x[first * k..], k);
        let product = Product { shape: [m, n, k], lhs, rhs, scale: 1.0 };
        product.write(chunk, n, add, gemm::Parallelism::None);
        epilogue(first, chunk);
    });
    out
}
