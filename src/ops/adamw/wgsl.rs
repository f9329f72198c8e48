//! Launches `global_norm.wgsl` and `adamw.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn::tensor::Tensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{AdamW, AdamWKernels, AdamWState, AdamWStep, OptimizerState, OptimizerUpdate};
use crate::ops::flat_vector::{join, owned};
use crate::ops::probe::Case;
use crate::ops::upload::parts;
use crate::ops::wgsl::kernel::{Groups, adamw, global_norm};
use crate::ops::wgsl::launch::{contiguous, count, empty, launch};

impl AdamWKernels for CubeBackend {
    fn adamw(
        state: OptimizerState<Self>,
        g: FloatTensor<Self>,
        step: AdamWStep,
    ) -> OptimizerUpdate<Self> {
        let OptimizerState { parameters, first, second } = state;
        let [parameters, first, second] =
            [parameters, first, second].map(|tensor| owned(contiguous(tensor)));
        let g = &contiguous(g);
        let elements = count(g);
        let partials = square_sums(g);
        let norm = empty([1], g);
        let adam = &step.settings;
        let [schedule] = parts(&step, g);
        let call = adamw::Arguments {
            g,
            parameters: &parameters,
            first: &first,
            second: &second,
            partials: &partials,
            schedule: &schedule,
            norm: &norm,
            count: elements,
            weight_decay: adam.weight_decay as f32,
            beta1: adam.beta1 as f32,
            beta2: adam.beta2 as f32,
            epsilon: adam.epsilon as f32,
            rest1: (1.0 - adam.beta1) as f32,
            rest2: (1.0 - adam.beta2) as f32,
            clip_norm: adam.clip_norm as f32,
        };
        let kernel = adamw::variant();
        launch(kernel, &call, Groups::linear(elements.div_ceil(kernel.constant("BLOCK")).max(1)));
        OptimizerUpdate { state: OptimizerState { parameters, first, second }, norm }
    }

    fn square_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
        square_sums(&contiguous(x))
    }
}

/// Partial sums of squares, `[256]`.
fn square_sums(g: &CubeTensor) -> CubeTensor {
    let kernel = global_norm::variant();
    let partials = empty([kernel.constant("PARTIALS") as usize], g);
    let call = global_norm::Arguments { g, partials: &partials, count: count(g) };
    launch(kernel, &call, Groups::linear(count(&partials)));
    partials
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    vec![case(1025).quick()]
}

/// Parameters after three steps, so that wrong moments are detected, with the last norm and the initial parameters,
/// which must be unchanged.
fn case(len: usize) -> Case {
    let kernels = ["global_norm", "adamw", "pack"];
    Case::new(format!("adamw, 3 steps of {len} parameters"), &kernels, &[], move |source, _| {
        let (g, before) = (source.tensor([len]), source.tensor([len]));
        let mut norm = Tensor::<1>::zeros([len], &source.device);
        let (parameters, first, second) = (before.clone(), norm.clone(), norm.clone());
        let mut state = AdamWState { parameters, first, second };
        for step in 1..=3 {
            let step = AdamWStep::new(AdamW::new(0.01, 0.5), 0.1, step);
            (state, norm) = super::adamw(state, g.clone(), step);
        }
        let pieces = [(0, state.parameters), (len, norm), (len + 1, before)];
        join(&pieces, 2 * len + 1).reshape([1, 2 * len + 1])
    })
}
