//! DoRA (Liu et al. 2024, arXiv 2402.09353): LoRA, with a trained magnitude for every row of the adapted weight.
//!
//! `y = m / ||W + s B A|| * ((W + s B A) x) + b`, row by row. As in the paper and in PEFT, no gradient goes through
//! the norm.

use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::Value;

use super::low_rank::{
    ALPHA, DROPOUT, LAYERS, LORA_A, LORA_B, LoraConfig, LowRank, LowRankFiles, RANK, RSLORA,
    TARGETS, add_term, push_each,
};
use super::{MethodInfo, lora};
use crate::base::{Architecture, BertConfig};
use crate::model::{
    Context, Initial, Linear, LinearHook, LinearSite, ModelError, SlotKind, Slots, TensorId,
    TrainableTensors, TuningMethod,
};
use crate::ops::{self, Activation, Activations, FrozenLinear, LoraPlan};

/// The magnitude vector of an adapted weight, `[out]`.
pub const MAGNITUDE: SlotKind = SlotKind("lora_magnitude_vector");

/// DoRA, with the settings of LoRA. Dropout must be 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Dora(pub LoraConfig);

impl TuningMethod for Dora {
    fn name(&self) -> &'static str {
        "dora"
    }

    fn settings(&self) -> Vec<(&'static str, Value)> {
        self.0.entries()
    }

    fn describe(&self, architecture: &Architecture) -> Vec<(&'static str, String)> {
        self.0.lines(architecture, self.0.scale(), None)
    }

    fn validate(&self, base: &BertConfig) -> Result<(), ModelError> {
        self.0.check(base)?;
        if self.0.dropout > 0.0 {
            let what = format!("is {}; expected 0 with DoRA", self.0.dropout);
            return Err(ModelError::Lora { setting: "lora_dropout", what });
        }
        Ok(())
    }

    fn linear(&self, site: &LinearSite<'_>, slots: &mut Slots<'_>) -> Option<Arc<dyn LinearHook>> {
        let initial = [Initial::Kaiming, Initial::Zeros];
        let low_rank = self.0.term(site, slots, self.0.scale(), initial)?;
        let LoraPlan { adapted, width, .. } = &low_rank.plan;
        let norms = Initial::BaseRowNorms;
        let magnitude = push_each(site, adapted, slots, MAGNITUDE, &[*width], norms);
        let magnitude = slots.tensor(magnitude);
        Some(Arc::new(DoraLayer { low_rank, magnitude }))
    }
}

#[derive(Debug)]
struct DoraLayer {
    low_rank: LowRank,
    magnitude: TensorId,
}

impl LinearHook for DoraLayer {
    fn forward(
        &self,
        linear: &Linear,
        x: Activations,
        activation: Activation,
        context: &mut Context<'_>,
    ) -> Activations {
        let LowRank { factors, plan } = &self.low_rank;
        let Linear { weight, bias } = linear;
        let (factors, magnitude) =
            (context.tensors.at(*factors), context.tensors.at(self.magnitude));
        let zeros = bias.zeros_like();
        let layer = FrozenLinear { weight, bias: &zeros, activation: Activation::Identity };
        let y = ops::lora_linear(x, layer, factors, plan);
        let adapted = add_term(linear, factors, plan);
        let scale = row_scale(adapted, magnitude, plan);
        let y = y.into_values() * scale + bias.clone().unsqueeze();
        match activation {
            Activation::Identity => y,
            Activation::Gelu => ops::gelu(y),
        }
        .into()
    }

    fn merged(&self, linear: &Linear, tensors: &TrainableTensors) -> Option<Tensor<2>> {
        let LowRank { factors, plan } = &self.low_rank;
        let weight = add_term(linear, tensors.at(*factors), plan);
        let magnitude = tensors.at(self.magnitude).clone().inner();
        let [outputs, _] = weight.dims();
        let scale = row_scale(weight.clone(), &magnitude, plan).reshape([outputs, 1]);
        Some(weight * scale)
    }
}

/// `m / ||row||` of the adapted weight `[out, in]`, and 1 for blocks that are not adapted; `[1, out]`.
fn row_scale(weight: Tensor<2>, magnitude: &Tensor<1>, plan: &LoraPlan) -> Tensor<2> {
    let ([outputs, _], width) = (weight.dims(), plan.width);
    let norms = weight.square().sum_dim(1).sqrt().reshape([1, outputs]);
    let ones = Tensor::<2>::ones([1, width], &norms.device());
    let blocks = (0..outputs / width).map(|block| {
        let Some(place) = plan.adapted.iter().position(|&adapted| adapted == block) else {
            return ones.clone();
        };
        let wanted: Tensor<1> = magnitude.clone().slice_dim(0, place * width..(place + 1) * width);
        let norms = norms.clone().slice_dim(1, block * width..(block + 1) * width);
        wanted.reshape([1, width]).div(norms)
    });
    Tensor::cat(blocks.collect(), 1)
}

/// The method's line in the registry.
pub static INFO: MethodInfo = MethodInfo {
    name: "dora",
    label: "DoRA",
    help: "lora with a trained magnitude vector",
    settings: &[&RANK, &ALPHA, &DROPOUT, &TARGETS, &LAYERS, &RSLORA],
    size: Some(&RANK),
    low_rank: true,
    files: &FILES,
    build: |settings| Ok(Dora(LoraConfig::from_settings(settings)?).into()),
    ..MethodInfo::PLAIN
};

/// DoRA in PEFT's format: LoRA with `use_dora`.
static FILES: LowRankFiles = LowRankFiles {
    peft_type: "LORA",
    dora: true,
    tensors: &[
        (LORA_A, "lora_A.weight"),
        (LORA_B, "lora_B.weight"),
        (MAGNITUDE, "lora_magnitude_vector"),
    ],
    ranks: |map| (lora::FILES.ranks)(map),
    method: |lora, _| Dora(lora).into(),
    config: |adapter, lora, base_name| lora::peft_config(adapter, lora, base_name, true),
};
