//! The table `[training]` of a configuration: some settings of [`TrainConfig`], the rest by default.

use serde_json::{Map, Value};

use super::StudyError;
use crate::train::{TrainConfig, TrainError};

/// Settings that an axis of the grid decides; in `[training]` they would have no effect.
const AXES: [(&str, &str); 4] = [
    ("lr", "[learning_rates], or `learning_rates` of a [[grid]]"),
    ("warmup", "`warmups` of a [[grid]]"),
    ("seed", "`seeds` of a [[grid]]"),
    ("cor_weight", "`cor_weights` of a [[grid]]"),
];

/// The default settings with those of the table in their place, checked.
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
        // One at a time, so that the error can name the key.
        let mut all = serde_json::to_value(&config).unwrap_or_default();
        if all.get(key).is_none() {
            let known: Vec<&str> = all
                .as_object()
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str)
                .filter(|name| AXES.iter().all(|(axis, _)| axis != name))
                .collect();
            let expected = format!("a setting of training: {}", known.join(", "));
            return Err(StudyError::value(at, value, expected));
        }
        all[key] = value.clone();
        config = serde_json::from_value(all)
            .map_err(|error| StudyError::value(&at, value, format!("another value: {error}")))?;
    }
    config.validate().map_err(|error| match error {
        TrainError::Setting { setting, value, expected } => {
            StudyError::value(format!("training.{setting}"), value, expected)
        }
        other => StudyError::value("training", "not valid", other.to_string()),
    })?;
    Ok(config)
}
