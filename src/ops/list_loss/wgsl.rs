//! Launches `list_loss*.wgsl`.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;

use super::{ListLoss, ListLossForward, ListLossKernels, ListLossSaved, Lists, Objective};
use crate::ops::probe::Case;
use crate::ops::upload::{HostData, OnDevice, parts};
use crate::ops::wgsl::kernel::{Groups, list_loss, list_loss_backward};
use crate::ops::wgsl::launch::{contiguous, empty, launch};
use crate::ops::wgsl::packing::Packing;

impl ListLoss for CubeBackend {
    fn list_loss(scores: FloatTensor<Self>, lists: Lists) -> FloatTensor<Self> {
        Self::list_loss_forward(scores, lists).loss
    }
}

impl ListLossKernels for CubeBackend {
    fn list_loss_forward(scores: FloatTensor<Self>, lists: Lists) -> ListLossForward<Self> {
        let scores = &contiguous(scores);
        let [offsets, rows, terms, sums] = &parts(&lists, scores);
        let (losses, slopes) = (empty([lists.len()], scores), empty([lists.rows.len()], scores));
        let kernel = list_loss::variant(lists.objective);
        let call = list_loss::Arguments {
            scores,
            rows,
            terms,
            sums,
            offsets,
            losses: &losses,
            slopes: &slopes,
            lists: lists.len() as u32,
            beta: lists.beta,
        };
        launch(kernel, &call, Groups::linear(lists.len() as u32));
        // Sum along a dimension: burn's full sum uses float atomics, which not all devices support.
        let losses = Self::float_reshape(losses, Shape::new([1, lists.len()]));
        let loss = Self::float_reshape(Self::float_sum_dim(losses, 1), Shape::new([1]));
        ListLossForward { loss, slopes }
    }

    fn list_loss_backward(g: FloatTensor<Self>, saved: ListLossSaved<Self>) -> FloatTensor<Self> {
        let ListLossSaved { slopes, lists, texts } = saved;
        let g = contiguous(g);
        let [_, rows, _, _] = parts(&lists, &g);
        let dscores = empty([texts], &g);
        let kernel = list_loss_backward::variant();
        let call = list_loss_backward::Arguments {
            upstream: &g,
            rows: &rows,
            slopes: &slopes,
            dscores: &dscores,
            hypotheses: lists.rows.len() as u32,
            texts: texts as u32,
            factor: 1.0,
        };
        launch(kernel, &call, Groups::linear((texts as u32).div_ceil(kernel.constant("THREADS"))));
        dscores
    }
}

impl HostData for Lists {
    fn pack(&self, packing: &mut Packing) {
        packing.integers(self.offsets.iter().copied());
        packing.integers(self.rows.iter().copied());
        packing.floats(self.terms.as_flattened());
        packing.floats(self.sums.as_flattened());
    }

    fn on_device(&self) -> &OnDevice {
        &self.on_device
    }
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Objective::ALL.into_iter().map(case).collect();
    let first = cases.remove(0).quick();
    cases.insert(0, first);
    cases
}

/// Lists of 1, 2, 17 and 70 hypotheses, some of which share a text.
fn case(objective: Objective) -> Case {
    const LENGTHS: [usize; 4] = [1, 2, 17, 70];
    const TEXTS: usize = 65;
    let hypotheses: usize = LENGTHS.iter().sum();
    let mut offsets = vec![0];
    for length in LENGTHS {
        offsets.push(offsets[offsets.len() - 1] + length as u32);
    }
    let lists = Lists {
        objective,
        beta: 0.7,
        offsets: offsets.into(),
        rows: (0..hypotheses).map(|i| (i * 3 % TEXTS) as u32).collect(),
        terms: (0..hypotheses)
            .map(|i| [-((i * 7 % 11) as f32) / 4.0, (i * 5 % 7) as f32 - 3.0])
            .collect(),
        sums: LENGTHS.iter().map(|&length| [-9.0 * length as f32, 3.0]).collect(),
        on_device: OnDevice::default(),
    };
    let name = format!("list_loss {objective:?}, {} lists of {TEXTS} texts", lists.len());
    let kernel = list_loss::variant(objective);
    let inputs = [("scores", [TEXTS, 1], &["list_loss_backward"] as &[_])];
    Case::new(name, &[kernel.name], &inputs, move |_, i| {
        super::list_loss(i[0].clone().flatten(0, 1), &lists).reshape([1, 1])
    })
}
