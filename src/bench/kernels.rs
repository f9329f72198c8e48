//! Benchmarks of single operations, at the sizes of a batch.

use std::fmt;

use super::op::{Op, Product, Source};
use super::rates::Composed;
use super::report::{KernelReport, Rates, Timed};
use super::{Bench, BenchError, timing};

/// Fraction of a measurement's time for each operation.
const SHARE: f64 = 0.1;

impl Bench<'_> {
    /// Times every operation of a training step and of a rescoring pass, once per size. `progress` receives the next
    /// operation.
    ///
    /// # Errors
    /// [`BenchError`] if the device fails or returns a non-finite value.
    pub async fn kernels(
        &self,
        rates: &Rates,
        mut progress: impl FnMut(&str),
    ) -> Result<Vec<KernelReport>, BenchError> {
        let (training, rescoring) = (self.training_ops(), self.rescoring_ops());
        let mut distinct: Vec<&Op> = Vec::new();
        for op in training.iter().chain(&rescoring) {
            if !distinct.contains(&op) {
                distinct.push(op);
            }
        }
        let times = |of: &[Op], op: &Op| of.iter().filter(|other| *other == op).count();
        let mut reports = Vec::with_capacity(distinct.len());
        for op in distinct {
            let name = op.to_string();
            progress(&name);
            let cost = op.cost(&self.base, self.sizes());
            let lorb = self.time(op).await?;
            let composed = if self.compare && op.has_two_ways() {
                let _composed = Composed::begin();
                Some(self.time(op).await?)
            } else {
                None
            };
            reports.push(KernelReport {
                name,
                in_training: times(&training, op),
                in_rescoring: times(&rescoring, op),
                flops: cost.flops,
                bytes: cost.bytes,
                lorb: Timed::new(lorb, cost, rates),
                composed: composed.map(|timing| Timed::new(timing, cost, rates)),
                composed_over_lorb: composed.map(|timing| timing.seconds / lorb.seconds),
            });
        }
        Ok(reports)
    }

    async fn time(&self, op: &Op) -> Result<timing::Timing, BenchError> {
        let launch = self.launch(op);
        let launches = |count: usize| {
            (1..count).for_each(|_| drop(launch()));
            launch()
        };
        timing::launches(self.clock, self.seconds * SHARE, op.kind(), launches).await
    }
}

impl Op {
    /// Whether the operation can be computed by kernels and by burn's own operations.
    fn has_two_ways(&self) -> bool {
        !matches!(self, Self::AddGradients { .. } | Self::Loss { .. } | Self::Optimizer { .. })
    }

    /// The operation without its sizes.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Embed => "embedding, LayerNorm",
            Self::Linear(..) => "linear",
            Self::LinearBackward(_) => "linear, by input",
            Self::LoraGrads(..) => "linear, by factors",
            Self::Attention { .. } => "attention",
            Self::AttentionBackward => "attention, backward",
            Self::AttentionCls { .. } => "attention of [CLS]",
            Self::AttentionClsBackward => "attention of [CLS], backward",
            Self::AddLayerNorm { .. } => "residual, LayerNorm",
            Self::AddLayerNormBackward { .. } => "residual, LayerNorm, backward",
            Self::GeluBackward { .. } => "GELU, backward",
            Self::GatherCls => "gather [CLS]",
            Self::ScatterCls => "gather [CLS], backward",
            Self::AddGradients { .. } => "sum of gradients",
            Self::ScoreHead => "score head",
            Self::ScoreHeadBackward => "score head, backward",
            Self::Loss { .. } => "MWER, both ways",
            Self::Optimizer { .. } => "clipping, AdamW",
        }
    }
}

/// The operation with its sizes; `keeps` marks one that keeps what its backward step needs.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Linear(product, kept) => {
                write!(f, " {product}")?;
                keeps(f, *kept)
            }
            Self::LinearBackward(product) => write!(f, " {product}"),
            Self::LoraGrads(product, source) => {
                let from = match source {
                    Source::Rows => "",
                    Source::Gelu => ", x from before GELU",
                    Source::Normalised => ", x from normalised rows",
                };
                write!(f, " {product}{from}")
            }
            Self::Attention { kept } | Self::AttentionCls { kept } => keeps(f, *kept),
            Self::AddLayerNorm { rows, kept } => {
                write!(f, " [{rows}]")?;
                keeps(f, *kept)
            }
            Self::AddLayerNormBackward { rows }
            | Self::GeluBackward { rows }
            | Self::AddGradients { rows } => write!(f, " [{rows}]"),
            Self::Optimizer { parameters } => write!(f, " [{parameters}]"),
            _ => Ok(()),
        }
    }
}

fn keeps(f: &mut fmt::Formatter<'_>, kept: bool) -> fmt::Result {
    if kept { f.write_str(", keeps") } else { Ok(()) }
}

/// Name, sizes, and what is joined to it.
impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rows, inputs, outputs, .. } = self;
        write!(f, "{name} [{rows}, {inputs} -> {outputs}]")?;
        if let Some(low_rank) = &self.low_rank {
            write!(f, " + {} of rank {}", low_rank.adapted.len(), low_rank.rank)?;
        }
        if self.gelu { f.write_str(" + GELU") } else { Ok(()) }
    }
}
