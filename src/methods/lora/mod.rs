//! LoRA (Hu et al. 2021, arXiv 2106.09685): `y = W x + b + s B A x`, with A and B of a low rank.

use std::sync::Arc;

use serde_json::{Value, json};

use super::low_rank::{
    ALPHA, DROPOUT, LAYERS, LORA_A, LORA_B, LoraConfig, LowRankFiles, RANK, RSLORA as SQUARE_ROOT,
    TARGETS, layers_pattern, names, shortest,
};
use super::{MethodInfo, Settings};
use crate::base::{Architecture, BertConfig};
use crate::model::{
    Adapter, Initial, LinearHook, LinearSite, ModelError, SCORE_HEAD, Slots, TuningMethod,
};
use crate::peft::{AdapterError, whole};

impl TuningMethod for LoraConfig {
    fn name(&self) -> &'static str {
        "lora"
    }

    fn settings(&self) -> Vec<(&'static str, Value)> {
        self.entries()
    }

    fn describe(&self, architecture: &Architecture) -> Vec<(&'static str, String)> {
        self.lines(architecture, self.scale(), None)
    }

    fn validate(&self, base: &BertConfig) -> Result<(), ModelError> {
        self.check(base)
    }

    fn dropout(&self) -> f32 {
        self.dropout
    }

    fn linear(&self, site: &LinearSite<'_>, slots: &mut Slots<'_>) -> Option<Arc<dyn LinearHook>> {
        let term = self.term(site, slots, self.scale(), [Initial::Kaiming, Initial::Zeros])?;
        Some(Arc::new(term))
    }
}

const SHARED: MethodInfo = MethodInfo {
    settings: &[&RANK, &ALPHA, &DROPOUT, &TARGETS, &LAYERS, &SQUARE_ROOT],
    size: Some(&RANK),
    low_rank: true,
    dropout: true,
    files: &FILES,
    build: |settings| Ok(LoraConfig::from_settings(settings)?.into()),
    ..MethodInfo::PLAIN
};

/// LoRA's line in the registry.
pub static INFO: MethodInfo =
    MethodInfo { name: "lora", label: "LoRA", help: "low-rank updates of linear layers", ..SHARED };

/// LoRA with the correlation term: the method of the paper (Yu et al., arXiv 2309.15223).
pub static LORB: MethodInfo = MethodInfo {
    name: "lorb",
    label: "LoRB",
    help: "lora with the correlation term",
    correlates: Some("lora"),
    ..SHARED
};

/// LoRA scaled by `alpha / sqrt(r)`.
pub static RSLORA: MethodInfo = MethodInfo {
    name: "rslora",
    label: "rsLoRA",
    help: "lora scaled by alpha / sqrt(r)",
    build: |settings: &Settings| {
        Ok(LoraConfig::from_settings(&settings.clone().with(&SQUARE_ROOT, true))?.into())
    },
    ..SHARED
};

/// LoRA in PEFT's format, also for methods whose saved adapter is plain LoRA.
pub static FILES: LowRankFiles = LowRankFiles {
    peft_type: "LORA",
    dora: false,
    tensors: &[(LORA_A, "lora_A.weight"), (LORA_B, "lora_B.weight")],
    ranks: |map| Ok((whole(map, "r")?.unwrap_or(8), None)),
    method: |lora, _| lora.into(),
    config: |adapter, lora, base_name| peft_config(adapter, lora, base_name, false),
};

/// `adapter_config.json` of LoRA or DoRA.
pub fn peft_config(
    adapter: &Adapter,
    lora: &LoraConfig,
    base_name: Option<&str>,
    dora: bool,
) -> Result<Value, AdapterError> {
    let (targets, excluded) = names(lora, adapter.layout.architecture());
    Ok(json!({
        "alpha_pattern": {},
        "base_model_name_or_path": base_name,
        "bias": "none",
        "exclude_modules": if excluded.is_empty() { Value::Null } else { json!(excluded) },
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_pattern": layers_pattern(lora, adapter.layout.architecture()),
        "layers_to_transform": lora.layers,
        "lora_alpha": shortest(lora.alpha)?,
        "lora_dropout": shortest(lora.dropout)?,
        "modules_to_save": [SCORE_HEAD],
        "peft_type": "LORA",
        "r": lora.rank,
        "rank_pattern": {},
        "revision": null,
        "target_modules": targets,
        "task_type": null,
        "use_dora": dora,
        "use_rslora": lora.rslora,
    }))
}
