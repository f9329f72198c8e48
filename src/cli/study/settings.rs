//! Maps a cell's method to training settings.

use lorb::base::{BaseWeights, BertConfig};
use lorb::methods::{ALPHA, DROPOUT, MethodInfo, Settings, TARGETS, number_value};
use lorb::model::{Adapter, Method};
use lorb::study::{Cell, StudyConfig, method as method_of};
use lorb::train::TrainConfig;

use crate::cli::error::CliError;
use crate::cli::train_args::method_error;

/// The initial state of a cell, before any tensor of the base is used.
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

/// A cell's method.
fn method(cell: &Cell, config: &StudyConfig, base: &BertConfig) -> Result<Method, CliError> {
    // A baseline is the unadapted base, and its score head is not used.
    let trained = method_of(&cell.method).is_some_and(|method| method.trained);
    let name = if trained { cell.method.as_str() } else { "head" };
    let Some(info) = MethodInfo::find(name) else {
        let text = format!("this version of LoRB has no method {:?}", cell.method);
        return Err(CliError::Failed(text));
    };
    let settings = settings(cell, config, info);
    let budget = cell.budget.as_ref().and_then(|budget| budget.part());
    let method = match budget {
        Some(fraction) if info.low_rank => info.within_budget(fraction, base, &settings),
        _ => (info.build)(&settings),
    };
    method.map_err(|error| method_error(&error))
}

/// The settings of a method from the configuration and the cell.
fn settings(cell: &Cell, config: &StudyConfig, info: &MethodInfo) -> Settings {
    let mut settings = config.method_settings(info);
    if !info.low_rank {
        return settings;
    }
    settings = settings.with(&ALPHA, number_value(config.alpha));
    if info.dropout {
        settings = settings.with(&DROPOUT, number_value(config.dropout));
    }
    if let (Some(size), Some(rank)) = (info.size, cell.rank) {
        settings = settings.with(size, rank);
    }
    if let Some(targets) = &cell.targets {
        settings = settings.with(&TARGETS, targets.split(',').collect::<Vec<_>>());
    }
    settings
}

/// The training settings of a cell.
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
