//! What a cell's method means to the trainer.

use lorb::base::{BaseWeights, BertConfig};
use lorb::model::{Adapter, LoraConfig, LoraVariant, Method, MethodKind, Target};
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
        // The unadapted base: nothing scores where beta is 0.
        "first-pass" | "head" => Method::Head,
        "lora" | "lorb" | "rslora" => sized(MethodKind::Lora, lora, cell, base)?,
        "dora" => {
            let lora = LoraConfig { variant: LoraVariant::Dora, dropout: 0.0, ..lora };
            sized(MethodKind::Dora, lora, cell, base)?
        }
        "adalora" | "adalorb" => {
            // The rank is that at the end; PEFT's own defaults begin with half as much again.
            let target_rank = lora.rank;
            let rank = target_rank + target_rank.div_ceil(2);
            let variant = LoraVariant::AdaLora { target_rank };
            sized(MethodKind::AdaLora, LoraConfig { rank, variant, ..lora }, cell, base)?
        }
        "full" => Method::Full,
        "bitfit" => Method::BitFit,
        "prefix" => Method::Prefix { length: config.prefix_length },
        "houlsby" => Method::Houlsby { width: config.adapter_width },
        other => {
            return Err(CliError::Failed(format!("method {other:?}: not in this version of LoRB")));
        }
    })
}

/// The settings as they are, or the largest within the cell's budget.
fn sized(
    kind: MethodKind,
    lora: LoraConfig,
    cell: &Cell,
    base: &BertConfig,
) -> Result<Method, CliError> {
    match cell.budget.as_ref().and_then(|budget| budget.part()) {
        Some(part) => Method::within(kind, part, base, &lora).map_err(|e| method_error(&e)),
        None => Ok(Method::Lora(lora)),
    }
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
