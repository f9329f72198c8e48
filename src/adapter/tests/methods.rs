//! Round trips of every method, and rejected files.

use serde_json::json;

use super::{fault, with_setting, with_tensors};
use crate::adapter::{AdapterFiles, AdapterMeta, read, write};
use crate::base::tests::tiny_config;
use crate::methods::{
    AdaLora, BitFit, Dora, Full, Head, Houlsby, LoraConfig, METHODS, Prefix, Settings,
};
use crate::model::{Adapter, Layout, Method};
use crate::score::Weights;

fn lora_of_rank_2() -> LoraConfig {
    LoraConfig { rank: 2, ..LoraConfig::default() }
}

fn methods() -> [Method; 7] {
    [
        AdaLora { lora: lora_of_rank_2(), target_rank: 1 }.into(),
        Dora(lora_of_rank_2()).into(),
        Head.into(),
        BitFit.into(),
        Prefix { length: 3 }.into(),
        Houlsby { width: 5 }.into(),
        Full.into(),
    ]
}

fn files(method: Method) -> (Adapter, AdapterMeta, AdapterFiles) {
    let len = Layout::new(&tiny_config(), &method).unwrap().len();
    let values = (0..len).map(|i| (i as f32 + 1.0) * 0.37).collect();
    let adapter = Adapter::from_parameters(&tiny_config(), method, values).unwrap();
    let meta = AdapterMeta {
        weights: Some(Weights::new(1.5, -0.25)),
        base_name: Some("a base".into()),
        ..AdapterMeta::default()
    };
    let files = write(&adapter, &meta).unwrap();
    (adapter, meta, files)
}

#[test]
fn every_method_round_trips() {
    for method in methods() {
        let (adapter, meta, files) = files(method);
        let (again, meta_again) = read(&files, &tiny_config()).unwrap();
        assert_eq!((again, meta_again), (adapter, meta));
    }
}

#[test]
fn every_registered_method_comes_back_as_it_was() {
    for info in METHODS {
        let size = info.size.map_or(Settings::new(), |size| Settings::new().with(size, 2));
        let method = (info.build)(&size).unwrap();
        // Some methods keep another one of a run.
        let kept = method.finished_method().unwrap_or(method);
        let (adapter, meta, files) = files(kept);
        let (again, meta_again) = read(&files, &tiny_config()).unwrap();
        assert_eq!((again, meta_again), (adapter, meta), "{}", info.name);
    }
}

#[test]
fn unexpected_tensors_are_reported() {
    for method in methods() {
        let kind = method.name();
        let (_, _, files) = files(method);
        let more =
            with_tensors(&files, |tensors| tensors.push(("stray".into(), vec![1], vec![1.0])));
        assert!(fault(&more).contains("`stray` would be unused"), "{kind}: {}", fault(&more));
        let less = with_tensors(&files, |tensors| drop(tensors.remove(0)));
        let text = fault(&less);
        assert!(text.contains("is missing") || text.contains("no score head"), "{kind}: {text}");
        let other = with_tensors(&files, |tensors| {
            tensors[0].1.push(2);
            tensors[0].2 = vec![0.0; 2 * tensors[0].2.len()];
        });
        assert!(fault(&other).contains("has shape"), "{kind}: {}", fault(&other));
        let unknown = with_setting(&files, "gate", Some(json!(true)));
        assert!(fault(&unknown).contains("`gate`"), "{kind}: {}", fault(&unknown));
    }
}

#[test]
fn invalid_settings_are_reported() {
    let (_, _, houlsby) = files(Houlsby { width: 5 }.into());
    let (_, _, full) = files(Full.into());
    let (_, _, prefix) = files(Prefix { length: 3 }.into());
    let (_, _, dora) = files(Dora(lora_of_rank_2()).into());
    let (_, _, lora) = files(lora_of_rank_2().into());
    for (files, key, value, expected) in [
        (&dora, "use_dora", Some(json!(false)), "lora_magnitude_vector` would be unused"),
        (&lora, "use_dora", Some(json!(true)), "lora_magnitude_vector` is missing"),
        (&houlsby, "width", None, "`width` is missing"),
        (&houlsby, "lorb_method", Some(json!("adapter")), "is not a method"),
        (&full, "lorb_method", Some(json!("lora")), "PEFT's format"),
        (&full, "width", Some(json!(2)), "has no width"),
        (&prefix, "prefix_projection", Some(json!(true)), "without projection"),
        (&prefix, "num_virtual_tokens", None, "`num_virtual_tokens` is missing"),
        (&prefix, "token_dim", Some(json!(9)), "requires 8"),
        (&prefix, "peft_type", Some(json!("IA3")), "peft_type"),
    ] {
        let text = fault(&with_setting(files, key, value));
        assert!(text.contains(expected), "{key}: {text}");
    }
}
