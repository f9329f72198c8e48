//! The cells of a configuration, and their ids.

use serde_json::json;

use super::{config, config_json, done, inputs};
use crate::study::config::StudyConfig;
use crate::study::{Cell, Part, Plan, Record, expected_seconds, plan};

fn cells(plan: &Plan, part: Part) -> Vec<Cell> {
    plan.of_part(&config(), part).map(|planned| planned.cell.clone()).collect()
}

#[test]
fn axes_that_do_not_apply_are_dropped_and_equal_cells_are_one() {
    let plan = plan(&config(), &inputs(), 100).unwrap();
    let methods = cells(&plan, Part::Methods);
    // A baseline has no seeds, the four methods have three each.
    assert_eq!(methods.len(), 1 + 4 * 3);
    let bitfit = methods.iter().find(|cell| cell.method == "bitfit").unwrap();
    assert_eq!((bitfit.rank, &bitfit.targets, bitfit.lr), (None, &None, Some(1e-3)));
    assert!(
        methods.iter().all(|cell| cell.perturbed),
        "robustness is tested on methods by default"
    );
    // 400 of 100 utterances are all 100; 0.5 of them are 50.
    let data = cells(&plan, Part::Data);
    let mut sizes: Vec<usize> = data.iter().filter_map(|cell| cell.utterances).collect();
    sizes.sort_unstable();
    sizes.dedup();
    assert_eq!((data.len(), sizes), (2 * 2 * 3, vec![25, 50, 100]));
    // LoRA with the term is LoRB in every grid.
    let correlation = cells(&plan, Part::Correlation);
    let names: Vec<&str> = correlation.iter().map(|cell| cell.method.as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == "lorb").count(), 2);
    let mut ids: Vec<&str> = plan.cells.iter().map(|planned| planned.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), plan.cells.len());
    assert!(ids.iter().all(|id| id.len() == 16));
    // Shared with the other grids: all data, first base, learning rate and warm-up of the study.
    let shared = plan.cells.iter().filter(|planned| planned.grids.len() > 1).count();
    assert_eq!(shared, 5, "two of full, two of LoRA, one of LoRB");
}

#[test]
fn ids_depend_only_on_what_affects_the_result() {
    let id = |config: &StudyConfig, inputs: &crate::study::Inputs, method: &str| {
        let plan = plan(config, inputs, 100).unwrap();
        plan.cells.into_iter().find(|planned| planned.cell.method == method).unwrap().id
    };
    let (config, inputs) = (config(), inputs());
    let (lora, first) = (id(&config, &inputs, "lora"), id(&config, &inputs, "first-pass"));
    let with = |key: &str, value: serde_json::Value| -> StudyConfig {
        let mut json = config_json();
        json[key] = value;
        serde_json::from_value(json).unwrap()
    };
    for same in [with("name", json!("other")), with("cor_weight", json!(0.2))] {
        assert_eq!(id(&same, &inputs, "lora"), lora);
    }
    let longer = with("training", json!({"epochs": 3}));
    assert_ne!(id(&longer, &inputs, "lora"), lora);
    assert_eq!(id(&longer, &inputs, "first-pass"), first, "a baseline is not trained");
    assert_ne!(id(&with("alpha", json!(8.0)), &inputs, "lora"), lora);
    for change in [0, 1, 2] {
        let mut other = inputs.clone();
        other.target[change].push('x');
        assert_ne!(id(&config, &other, "lora"), lora);
    }
    let mut other = inputs.clone();
    other.bases[0].1 = "changed".into();
    assert_ne!(id(&config, &other, "lora"), lora);
    let mut other = inputs.clone();
    other.dictionary = Some("changed".into());
    assert_ne!(id(&config, &other, "lora"), lora);
}

#[test]
fn records_survive_json() {
    let plan = plan(&config(), &inputs(), 100).unwrap();
    for planned in &plan.cells {
        let record = done(&planned.id, &planned.cell);
        let line = serde_json::to_string(&record).unwrap();
        assert!(line.contains(r#""status":"done""#), "{line}");
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }
}

#[test]
fn time_is_estimated_from_the_most_similar_runs() {
    let plan = plan(&config(), &inputs(), 100).unwrap();
    let find = |method: &str, utterances: usize| {
        let is = |cell: &&Cell| cell.method == method && cell.utterances == Some(utterances);
        plan.cells.iter().map(|planned| &planned.cell).find(is).unwrap()
    };
    let small = done("x", find("lora", 25));
    assert_eq!(expected_seconds(find("lora", 25), &[]), None);
    let near = |cell: &Cell, seconds: f64| {
        let found = expected_seconds(cell, std::slice::from_ref(&small)).unwrap();
        assert!((found - seconds).abs() < 1e-9, "{found}");
    };
    near(find("lora", 25), 13.0);
    near(find("lora", 100), 52.0);
    near(find("full", 50), 26.0);
}

#[test]
fn many_seeds_are_planned_in_little_time_and_too_many_are_refused() {
    let with = |seeds: u64| {
        let mut config = config();
        config.grid.truncate(1);
        config.grid[0].methods = vec!["lora".into()];
        config.grid[0].seeds = (0..seeds).collect();
        let started = std::time::Instant::now();
        let planned = plan(&config, &inputs(), 100).map(|plan| plan.cells.len());
        (planned, started.elapsed())
    };
    let (planned, time) = with(20_000);
    assert_eq!(planned, Ok(20_000));
    // It took more than a minute.
    assert!(time < std::time::Duration::from_secs(20), "{time:?}");
    let error = with(100_001).0.unwrap_err().to_string();
    assert!(error.starts_with("`grid` is 100001 runs; expected"), "{error}");
}
