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

/// The fewest rows for which `gemm` sums every element of a product in one way, whatever the number of rows.
///
/// With one row it multiplies a matrix by a vector. With at most 256 results it may sum along k in lanes. With at most
/// 64 rows and columns it splits a k above 512 in another way. Each of them rounds differently, so the score of a text
/// would depend on how many other texts are in its batch.
fn stable_rows(n: usize, k: usize) -> usize {
    let past_lanes = 256 / n.max(1) + 1;
    let past_splits = if n <= 64 && k > 512 { 65 } else { 2 };
    past_lanes.max(past_splits)
}

/// As [`Product::write`] on this core, with results that do not depend on m: an element is the same, bit for bit,
/// in a product of one row and in one of a thousand.
fn write_stable(product: Product, dst: &mut [f32], stride: usize, add: bool) {
    let Product { shape: [m, n, k], lhs, rhs, scale } = product;
    let rows = stable_rows(n, k);
    if m >= rows || m == 0 || n == 0 {
        product.write(dst, stride, add, gemm::Parallelism::None);
        return;
    }
    // So few rows are computed together with rows of zeros.
    let mut padded = vec![0.0; rows * k];
    for (i, row) in padded.chunks_exact_mut(k.max(1)).take(m).enumerate() {
        let from = &lhs.data[i * lhs.row_stride..];
        row.iter_mut().zip(from.iter().step_by(lhs.column_stride)).for_each(|(to, &x)| *to = x);
    }
    let mut out = vec![0.0; rows * n];
    if add {
        for (to, from) in out.chunks_exact_mut(n).zip(dst.chunks(stride)) {
            to.copy_from_slice(&from[..n]);
        }
    }
    let product = Product { shape: [rows, n, k], lhs: View::rows(&padded, k), rhs, scale };
    product.write(&mut out, n, add, gemm::Parallelism::None);
    for (to, from) in dst.chunks_mut(stride).zip(out.chunks_exact(n)).take(m) {
        to[..n].copy_from_slice(from);
    }
}

/// `dst += scale * lhs rhs` on this core, into the first `n` of every `stride` columns. Results do not depend on the
/// number of rows.
pub(in crate::ops) fn add_product(
    dst: &mut [f32],
    stride: usize,
    shape: [usize; 3],
    lhs: View,
    rhs: View,
    scale: f32,
) {
    write_stable(Product { shape, lhs, rhs, scale }, dst, stride, true);
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
/// rows `(first row, chunk)` while it is in the cache. A row's results do not depend on the other rows.
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
        write_stable(product, chunk, n, add);
        epilogue(first, chunk);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed) % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    /// Each row of a product of 300 rows, against products of fewer rows that begin anywhere.
    #[test]
    fn a_row_is_the_same_among_any_number_of_rows() {
        const ROWS: usize = 300;
        for (n, k) in [
            (1, 384),
            (3, 37),
            (8, 384),
            (8, 1536),
            (24, 1),
            (64, 600),
            (96, 32),
            (65, 1030),
            (384, 8),
            (384, 384),
        ] {
            let (x, w, start) = (values(ROWS * k, 1), values(n * k, 2), values(ROWS * n, 3));
            for (rhs, scale) in [(View::transposed(&w, k), 1.0), (View::rows(&w, n), 0.25)] {
                let product = |first: usize, m: usize| {
                    let mut dst = start[first * n..(first + m) * n].to_vec();
                    let lhs = View::rows(&x[first * k..], k);
                    add_product(&mut dst, n, [m, n, k], lhs, rhs, scale);
                    let sums: Vec<u32> = dst.iter().map(|value| value.to_bits()).collect();
                    sums
                };
                let whole = product(0, ROWS);
                for m in [1, 2, 3, 5, 16, 31, 32, 33, 63, 64, 65, 129, 257] {
                    for first in [0, 1, 7, ROWS - m] {
                        let first = first.min(ROWS - m);
                        assert!(
                            product(first, m) == whole[first * n..(first + m) * n],
                            "n {n}, k {k}, m {m}, first {first}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn few_rows_leave_the_rest_of_the_destination() {
        let (x, w) = (values(2 * 5, 1), values(3 * 5, 2));
        let mut dst = vec![9.0; 2 * 7 - 4];
        add_product(&mut dst, 7, [2, 3, 5], View::rows(&x, 5), View::transposed(&w, 5), 1.0);
        assert_eq!(dst[3..7], [9.0; 4]);
        let dot = |i: usize, j: usize| (0..5).map(|c| x[i * 5 + c] * w[j * 5 + c]).sum::<f32>();
        assert!((dst[9] - 9.0 - dot(1, 2)).abs() < 1e-5, "{dst:?}");
    }
}
