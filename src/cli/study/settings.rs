//! What a cell's method means to the trainer.

use lorb::base::{BaseWeights, BertConfig};
use lorb::model::{Adapter, LoraConfig, Method, MethodKind, Target};
use lorb::study::{Cell, StudyConfig};
use lorb::train::TrainConfig;

use crate::cli::error::CliError;
use crate::cli::train_args::method_error;

/// What a cell begins with, before any tensor of the base is taken.
pub fn adapter(
    cell: &Cell,
    config: &StudyConfig,
    base: &BertConfig,
    weights: &BaseWeights,
) -> Result<Adapter, CliError> {
    let seed = cell.seed.unwrap_or(0);
    let method = method(cell, config, base)?;
    Adapter::init_on(base, weights, method, seed).map_err(|error| method_error(&error))
}

/// A cell's method. Every name has its line here.
fn method(cell: &Cell, config: &StudyConfig, base: &BertConfig) -> Result<Method, CliError> {
    let lora = low_rank(cell, config)?;
    Ok(match cell.method.as_str() {
        // The unadapted base, whose score head has no say in what is not trained.
        "first-pass" | "pll" | "pll-length" | "head" => Method::Head,
        "lora" | "lorb" | "rslora" => sized(MethodKind::Lora, lora, cell, base)?,
        "dora" => sized(MethodKind::Dora, LoraConfig { dropout: 0.0, ..lora }, cell, base)?,
        "adalora" | "adalorb" => sized(MethodKind::AdaLora, lora, cell, base)?,
        "rank-warmup" => sized(MethodKind::RankWarmup, lora, cell, base)?,
        "mixed-rank" => sized(MethodKind::MixedRank, lora, cell, base)?,
        "full" => Method::Full,
        "bitfit" => Method::BitFit,
        "prefix" => Method::Prefix { length: config.prefix_length },
        "houlsby" => Method::Houlsby { width: config.adapter_width },
        other => {
            return Err(CliError::Failed(format!("method {other:?}: not in this version of LoRB")));
        }
    })
}

/// The settings at the cell's rank, which is that at the end, or the largest within its budget.
fn sized(
    kind: MethodKind,
    lora: LoraConfig,
    cell: &Cell,
    base: &BertConfig,
) -> Result<Method, CliError> {
    if let Some(part) = cell.budget.as_ref().and_then(|budget| budget.part()) {
        return Method::within(kind, part, base, &lora).map_err(|e| method_error(&e));
    }
    let rank = lora.rank;
    let Some(lora) = kind.with_rank(lora, rank) else { unreachable!("these are kinds of LoRA") };
    Ok(Method::Lora(lora))
}

fn low_rank(cell: &Cell, config: &StudyConfig) -> Result<LoraConfig, CliError> {
    let default = LoraConfig::default();
    let targets = match &cell.targets {
        Some(names) => Target::parse_list(names.split(',')).map_err(|e| method_error(&e))?,
        None => default.targets,
    };
    Ok(LoraConfig {
        rank: cell.rank.unwrap_or(default.rank),
        alpha: config.alpha,
        dropout: config.dropout,
        targets,
        rslora: cell.method == "rslora",
        ..default
    })
}

/// The settings of a cell's training.
pub fn training(cell: &Cell, config: &StudyConfig) -> Result<TrainConfig, CliError> {
    let fixed = config.train_config().map_err(|error| CliError::at("training", &error))?;
    Ok(TrainConfig {
        lr: cell.lr.unwrap_or(fixed.lr),
        warmup: cell.warmup.unwrap_or(fixed.warmup),
        cor_weight: cell.cor_weight.unwrap_or(fixed.cor_weight),
        seed: cell.seed.unwrap_or(fixed.seed),
        ..fixed
    })
}
