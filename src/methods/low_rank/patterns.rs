//! Modules with another rank or scale than the rest: `rank_pattern` and `alpha_pattern` of `adapter_config.json`.
//!
//! LoRB's terms have one rank and one scale. A term of lower rank is one with zeros in its further rows of A and columns of B,
//! and a term of another scale is one whose B is multiplied by the ratio, so such an adapter gives the same scores. Zeros in
//! both factors have no gradient, so training does not change them.

use serde_json::{Map, Value};

use super::{LORA_A, LORA_B, LORA_E, LoraConfig};
use crate::model::{Slot, SlotKind};
use crate::peft::AdapterError;

/// The patterns of an adapter.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// Ranks of LoRA, by the end of a module's name.
    ranks: Vec<(String, f64)>,
    /// Alphas, by the same.
    alphas: Vec<(String, f64)>,
    /// Which of the initial triplets AdaLoRA kept, by a module's name.
    kept: Vec<(String, Vec<bool>)>,
}

/// How the factors of a module are put into those of all modules.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// Rows of A that the file's rows become.
    rows: Vec<usize>,
    /// Factor of B.
    factor: f32,
}

impl Patterns {
    /// Removes the patterns from the settings. Those of AdaLoRA list triplets.
    pub fn from_settings(map: &mut Map<String, Value>) -> Result<Self, AdapterError> {
        let mut patterns = Self::default();
        let ranks = entries(map, "rank_pattern")?;
        for (name, value) in ranks {
            match &value {
                Value::Array(kept) => {
                    let kept: Option<Vec<bool>> = kept.iter().map(Value::as_bool).collect();
                    let kept = kept.ok_or_else(|| wrong("rank_pattern", &name, &value))?;
                    let module = name.strip_suffix(".lora_E").unwrap_or(&name);
                    patterns.kept.push((module.to_owned(), kept));
                }
                _ => patterns.ranks.push(number("rank_pattern", name, &value)?),
            }
        }
        for (name, value) in entries(map, "alpha_pattern")? {
            patterns.alphas.push(number("alpha_pattern", name, &value)?);
        }
        Ok(patterns)
    }

    /// The settings with the largest rank of these modules, so that every term fits.
    pub fn widest<'a>(
        &self,
        lora: LoraConfig,
        modules: impl Iterator<Item = &'a str>,
    ) -> LoraConfig {
        if self.ranks.is_empty() {
            return lora;
        }
        let widest = modules.map(|module| self.rank(module, &lora)).max();
        let rank = widest.unwrap_or(lora.rank);
        // The scale of modules without a pattern stays the same.
        let alpha = f64::from(lora.alpha) / lora.divisor(lora.rank) * lora.divisor(rank);
        LoraConfig { rank, alpha: alpha as f32, ..lora }
    }

    /// How a module's factors fit into those of `widest`; `given` are the adapter's own settings.
    pub fn fit(
        &self,
        module: &str,
        given: &LoraConfig,
        widest: &LoraConfig,
    ) -> Result<Fit, AdapterError> {
        if let Some((_, kept)) = self.kept.iter().find(|(name, _)| name == module) {
            if kept.len() != widest.rank {
                let (found, rank) = (kept.len(), widest.rank);
                let what = format!("has {found} triplets for {module:?}; expected init_r, {rank}");
                return Err(AdapterError::setting("rank_pattern", what));
            }
            let rows = (0..kept.len()).filter(|at| kept[*at]).collect();
            return Ok(Fit { rows, factor: 1.0 });
        }
        let rank = self.rank(module, given);
        let alpha = find(&self.alphas, module).unwrap_or(f64::from(given.alpha));
        let same = rank == widest.rank && alpha == f64::from(widest.alpha);
        let scale = |rank: usize, alpha: f64| alpha / given.divisor(rank);
        let ratio = scale(rank, alpha) / scale(widest.rank, f64::from(widest.alpha));
        let factor = if same { 1.0 } else { ratio as f32 };
        Ok(Fit { rows: (0..rank).collect(), factor })
    }

    fn rank(&self, module: &str, given: &LoraConfig) -> usize {
        find(&self.ranks, module).map_or(given.rank, |rank| rank as usize)
    }
}

impl Fit {
    /// The shape of a tensor in the file that becomes this slot.
    pub fn shape(&self, slot: &Slot) -> Vec<usize> {
        let mut shape = slot.shape.clone();
        match axis(slot.kind) {
            Some(axis) if shape.len() == 2 => shape[axis] = self.rows.len(),
            _ => {}
        }
        shape
    }

    /// Copies a tensor of the file to its slot.
    pub fn place(&self, slot: &Slot, values: &[f32], target: &mut [f32]) {
        match axis(slot.kind) {
            Some(0) => {
                target.fill(0.0);
                let width = slot.shape[1];
                for (row, values) in self.rows.iter().zip(values.chunks(width.max(1))) {
                    target[row * width..(row + 1) * width].copy_from_slice(values);
                }
            }
            Some(_) => {
                target.fill(0.0);
                let rows = target.chunks_mut(slot.shape[1]);
                for (row, values) in rows.zip(values.chunks(self.rows.len().max(1))) {
                    for (column, value) in self.rows.iter().zip(values) {
                        row[*column] = value * self.factor;
                    }
                }
            }
            None => target.copy_from_slice(values),
        }
    }
}

/// The axis of a factor that has the rank.
fn axis(kind: SlotKind) -> Option<usize> {
    if kind == LORA_B {
        Some(1)
    } else if kind == LORA_A || kind == LORA_E {
        Some(0)
    } else {
        None
    }
}

/// The value of the first pattern that is a module's name or its end after a dot.
///
/// PEFT's patterns are regular expressions, in which a dot is any character. Those that are more than names are refused by
/// [`number`].
fn find(patterns: &[(String, f64)], module: &str) -> Option<f64> {
    let matches = |pattern: &str| match pattern.strip_prefix('^') {
        Some(whole) => module == whole,
        None => {
            module.strip_suffix(pattern).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        }
    };
    patterns.iter().find(|(pattern, _)| matches(pattern)).map(|(_, value)| *value)
}

fn entries(map: &mut Map<String, Value>, key: &str) -> Result<Map<String, Value>, AdapterError> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(entries)) => Ok(entries),
        Some(other) => {
            Err(AdapterError::setting(key, format!("is {other}; expected values by module name")))
        }
    }
}

fn number(key: &'static str, name: String, value: &Value) -> Result<(String, f64), AdapterError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if name.is_empty() || !name.strip_prefix('^').unwrap_or(&name).chars().all(plain) {
        let what = format!(
            "has the pattern {name:?}; LoRB reads names of modules and their ends, not other regular expressions"
        );
        return Err(AdapterError::setting(key, what));
    }
    let whole = key == "rank_pattern";
    let sound = |number: &f64| {
        (1.0..=1e6).contains(number) && number.fract() == 0.0
            || !whole && number.is_finite() && *number > 0.0
    };
    match value.as_f64().filter(sound) {
        Some(number) => Ok((name, number)),
        None => Err(wrong(key, &name, value)),
    }
}

fn wrong(key: &str, name: &str, value: &Value) -> AdapterError {
    AdapterError::setting(key, format!("is {value} for {name:?}; expected a positive number"))
}
