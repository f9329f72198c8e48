//! Launches `correlation_*.wgsl`.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;

use super::{Correlation, CorrelationForward, CorrelationKernels};
use crate::ops::probe::Case;
use crate::ops::wgsl::kernel::{
    Groups, correlation_backward, correlation_finish, correlation_matrix, correlation_standardise,
};
use crate::ops::wgsl::launch::{contiguous, dims, empty, launch};

impl Correlation for CubeBackend {
    fn correlation(cls: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::correlation_forward(cls).value
    }
}

impl CorrelationKernels for CubeBackend {
    fn correlation_forward(cls: FloatTensor<Self>) -> CorrelationForward<Self> {
        let cls = &contiguous(cls);
        let (rows, width) = dims(cls);
        let d = width as usize;
        let (z, scales) = (empty([rows as usize, d], cls), empty([d, 2], cls));
        let kernel = correlation_standardise::variant();
        let call = correlation_standardise::Arguments { cls, z: &z, scales: &scales, rows, width };
        launch(kernel, &call, Groups::linear(width.div_ceil(kernel.constant("COLUMNS"))));

        let kernel = correlation_matrix::variant();
        let tiles = width.div_ceil(kernel.constant("TILE")).pow(2);
        let (off_diagonal, partials) = (empty([d, d], cls), empty([tiles as usize], cls));
        let call = correlation_matrix::Arguments {
            z: &z,
            off: &off_diagonal,
            partials: &partials,
            rows,
            width,
        };
        launch(kernel, &call, Groups::linear(tiles));

        let value = empty([1], cls);
        let call = correlation_finish::Arguments {
            partials: &partials,
            value: &value,
            count: tiles,
            width,
        };
        launch(correlation_finish::variant(), &call, Groups::linear(1));
        CorrelationForward { value, z, scales, off_diagonal }
    }

    fn correlation_backward(
        g: FloatTensor<Self>,
        saved: CorrelationForward<Self>,
    ) -> FloatTensor<Self> {
        let CorrelationForward { value, z, scales, off_diagonal } = &saved;
        let (rows, width) = dims(z);
        let dcls = empty([rows as usize, width as usize], z);
        let kernel = correlation_backward::variant();
        let tile = kernel.constant("TILE");
        let call = correlation_backward::Arguments {
            upstream: &contiguous(g),
            value,
            z,
            scales,
            off: off_diagonal,
            dcls: &dcls,
            rows,
            width,
            factor: 1.0,
        };
        launch(kernel, &call, Groups::linear(rows.div_ceil(tile) * width.div_ceil(tile)));
        dcls
    }
}

/// Cases of the probe.
pub(in crate::ops) fn cases() -> Vec<Case> {
    let [rows, width] = [33, 129];
    let forward = ["correlation_standardise", "correlation_matrix", "correlation_finish"];
    let backward: &[_] = &["correlation_backward"];
    let name = format!("correlation, {rows} rows of {width}");
    // Magnified, or the gradient would be below the tolerance.
    let case = Case::new(name, &forward, &[("[CLS]", [rows, width], backward)], |_, i| {
        super::correlation(i[0].clone()).reshape([1, 1]) * 100.0
    });
    vec![case]
}
