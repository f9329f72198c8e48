//! Adapters as PEFT writes them, of kinds that LoRB does not write, score as in PEFT: modules with their own rank and alpha,
//! AdaLoRA trained to its end, EVA, and a head without bias; and adapters that are combined.

mod common;

use lorb::adapter::{self, AdapterFiles, Combination, Weighted, combine};
use lorb::nbest::{Hypothesis, Utterance};
use lorb::rescorer::{Options, Rescorer};

/// Tolerance for scores, as for the other methods.
const SCORE: f64 = 1e-4;

#[test]
fn adapters_of_every_kind_score_as_in_peft() {
    let golden = common::json("peft/scores.json");
    let texts = golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    let hypotheses = texts.map(|text| Hypothesis::new(text, None)).collect();
    let list = [Utterance::new("texts", None, hypotheses)];
    let kinds = golden["scores"].as_object().unwrap();
    assert!(kinds.len() >= 6);
    for (kind, expected) in kinds {
        let base = common::tiny().base();
        let file = |name: &str| common::read(format!("peft/{kind}/{name}"));
        let files = AdapterFiles {
            config: file("adapter_config.json"),
            weights: file("adapter_model.safetensors"),
        };
        let score = |files: &AdapterFiles| {
            let (adapter, meta) =
                adapter::read(files, &base.config).unwrap_or_else(|e| panic!("{kind}: {e}"));
            let written = adapter::write(&adapter, &meta).unwrap();
            let mut rescorer = Rescorer::new(base.clone(), &common::cpu()).unwrap();
            rescorer.add_adapter("it", adapter, meta).unwrap();
            (rescorer.score(&list, Options::adapter("it")).unwrap().lm.concat(), written)
        };
        let (found, written) = score(&files);
        let (again, _) = score(&written);
        let expected: Vec<f64> =
            expected.as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
        assert_eq!(found.len(), expected.len());
        for (at, expected) in expected.iter().enumerate() {
            assert!((found[at] - expected).abs() < SCORE, "{kind} {at}: {} {expected}", found[at]);
            // Written by LoRB, with one rank and one alpha.
            assert!(
                (again[at] - found[at]).abs() < 1e-5,
                "{kind} {at}: {} {}",
                again[at],
                found[at]
            );
        }
        let distinct = expected.iter().map(|score| (score * 1e3) as i64);
        assert!(distinct.collect::<std::collections::BTreeSet<_>>().len() > 2, "{kind}");
    }
}

#[test]
fn combined_adapters_score_as_those_of_add_weighted_adapter() {
    let golden = common::json("combined/scores.json");
    let texts = golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    let hypotheses = texts.map(|text| Hypothesis::new(text, None)).collect();
    let list = [Utterance::new("texts", None, hypotheses)];
    let base = common::tiny().base();
    let read = |name: &str| {
        let file = |file: &str| common::read(format!("combined/{name}/{file}"));
        let files = AdapterFiles {
            config: file("adapter_config.json"),
            weights: file("adapter_model.safetensors"),
        };
        adapter::read(&files, &base.config).unwrap()
    };
    let adapters = ["one", "two"].map(read);
    let weights = [0, 1].map(|at| golden["weights"][at].as_f64().unwrap() as f32);
    let parts = [0, 1].map(|at| {
        let (adapter, meta) = &adapters[at];
        Weighted { name: "an adapter", adapter, meta, weight: weights[at] }
    });
    for how in [Combination::Cat, Combination::Linear, Combination::Svd(None)] {
        let (adapter, meta) = combine(&base.config, &parts, how).unwrap();
        let mut rescorer = Rescorer::new(base.clone(), &common::cpu()).unwrap();
        rescorer.add_adapter("it", adapter, meta).unwrap();
        let found = rescorer.score(&list, Options::adapter("it")).unwrap().lm.concat();
        let expected = golden["scores"][how.to_string()].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            let expected = expected.as_f64().unwrap();
            assert!((found - expected).abs() < SCORE, "{how}: {found} {expected}");
        }
    }
    let of = |how: &str| golden["scores"][how].to_string();
    assert!(of("cat") != of("linear") && of("cat") != of("svd"), "the combinations differ");
}
