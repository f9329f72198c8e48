//! Configurations, plans and records shared by tests.

mod config;
mod plan;

use super::config::StudyConfig;
use super::{
    Cell, DevPoint, DomainResult, Inputs, Measured, Outcome, Record, Seconds, Trained,
    TruncatedErrors,
};
use serde_json::{Value, json};

/// A study with a grid for every section of the report.
pub(crate) fn config_json() -> Value {
    json!({
        "name": "A study of <b> & \"co\"",
        "bases": ["base-a", "dir/base-b"],
        "target": {"name": "calls", "train": ["t"], "dev": ["d"], "test": ["e"]},
        "non_target": [{"name": "mail|box", "test": ["o"]}],
        "training": {"epochs": 2},
        "learning_rates": {"all": 1e-3, "full": 1e-4},
        "grid": [
            {"part": "methods", "methods": ["first-pass", "full", "lora", "lorb", "bitfit"], "seeds": [0, 1, 2]},
            {"part": "data", "methods": ["full", "lora"], "sizes": [25, 0.5, 1.0, 400], "seeds": [0, 1]},
            {"part": "bases", "methods": ["lora"], "bases": ["base-a", "dir/base-b"]},
            {"part": "stability", "methods": ["full", "lora"], "warmups": [0.0, 0.1],
             "learning_rates": {"full": [1e-5, 1e-4], "lora": [1e-4, 1e-3]}},
            {"part": "correlation", "methods": ["lora"], "cor_weights": [0.0, 0.05, 0.5]}
        ],
        "robustness": {"dictionary": "dict", "rates": [0.1, 0.3]}
    })
}

pub(crate) fn config() -> StudyConfig {
    serde_json::from_value(config_json()).unwrap()
}

pub(crate) fn inputs() -> Inputs {
    Inputs {
        target: ["t1".into(), "d1".into(), "e1".into()],
        non_target: vec![("mail|box".into(), "o1".into())],
        bases: vec![("base-a".into(), "a1".into()), ("dir/base-b".into(), "b1".into())],
        dictionary: Some("x1".into()),
    }
}

/// A finished run with values that depend on the cell.
pub(crate) fn done(id: &str, cell: &Cell) -> Record {
    let seed = cell.seed.unwrap_or(0) as u32;
    let full = cell.method == "full";
    let better =
        u32::from(cell.utterances.unwrap_or(0) > 50) + u32::from(cell.method != "first-pass");
    let domain = |name: &str, words: Vec<u32>| {
        let first: Vec<u32> = words.iter().map(|words| words / 2).collect();
        let rescored = first.iter().enumerate().map(|(at, errors)| {
            let change = if (at as u32 + seed).is_multiple_of(3) { better } else { 0 };
            errors.saturating_sub(change)
        });
        DomainResult {
            name: name.into(),
            hypotheses: words.iter().map(|words| 1 + words % 5).collect(),
            rescored: rescored.collect(),
            oracle: first.iter().map(|errors| errors / 2).collect(),
            cuts: vec![
                TruncatedErrors { n: 1, rescored: 30, oracle: 30 },
                TruncatedErrors { n: 5, rescored: 30 - u64::from(seed), oracle: 12 },
            ],
            first,
            words,
        }
    };
    let trained = cell.lr.map(|_| Trained {
        trainable: if full { 1_000_000 } else { 800 },
        adapter_bytes: 3_200,
        steps: 20,
        best_step: 20,
        best_seconds: if full { 9.0 } else { 3.0 },
        step_seconds: if full { 0.45 } else { 0.15 },
        dev: (1..=4)
            .map(|at| DevPoint {
                step: 5 * at,
                seconds: at as f64 * if full { 2.25 } else { 0.75 },
                wer: 0.3 - 0.02 * at as f64,
            })
            .collect(),
        dev_first: 0.31,
        dev_oracle: 0.1,
    });
    let perturbed = if cell.perturbed {
        let scopes = [super::Scope::OneBest, super::Scope::All];
        let rates = [0.1, 0.3];
        let one = |scope, rate| super::Perturbed {
            scope,
            rate,
            replaced: 5,
            of_words: 100,
            domain: domain("calls", vec![12; 6]),
        };
        scopes.iter().flat_map(|&scope| rates.map(|rate| one(scope, rate))).collect()
    } else {
        Vec::new()
    };
    let measured = Measured {
        device: "CPU".into(),
        base_parameters: if cell.base == "base-a" { 1_000_000 } else { 4_000_000 },
        base_shape: (8, 2),
        seconds: Seconds {
            preparing: 1.0,
            training: 9.0,
            evaluating: 2.0,
            testing: 1.0,
            total: 13.0,
        },
        trained,
        peak_memory: Some(if full { 500_000_000 } else { 200_000_000 }),
        isotropy: Some(0.2),
        beta: 1.0,
        gamma: 0.0,
        domains: vec![
            domain("calls", vec![3, 5, 8, 12, 20, 7]),
            domain("mail|box", vec![9, 10, 4]),
        ],
        perturbed,
    };
    Record { id: id.into(), cell: cell.clone(), outcome: Outcome::Done(Box::new(measured)) }
}
