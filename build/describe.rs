//! Describes every variant as JSON, for the benchmark page: its text in parts, and what it is given.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::compose::{Files, Part};
use crate::emit::Kernel;

/// `files`: shared texts by path; `kernels`: the variants.
pub fn describe(files: &Files, kernels: &[Kernel<'_>]) -> String {
    let texts: BTreeMap<&str, &str> = files.texts().collect();
    let variants = kernels.iter().flat_map(|kernel| {
        kernel.variants.iter().map(|variant| {
            let parts: Vec<Value> = variant
                .parts
                .iter()
                .map(|part| match part {
                    Part::Head(text) => json!({ "head": text }),
                    Part::File(path) => json!({ "file": path }),
                })
                .collect();
            let constants: BTreeMap<&String, u32> =
                variant.constants.iter().map(|(name, value)| (name, *value)).collect();
            json!({
                "name": variant.variant.name,
                "entry": kernel.name,
                "buffers": variant.buffers,
                "params": variant.params,
                "constants": constants,
                "parts": parts,
            })
        })
    });
    json!({ "files": texts, "kernels": variants.collect::<Vec<_>>() }).to_string()
}
