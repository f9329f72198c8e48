//! LoRA that starts with a higher rank: high-rank warm-up, and mixed ranks (after Yu et al. 2024, arXiv 2401.10447,
//! whose schedule was not available).
//!
//! After a fraction of the steps, every term becomes the closest one of a lower rank. The saved adapter is
//! plain LoRA.

mod reduce;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::{Value, json};

use super::low_rank::{
    ALPHA, DROPOUT, LAYERS, LORA_A, LORA_B, LoraConfig, RANK, RSLORA, TARGET_RANK, TARGETS,
};
use super::{MethodInfo, Settings, lora};
use crate::base::{Architecture, BertConfig};
use crate::model::{
    Adapter, Layout, LinearHook, LinearSite, Method, ModelError, Slots, StepHook, StepUpdate,
    TuningMethod, read,
};

pub(crate) use reduce::reduce;

/// Fraction of the steps before the reduction.
const WARMUP: f64 = 0.3;

/// High-rank warm-up or mixed ranks, with the settings of LoRA. The rank is the initial one.
#[derive(Debug, Clone, PartialEq)]
pub struct RankReduction {
    /// Settings of the low-rank terms.
    pub lora: LoraConfig,
    /// Final rank of every term, or the average for mixed ranks.
    pub target_rank: usize,
    /// Whether ranks are allocated across terms by singular value.
    pub mixed: bool,
}

impl TuningMethod for RankReduction {
    fn name(&self) -> &'static str {
        if self.mixed { "mixed-rank" } else { "rank-warmup" }
    }

    fn settings(&self) -> Vec<(&'static str, Value)> {
        let mut entries = self.lora.entries();
        entries.push(("LoRA target rank", json!(self.target_rank)));
        entries
    }

    fn describe(&self, architecture: &Architecture) -> Vec<(&'static str, String)> {
        self.lora.lines(architecture, self.lora.scale(), None)
    }

    fn validate(&self, base: &BertConfig) -> Result<(), ModelError> {
        self.lora.check(base)?;
        self.lora.check_target_rank(self.target_rank)
    }

    fn dropout(&self) -> f32 {
        self.lora.dropout
    }

    fn linear(&self, site: &LinearSite<'_>, slots: &mut Slots<'_>) -> Option<Arc<dyn LinearHook>> {
        self.lora.linear(site, slots)
    }

    fn step_hook(&self, layout: &Layout, steps: usize) -> Option<Box<dyn StepHook>> {
        let step = ((WARMUP * steps as f64) as usize).max(1);
        let Self { target_rank, mixed, .. } = *self;
        Some(Box::new(Reduction { layout: layout.clone(), step, target_rank, mixed }))
    }

    fn finished_method(&self) -> Option<Method> {
        Some(LoraConfig { rank: self.target_rank, ..self.lora.clone() }.into())
    }

    /// Plain LoRA without the triplets that are 0 in every module. Modules of a lower rank keep zeros. Alpha
    /// changes with the rank, so that the scale does not change.
    fn finish(&self, adapter: &Adapter) -> Option<Adapter> {
        let (lora, rank) = (&self.lora, self.lora.rank);
        let slots = || adapter.layout.slots().iter();
        let used = |row: &[f32]| row.iter().any(|x| *x != 0.0);
        let kept = slots()
            .filter(|slot| slot.kind == LORA_A)
            .filter_map(|slot| adapter.values(slot).chunks_exact(slot.shape[1]).rposition(used))
            .max()
            .map_or(1, |last| last + 1);
        let ratio = kept as f64 / rank as f64;
        let ratio = if lora.rslora { libm::sqrt(ratio) } else { ratio };
        let alpha = (f64::from(lora.alpha) * ratio) as f32;
        let method = Method::from(LoraConfig { rank: kept, alpha, ..lora.clone() });
        let mut parameters = Vec::new();
        for slot in slots() {
            let values = adapter.values(slot);
            if slot.kind == LORA_A {
                parameters.extend(&values[..kept * slot.shape[1]]);
            } else if slot.kind == LORA_B {
                values.chunks_exact(rank).for_each(|row| parameters.extend(&row[..kept]));
            } else {
                parameters.extend(values);
            }
        }
        let layout = adapter.layout.resized(|slot| match slot.kind {
            LORA_A => vec![kept, slot.shape[1]],
            LORA_B => vec![slot.shape[0], kept],
            _ => slot.shape.clone(),
        });
        Some(Adapter { method, layout, parameters })
    }
}

/// When the terms are reduced, and to what.
#[derive(Clone, Debug)]
struct Reduction {
    layout: Layout,
    /// The step (from 1) after which the terms are reduced.
    step: usize,
    target_rank: usize,
    mixed: bool,
}

impl StepHook for Reduction {
    fn after_step<'a>(
        &'a self,
        step: usize,
        mut update: StepUpdate,
        _gradient: &'a Tensor<1>,
    ) -> Pin<Box<dyn Future<Output = Result<StepUpdate, ModelError>> + 'a>> {
        Box::pin(async move {
            if step == self.step {
                let device = update.parameters.device();
                let mut parameters = read(update.parameters).await?;
                reduce(&self.layout, &mut parameters, self.target_rank, self.mixed);
                update.parameters = Tensor::from_floats(parameters.as_slice(), &device);
                update.restart = true;
            }
            Ok(update)
        })
    }

    /// The moments are reset at the reduction, because the terms then have a different basis.
    fn moment_steps(&self, step: usize) -> usize {
        if step >= self.step { step - self.step } else { step }
    }

    /// Adapters before the reduction have the wrong rank.
    fn may_be_best(&self, step: usize) -> bool {
        step >= self.step
    }
}

const SHARED: MethodInfo = MethodInfo {
    settings: &[&TARGET_RANK, &RANK, &ALPHA, &DROPOUT, &TARGETS, &LAYERS, &RSLORA],
    size: Some(&TARGET_RANK),
    low_rank: true,
    dropout: true,
    files: &lora::FILES,
    ..MethodInfo::PLAIN
};

fn build(settings: &Settings, mixed: bool) -> Result<Method, ModelError> {
    let (lora, target_rank) =
        LoraConfig::with_target_rank(settings, |target_rank| 4 * target_rank)?;
    Ok(RankReduction { lora, target_rank, mixed }.into())
}

/// High-rank warm-up's line in the registry.
pub static RANK_WARMUP: MethodInfo = MethodInfo {
    name: "rank-warmup",
    label: "LoRA, high-rank warm-up",
    help: "lora that starts with a higher rank",
    build: |settings| build(settings, false),
    ..SHARED
};

/// Mixed ranks' line in the registry.
pub static MIXED_RANK: MethodInfo = MethodInfo {
    name: "mixed-rank",
    label: "LoRA, mixed rank",
    help: "the same, with ranks by singular value",
    build: |settings| build(settings, true),
    ..SHARED
};
