//! The table `[training]` of a configuration: some settings of [`TrainConfig`]; the others have defaults.

use serde_json::{Map, Value};

use super::StudyError;
use crate::train::{SETTINGS, TrainConfig, TrainError};

/// Settings that are axes of a grid; in `[training]` they would have no effect.
const AXES: [(&str, &str); 4] = [
    ("lr", "[learning_rates], or `learning_rates` of a [[grid]]"),
    ("warmup", "`warmups` of a [[grid]]"),
    ("seed", "`seeds` of a [[grid]]"),
    ("cor_weight", "`cor_weights` of a [[grid]]"),
];

/// The default settings, replaced by those of the table, checked.
///
/// # Errors
/// [`StudyError::Value`] names the key.
pub(super) fn merged(table: &Map<String, Value>) -> Result<TrainConfig, StudyError> {
    let mut config = TrainConfig::default();
    for (key, value) in table {
        let at = format!("training.{key}");
        if let Some((_, place)) = AXES.iter().find(|(axis, _)| axis == key) {
            return Err(StudyError::value(at, value, format!("to be set by {place}")));
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == key) else {
            let known: Vec<&str> = SETTINGS
                .iter()
                .map(|setting| setting.name)
                .filter(|name| AXES.iter().all(|(axis, _)| axis != name))
                .collect();
            let expected = format!("a setting of training: {}", known.join(", "));
            return Err(StudyError::value(at, value, expected));
        };
        setting.read(&mut config, value).map_err(named)?;
    }
    config.validate().map_err(named)?;
    Ok(config)
}

/// An error of a setting, with the key's full name.
fn named(error: TrainError) -> StudyError {
    match error {
        TrainError::Setting { setting, value, expected } => {
            StudyError::value(format!("training.{setting}"), value, expected)
        }
        other => StudyError::value("training", "not valid", other.to_string()),
    }
}
