//! AdaLoRA (Zhang et al. 2023, arXiv 2303.10512): `s B (E * A) x`, with a factor E between every row of A and column of
//! B. Training keeps the factors that matter most.

mod allocation;

use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::{Map, Value, json};

use super::MethodInfo;
use super::low_rank::{
    ALPHA, DROPOUT, LAYERS, LORA_A, LORA_B, LORA_E, LoraConfig, LowRank, LowRankFiles, RANK, Ranks,
    TARGET_RANK, TARGETS, add_term, forward_with_lora, layers_pattern, names, push_each, shortest,
    split,
};
use crate::base::{Architecture, BertConfig};
use crate::model::{
    Adapter, Context, Initial, Layout, Linear, LinearHook, LinearSite, ModelError, SCORE_HEAD,
    Slots, StepHook, TensorId, TrainableTensors, TuningMethod,
};
use crate::ops::{self, Activation, Activations, LoraPlan};
use crate::peft::{AdapterError, whole};

use allocation::Allocation;

/// Standard deviation of the initial A and B.
const DEVIATION: f64 = 0.02;

/// Weight of the orthogonality penalty, PEFT's `orth_reg_weight`.
const ORTHOGONALITY: f64 = 0.5;

/// AdaLoRA, with the settings of LoRA. The rank is the initial one.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaLora {
    /// Settings of the low-rank terms.
    pub lora: LoraConfig,
    /// Final rank, averaged over all modules.
    pub target_rank: usize,
}

impl AdaLora {
    /// Factor of the low-rank update. PEFT divides by 1e-5 more than the rank.
    fn scale(&self) -> f32 {
        (f64::from(self.lora.alpha) / (self.lora.rank as f64 + 1e-5)) as f32
    }
}

impl TuningMethod for AdaLora {
    fn name(&self) -> &'static str {
        "adalora"
    }

    fn settings(&self) -> Vec<(&'static str, Value)> {
        let mut entries = self.lora.entries();
        entries.push(("LoRA target rank", json!(self.target_rank)));
        entries
    }

    fn describe(&self, architecture: &Architecture) -> Vec<(&'static str, String)> {
        self.lora.lines(
            architecture,
            self.scale(),
            Some(format!("{} on average", self.target_rank)),
        )
    }

    fn validate(&self, base: &BertConfig) -> Result<(), ModelError> {
        self.lora.check(base)?;
        if self.lora.rslora {
            let what = "is set; AdaLoRA has its own scale".into();
            return Err(ModelError::Lora { setting: "use_rslora", what });
        }
        self.lora.check_target_rank(self.target_rank)
    }

    fn dropout(&self) -> f32 {
        self.lora.dropout
    }

    fn linear(&self, site: &LinearSite<'_>, slots: &mut Slots<'_>) -> Option<Arc<dyn LinearHook>> {
        let initial = [Initial::Normal(DEVIATION), Initial::Normal(DEVIATION)];
        let low_rank = self.lora.term(site, slots, self.scale(), initial)?;
        let (adapted, rank) = (&low_rank.plan.adapted, self.lora.rank);
        let factors = push_each(site, adapted, slots, LORA_E, &[rank, 1], Initial::Zeros);
        let factors = slots.tensor(factors);
        Some(Arc::new(AdaLoraLayer { low_rank, factors }))
    }

    /// The distance of A and B from orthogonality: the mean over all of them of `||A A^T - I||` and `||B^T B - I||`
    /// (Frobenius norms).
    fn penalty(&self, tensors: &TrainableTensors) -> Option<(Tensor<1>, f64)> {
        tensors.mean_penalty().map(|mean| (mean, ORTHOGONALITY))
    }

    fn step_hook(&self, layout: &Layout, steps: usize) -> Option<Box<dyn StepHook>> {
        let allocation = Allocation::new(layout, self.target_rank, steps)?;
        Some(Box::new(allocation))
    }
}

#[derive(Debug)]
struct AdaLoraLayer {
    low_rank: LowRank,
    /// E, `[n r]`.
    factors: TensorId,
}

impl AdaLoraLayer {
    /// The stacked A with its rows times E, and then the stacked B, contiguous.
    fn scaled(&self, tensors: &TrainableTensors) -> Tensor<1> {
        let LowRank { factors, plan } = &self.low_rank;
        let [a, b] = split(tensors.at(*factors), plan);
        let e = tensors.at(self.factors).clone().reshape([plan.stacked_rank(), 1]);
        Tensor::cat(vec![(a * e).flatten(0, 1), b.flatten(0, 1)], 0)
    }
}

impl LinearHook for AdaLoraLayer {
    fn forward(
        &self,
        linear: &Linear,
        x: Activations,
        activation: Activation,
        context: &mut Context<'_>,
    ) -> Activations {
        let factors = self.scaled(context.tensors);
        forward_with_lora(linear, x, &factors, &self.low_rank.plan, activation, context)
    }

    fn merged(&self, linear: &Linear, tensors: &TrainableTensors) -> Option<Tensor<2>> {
        Some(add_term(linear, &self.scaled(tensors), &self.low_rank.plan))
    }

    fn penalties(&self, tensors: &TrainableTensors) -> Vec<Tensor<1>> {
        let LowRank { factors, plan } = &self.low_rank;
        let [a, b] = split(tensors.at(*factors), plan);
        let LoraPlan { rank, width, .. } = *plan;
        let unit = Tensor::<2>::eye(rank, &a.device().inner());
        let mut terms = Vec::new();
        for j in 0..plan.adapted.len() {
            let a = a.clone().slice_dim(0, j * rank..(j + 1) * rank);
            let b = b.clone().slice_dim(0, j * width..(j + 1) * width);
            for rows in [a, b.transpose()] {
                let gram = ops::product(rows.clone(), rows);
                let off = (gram - unit.clone()).square();
                terms.push(off.sum_dim(0).sum_dim(1).sqrt().reshape([1]));
            }
        }
        terms
    }
}

const SHARED: MethodInfo = MethodInfo {
    settings: &[&TARGET_RANK, &RANK, &ALPHA, &DROPOUT, &TARGETS, &LAYERS],
    size: Some(&TARGET_RANK),
    low_rank: true,
    dropout: true,
    files: &FILES,
    build: |settings| {
        let initial = |target_rank: usize| target_rank + target_rank.div_ceil(2);
        let (lora, target_rank) = LoraConfig::with_target_rank(settings, initial)?;
        Ok(AdaLora { lora, target_rank }.into())
    },
    ..MethodInfo::PLAIN
};

/// The method's line in the registry.
pub static INFO: MethodInfo = MethodInfo {
    name: "adalora",
    label: "AdaLoRA",
    help: "lora with ranks allocated by importance",
    ..SHARED
};

/// The same with the correlation term.
pub static WITH_CORRELATION: MethodInfo = MethodInfo {
    name: "adalorb",
    label: "AdaLoRA + correlation",
    help: "adalora with the correlation term",
    correlates: Some("adalora"),
    ..SHARED
};

/// AdaLoRA in PEFT's format.
static FILES: LowRankFiles = LowRankFiles {
    peft_type: "ADALORA",
    dora: false,
    tensors: &[(LORA_A, "lora_A"), (LORA_B, "lora_B"), (LORA_E, "lora_E")],
    ranks: peft_ranks,
    method: |lora, target_rank| {
        let target_rank = target_rank.unwrap_or(lora.rank);
        AdaLora { lora, target_rank }.into()
    },
    config: peft_config,
};

/// The ranks. The schedule matters to training only; `r` is not used.
fn peft_ranks(map: &mut Map<String, Value>) -> Result<Ranks, AdapterError> {
    let rank = whole(map, "init_r")?.unwrap_or(12);
    let target_rank = whole(map, "target_r")?.unwrap_or(8);
    for key in ["r", "tinit", "tfinal", "deltaT", "beta1", "beta2", "orth_reg_weight", "total_step"]
    {
        map.shift_remove(key);
    }
    Ok((rank, Some(target_rank)))
}

/// `adapter_config.json` of a finished run: the initial ranks, with factors of 0 for pruned triplets. PEFT
/// requires a schedule; this one does nothing.
fn peft_config(
    adapter: &Adapter,
    lora: &LoraConfig,
    base_name: Option<&str>,
) -> Result<Value, AdapterError> {
    let (targets, excluded) = names(lora, adapter.layout.architecture());
    let target_rank = adapter.method.downcast::<AdaLora>().map(|adalora| adalora.target_rank);
    Ok(json!({
        "base_model_name_or_path": base_name,
        "bias": "none",
        "exclude_modules": if excluded.is_empty() { Value::Null } else { json!(excluded) },
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_r": lora.rank,
        "layers_pattern": layers_pattern(lora, adapter.layout.architecture()),
        "layers_to_transform": lora.layers,
        "lora_alpha": shortest(lora.alpha)?,
        "lora_dropout": shortest(lora.dropout)?,
        "modules_to_save": [SCORE_HEAD],
        "peft_type": "ADALORA",
        "rank_pattern": null,
        "revision": null,
        "target_modules": targets,
        "target_r": target_rank,
        "task_type": null,
        "tfinal": 0,
        "tinit": 0,
        "total_step": 1,
    }))
}
