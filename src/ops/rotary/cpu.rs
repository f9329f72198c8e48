//! Rotary positions on the CPU.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use pulp::Arch;

use super::{Rotary, Turn};
use crate::ops::cpu::buffer::{dims, into_values, matrix, values};
use crate::ops::cpu::parallel;

impl Rotary for Flex {
    fn rotate(qkv: FloatTensor<Self>, angles: FloatTensor<Self>, turn: Turn) -> FloatTensor<Self> {
        let ((rows, columns), (_, head)) = (dims(&qkv), dims(&angles));
        let (angles, places) = (values(&angles), turn.places.rows());
        let sign = if turn.back { -1.0 } else { 1.0 };
        let mut y = into_values(qkv);
        parallel::over_rows(&mut y, columns, |first, chunk| {
            Arch::new().dispatch(|| {
                for (row, place) in chunk.chunks_exact_mut(columns).zip(&places[first..]) {
                    let (cosines, sines) =
                        angles[*place as usize * head..][..head].split_at(head / 2);
                    for pairs in row[..2 * columns / 3].chunks_exact_mut(head) {
                        let (left, right) = pairs.split_at_mut(head / 2);
                        let sides = left.iter_mut().zip(right);
                        for ((a, b), (cosine, sine)) in sides.zip(cosines.iter().zip(sines)) {
                            let sine = sign * sine;
                            (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
                        }
                    }
                }
            });
        });
        matrix(y, rows, columns)
    }
}
