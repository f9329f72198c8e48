//! Validation of configurations.

use serde_json::{Value, json};

use super::config_json;
use crate::study::config::{BaseName, Size, StudyConfig};

#[test]
fn a_valid_configuration_passes_and_training_settings_are_used() {
    let config = super::config();
    config.validate().unwrap();
    assert_eq!(config.train_config().unwrap().epochs, 2);
    assert_eq!(config.learning_rate("full"), Some(1e-4));
    assert_eq!(config.learning_rate("lora"), Some(1e-3));
    assert_eq!(
        [Size::Utterances(9).of(5), Size::Part(0.5).of(5), Size::Part(0.01).of(5)],
        [5, 3, 1]
    );
}

#[test]
fn invalid_values_are_reported_with_key_and_expectation() {
    type Change = fn(&mut Value);
    let cases: [(&str, &str, Change); 22] = [
        ("`bases`", "at least one", |c| c["bases"] = json!([])),
        ("`target.dev`", "at least one", |c| c["target"]["dev"] = json!([])),
        ("`non_target.name`", "a unique name", |c| c["non_target"][0]["name"] = json!("calls")),
        ("`non_target.mail|box.utterances`", "1 or more", |c| {
            c["non_target"][0]["utterances"] = json!(0);
        }),
        ("`alpha`", "positive", |c| c["alpha"] = json!(0.0)),
        ("`dropout`", "below 1", |c| c["dropout"] = json!(1.0)),
        ("`training.epochs`", "1 or more", |c| c["training"]["epochs"] = json!(0)),
        ("`training.epochs`", "is \"two\"; expected 1 or more", |c| {
            c["training"]["epochs"] = json!("two");
        }),
        ("`training.lr`", "[learning_rates]", |c| c["training"]["lr"] = json!(1e-3)),
        ("`training.seed`", "`seeds` of a [[grid]]", |c| c["training"]["seed"] = json!(1)),
        ("`training.epoch`", "batch_tokens", |c| c["training"]["epoch"] = json!(1)),
        ("`learning_rates.lara`", "a method", |c| c["learning_rates"]["lara"] = json!(1.0)),
        ("`learning_rates`", "\"all\"", |c| c["learning_rates"] = json!({"full": 1e-4})),
        ("`grid 1: methods`", "houlsby", |c| c["grid"][0]["methods"][1] = json!("fool")),
        ("`grid 3: bases`", "dir/base-b", |c| c["grid"][2]["bases"][0] = json!("base-c")),
        ("`grid 1: ranks`", "1 or more", |c| c["grid"][0]["ranks"] = json!([8, 0])),
        ("`grid 1: targets`", "quer", |c| c["grid"][0]["targets"] = json!(["quer"])),
        ("`grid 1: budgets`", "percentages", |c| c["grid"][0]["budgets"] = json!(["0.08"])),
        ("`grid 2: sizes`", "up to 1.0", |c| c["grid"][1]["sizes"] = json!([1.5])),
        ("`grid 4: warmups`", "from 0 to 1", |c| c["grid"][3]["warmups"] = json!([2.0])),
        ("`grid 5: cor_weights`", "of 0 or more", |c| c["grid"][4]["cor_weights"] = json!([-1.0])),
        ("`robustness.rates`", "probabilities", |c| c["robustness"]["rates"] = json!([0.0])),
    ];
    for (key, expected, spoil) in cases {
        let mut json = config_json();
        spoil(&mut json);
        let config: StudyConfig = serde_json::from_value(json).unwrap();
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains(key) && message.contains(expected), "{key}: {message}");
    }
}

#[test]
fn unknown_keys_are_rejected() {
    for place in ["", "/target", "/non_target/0", "/grid/0", "/robustness"] {
        let mut json = config_json();
        json.pointer_mut(place).unwrap()["metods"] = json!(1);
        let message = serde_json::from_value::<StudyConfig>(json).unwrap_err().to_string();
        assert!(message.contains("unknown field `metods`"), "{place}: {message}");
    }
}

#[test]
fn a_base_may_have_fewer_layers() {
    let whole = |name| assert_eq!(BaseName::parse(name), BaseName { source: name, layers: None });
    for name in ["demo", "a, b/first 3 layers", "demo, first few layers", "demo, first 3"] {
        whole(name);
    }
    let part = |layers| BaseName { source: "some/base", layers: Some(layers) };
    assert_eq!(BaseName::parse("some/base, first 3 layers"), part(3));
    assert_eq!(BaseName::parse("some/base, first 1 layer"), part(1));
}
