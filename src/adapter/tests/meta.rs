use serde_json::json;

use super::{adapter, as_saved_by_peft, with_setting, written};
use crate::adapter::meta::AdapterMeta;
use crate::adapter::{AdapterError, read, write};
use crate::base::tests::tiny_config;
use crate::model::Target;
use crate::score::Weights;
use crate::text::{Conventions, Normalize, Unit};

fn full() -> AdapterMeta {
    AdapterMeta {
        weights: Some(Weights::new(1.0 / 3.0, -0.25)),
        base_hash: Some("0f".repeat(32)),
        base_name: Some("some/base".into()),
        objective: Some("mwer".into()),
        conventions: Conventions::default(),
        extra: json!({"seed": 7, "note": "ä"}).as_object().unwrap().clone(),
    }
}

#[test]
fn metadata_round_trips_bit_for_bit() {
    let adapter = adapter(&[Target::Query], None);
    let files = write(&adapter, &full()).unwrap();
    assert_eq!(read(&files, &tiny_config()).unwrap(), (adapter, full()));
}

#[test]
fn an_adapter_stores_its_base() {
    full().check_base(&"0f".repeat(32)).unwrap();
    AdapterMeta::default().check_base("anything").unwrap();
    let message = full().check_base(&"0e".repeat(32)).unwrap_err().to_string();
    assert!(message.contains("(some/base)") && message.contains(&"0f".repeat(32)), "{message}");
}

/// Readers of version 1 do not know weights by part.
#[test]
fn weights_by_part_round_trip_in_a_newer_version() {
    let mut meta = full();
    assert!(meta.to_text("").unwrap().starts_with(r#"{"format":1,"#));
    let parts = [("am".to_owned(), -0.1), ("ctc".to_owned(), 1.0 / 3.0)];
    meta.weights.as_mut().unwrap().parts.extend(parts);
    assert!(meta.to_text("").unwrap().starts_with(r#"{"format":2,"#));
    let adapter = adapter(&[Target::Query], None);
    let files = write(&adapter, &meta).unwrap();
    assert_eq!(read(&files, &tiny_config()).unwrap(), (adapter, meta.clone()));
    meta.weights.as_mut().unwrap().parts.insert("lm".to_owned(), f64::NAN);
    assert!(meta.to_text("").unwrap_err().to_string().contains("parts.lm is NaN"));
}

#[test]
fn conventions_round_trip_and_need_the_newer_format() {
    let text = full().to_text("").unwrap();
    assert!(text.starts_with(r#"{"format":1,"#) && !text.contains("normalize"), "{text}");
    let conventions = Conventions { normalize: Normalize::Whisper, unit: Unit::Mixed, join: true };
    let meta = AdapterMeta { conventions, ..full() };
    let text = meta.to_text("").unwrap();
    assert!(text.starts_with(r#"{"format":2,"#), "{text}");
    assert!(text.contains(r#""normalize":"whisper","unit":"mixed","join":true"#), "{text}");
    let adapter = adapter(&[Target::Query], None);
    let files = write(&adapter, &meta).unwrap();
    assert_eq!(read(&files, &tiny_config()).unwrap(), (adapter, meta));
}

#[test]
fn unknown_metadata_names_are_not_reserved() {
    let files = with_setting(&written(), "base_model_name_or_path", Some("".into()));
    assert_eq!(read(&files, &tiny_config()).unwrap().1.base_name, None);
}

/// As after a kill between the two files, or a copy of one of them.
#[test]
fn files_of_two_adapters_are_rejected() {
    let files = written();
    let other = with_setting(&files, "lora_alpha", Some(16.into()));
    assert_eq!(read(&other, &tiny_config()).unwrap_err(), AdapterError::Mixed);
    for (key, value) in [
        ("base_model_name_or_path", Some("renamed".into())),
        ("inference_mode", Some(false.into())),
        ("lora_dropout", Some(0.into())),
        ("target_modules", Some(json!(["value", "self.query"]))),
        ("rank_pattern", Some(json!({}))),
        ("task_type", None),
    ] {
        read(&with_setting(&files, key, value), &tiny_config()).expect(key);
    }
    // Weights saved by PEFT or an older version have no hash.
    read(&as_saved_by_peft(&other), &tiny_config()).unwrap();
}

#[test]
fn malformed_metadata_is_reported() {
    let cases = [
        ("{", "`.`"),
        ("[]", "`.`"),
        ("{}", "`format`"),
        (r#"{"format": 3}"#, "`format` is 3"),
        (r#"{"format": "1"}"#, "`format`"),
        (r#"{"format": 1, "beta": "1"}"#, "`beta`"),
        (r#"{"format": 1, "beta": null}"#, "`beta`"),
        (r#"{"format": 1, "gamma": 1}"#, "`gamma`"),
        (r#"{"format": 1, "beta": 1, "gamma": []}"#, "`gamma`"),
        (r#"{"format": 2, "parts": {"am": 1}}"#, "`parts` is set without beta"),
        (r#"{"format": 2, "beta": 1, "parts": [1]}"#, "`parts` is [1]"),
        (r#"{"format": 2, "beta": 1, "parts": {"am": null}}"#, "`parts.am` is null"),
        (r#"{"format": 1, "base_sha256": "abc"}"#, "`base_sha256`"),
        (r#"{"format": 1, "objective": 3}"#, "`objective`"),
        (
            r#"{"format": 2, "normalize": "upper"}"#,
            "`normalize` is \"upper\"; expected none, lower",
        ),
        (r#"{"format": 2, "unit": "words"}"#, "`unit`"),
        (r#"{"format": 2, "join": "yes"}"#, "`join`"),
    ];
    for (text, key) in cases {
        let message = AdapterMeta::from_text(text).unwrap_err().to_string();
        assert!(message.contains("metadata `lorb`") && message.contains(key), "{text}: {message}");
    }
}

#[test]
fn unwritable_metadata_is_rejected() {
    let infinite = AdapterMeta { weights: Some(Weights::new(f64::INFINITY, 0.0)), ..full() };
    assert!(infinite.to_text("").unwrap_err().to_string().contains("beta"));
    let twice = AdapterMeta { extra: json!({"format": 3}).as_object().unwrap().clone(), ..full() };
    assert!(twice.to_text("").unwrap_err().to_string().contains("`format`"));
}
