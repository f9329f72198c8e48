//! What a cell's method means to the trainer.

use lorb::base::BertConfig;
use lorb::model::{Adapter, LoraConfig, Target};
use lorb::study::{Cell, StudyConfig};
use lorb::train::TrainConfig;

use crate::cli::error::CliError;
use crate::cli::train_args::lora_error;

/// The adapter that a cell begins with. Every method has its line here.
pub fn adapter(cell: &Cell, config: &StudyConfig, base: &BertConfig) -> Result<Adapter, CliError> {
    let seed = cell.seed.unwrap_or(0);
    let lora = match cell.method.as_str() {
        // The unadapted base: the update of fresh factors is 0.
        "first-pass" => LoraConfig::default(),
        "lora" | "lorb" | "rslora" => low_rank(cell, config)?,
        other => {
            return Err(CliError::Failed(format!("method {other:?}: not in this version of LoRB")));
        }
    };
    Adapter::init(base, lora, seed).map_err(|error| lora_error(&error))
}

fn low_rank(cell: &Cell, config: &StudyConfig) -> Result<LoraConfig, CliError> {
    if let Some(budget) = &cell.budget {
        let message = format!("budget {}: this version picks no ranks", budget.0);
        return Err(CliError::Failed(message));
    }
    let default = LoraConfig::default();
    let targets = match &cell.targets {
        Some(names) => Target::parse_list(names.split(',')).map_err(|e| lora_error(&e))?,
        None => default.targets,
    };
    Ok(LoraConfig {
        rank: cell.rank.unwrap_or(default.rank),
        alpha: config.alpha,
        dropout: config.dropout,
        targets,
        rslora: cell.method == "rslora",
        layers: None,
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
