//! AdamW on the CPU, in one pass over memory.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use pulp::Arch;

use super::{AdamWKernels, AdamWStep, OptimizerState, OptimizerUpdate};
use crate::ops::cpu::buffer::{into_values, values, vector};
use crate::ops::cpu::parallel;

/// Elements per task; sums are added block by block.
const BLOCK: usize = 1 << 14;

/// Number of interleaved partial sums, as in `cpu::lanes`.
const LANES: usize = 16;

/// Sum of squares, in f64 over the blocks.
fn square_sum(g: &[f32]) -> f64 {
    let mut sums = vec![0.0f64; g.len().div_ceil(BLOCK)];
    let blocks = sums.iter_mut().zip(g.chunks(BLOCK)).collect();
    parallel::each(blocks, |_, (sum, block): (&mut f64, &[f32])| {
        *sum = Arch::new().dispatch(|| {
            let mut lanes = [0.0f32; LANES];
            let (whole, rest) = block.as_chunks::<LANES>();
            for chunk in whole {
                for (lane, x) in lanes.iter_mut().zip(chunk) {
                    *lane += x * x;
                }
            }
            let rest: f32 = rest.iter().map(|x| x * x).sum();
            f64::from(lanes.iter().sum::<f32>() + rest)
        });
    });
    sums.iter().sum()
}

impl AdamWKernels for Flex {
    fn adamw(
        state: OptimizerState<Self>,
        g: FloatTensor<Self>,
        step: AdamWStep,
    ) -> OptimizerUpdate<Self> {
        let OptimizerState { parameters, first, second } = state;
        let (g, adam) = (values(&g), &step.settings);
        let norm = square_sum(&g).sqrt();
        let clipped =
            if adam.clip_norm > 0.0 { (adam.clip_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
        let [correction1, correction2] = step.corrections();
        let (clipped, beta1, beta2) = (clipped as f32, adam.beta1 as f32, adam.beta2 as f32);
        let (new1, new2) = ((1.0 - adam.beta1) as f32, (1.0 - adam.beta2) as f32);
        let (rate, root_scale) = ((step.lr / correction1) as f32, (1.0 / correction2) as f32);
        let (decay, epsilon) = ((1.0 - step.lr * adam.weight_decay) as f32, adam.epsilon as f32);
        let (mut p, mut m, mut v) =
            (into_values(parameters), into_values(first), into_values(second));
        let moments = m.chunks_mut(BLOCK).zip(v.chunks_mut(BLOCK));
        let blocks = p.chunks_mut(BLOCK).zip(g.chunks(BLOCK)).zip(moments);
        parallel::each(blocks.collect(), |_, ((p, g), (m, v))| {
            Arch::new().dispatch(|| {
                for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                    let g = g * clipped;
                    *m = beta1 * *m + new1 * g;
                    *v = beta2 * *v + new2 * (g * g);
                    *p = *p * decay - rate * *m / ((*v * root_scale).sqrt() + epsilon);
                }
            });
        });
        OptimizerUpdate {
            state: OptimizerState { parameters: vector(p), first: vector(m), second: vector(v) },
            norm: vector(vec![norm as f32]),
        }
    }

    fn square_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
        vector(vec![square_sum(&values(&x)) as f32])
    }
}
