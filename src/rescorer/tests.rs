//! Tests of the rescorer with the tiny base and its golden adapter.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use burn::tensor::Device;

use super::{LEAST_BATCH_TOKENS, Options, Rescorer, RescorerError};
use crate::adapter::{AdapterError, AdapterFiles, AdapterMeta};
use crate::base::{Base, BaseFiles, TokenizerFiles};
use crate::methods::LoraConfig;
use crate::model::{ModelError, SCORING_BATCH_TOKENS};
use crate::nbest::{Hypothesis, JsonLines, Utterance};
use crate::score::{Search, Weights};
use crate::text::{Conventions, Normalize};
use crate::train::{Message, TrainConfig, TrainError};

/// Beta and gamma.
const GAMMA: Search = Search { gamma: true, parts: false };
static WEIGHTS: Weights = Weights::new(1.0, 0.0);
const TOLERANCE: f64 = 1e-4;

fn base() -> Base {
    Base::from_files(BaseFiles {
        config: include_bytes!("../../tests/golden/tiny/config.json"),
        tokenizer: TokenizerFiles::json(include_bytes!("../../tests/golden/tiny/tokenizer.json")),
        weights: include_bytes!("../../tests/golden/tiny/model.safetensors").to_vec(),
    })
    .unwrap()
}

fn files() -> AdapterFiles {
    AdapterFiles {
        config: include_bytes!("../../tests/golden/tiny/adapter/adapter_config.json").to_vec(),
        weights: include_bytes!("../../tests/golden/tiny/adapter/adapter_model.safetensors")
            .to_vec(),
    }
}

fn lists() -> Vec<Utterance> {
    let lines = include_bytes!("../../tests/golden/tiny/lists.jsonl");
    JsonLines::new(lines.as_slice(), "lists").map(Result::unwrap).collect()
}

/// PyTorch's scores of the golden adapter, per list.
fn golden() -> Vec<Vec<f64>> {
    let text = include_str!("../../tests/golden/tiny/scores.json");
    let rows: serde_json::Value = serde_json::from_str(text).unwrap();
    let lm = |row: &serde_json::Value| serde_json::from_value(row["lm"].clone()).unwrap();
    rows.as_array().unwrap().iter().map(lm).collect()
}

/// The golden adapter as `golden`, an untrained one as `new`.
fn rescorer() -> Rescorer {
    let mut rescorer = Rescorer::new(base(), &Device::flex()).unwrap();
    rescorer.read_adapter("golden", &files()).unwrap();
    let adapter = rescorer.new_adapter(LoraConfig::default(), 3).unwrap();
    let meta = rescorer.new_meta();
    rescorer.add_adapter("new", adapter, meta).unwrap();
    rescorer
}

fn close(found: &[Vec<f64>], expected: &[Vec<f64>]) -> bool {
    let same_length = found.len() == expected.len();
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    same_length && pairs.into_iter().all(|(a, b)| (a - b).abs() < TOLERANCE)
}

#[test]
fn every_call_uses_the_adapter_that_it_names() {
    let (rescorer, lists) = (rescorer(), lists());
    let scored = rescorer.score(&lists, Options::adapter("golden")).unwrap();
    assert!(close(&scored.lm, &golden()));
    assert_eq!(scored.truncated_count(), 0);
    let new = rescorer.score(&lists, Options::adapter("new")).unwrap();
    assert!(!close(&new.lm, &golden()));
    let again = rescorer.score(&lists, Options::adapter("golden")).unwrap();
    assert_eq!(again, scored, "no call changes what another computes");
}

#[test]
fn a_merged_adapter_gives_the_same_scores_and_excludes_others() {
    let lists = lists();
    let mut merged = rescorer().merged("golden").unwrap();
    let scored = merged.score(&lists, Options::adapter("golden")).unwrap();
    assert!(close(&scored.lm, &golden()));
    assert_eq!(merged.adapters().count(), 1);
    let unknown = merged.score(&lists, Options::adapter("new")).unwrap_err();
    let loaded = vec!["golden".to_owned()];
    assert_eq!(unknown, RescorerError::UnknownAdapter { name: "new".into(), loaded });
    assert_eq!(merged.read_adapter("other", &files()), Err(RescorerError::Merged));
    assert_eq!(merged.embed(&["a"], Options::first_pass()), Err(RescorerError::Merged));
    let start = merged.new_adapter(LoraConfig::default(), 0).unwrap();
    let run = merged.run(start, &lists, &[], TrainConfig::default(), None);
    assert_eq!(run.err(), Some(RescorerError::Merged));
    assert_eq!(merged.merged("golden").err(), Some(RescorerError::Merged));
}

#[test]
fn results_carry_ids_ranks_and_what_was_truncated() {
    let rescorer = rescorer();
    let long = "turn ".repeat(200);
    let list = Utterance::new(
        "u7",
        None,
        vec![Hypothesis::new("turn off", Some(-9.0)), Hypothesis::new(long, Some(-1.0))],
    );
    let options = Options::adapter("golden").weights(&WEIGHTS);
    let ranked = &rescorer.rescore(std::slice::from_ref(&list), options).unwrap()[0];
    assert_eq!((ranked.id.as_str(), ranked.choice()), ("u7", 1));
    let [first, second] = &ranked.hypotheses[..] else { panic!("two hypotheses") };
    assert_eq!((first.rank, second.rank, first.first), (1, 2, Some(-1.0)));
    assert_eq!((first.truncated, second.truncated), (true, false));
    assert_eq!(first.total, -1.0 + first.lm.unwrap());

    let ranked = &rescorer.rescore(&[list], Options::first_pass()).unwrap()[0];
    assert_eq!((ranked.choice(), ranked.hypotheses[0].lm), (1, None));
}

#[test]
fn weights_come_from_the_call_or_from_tuning() {
    let (mut rescorer, lists) = (rescorer(), lists());
    let options = Options::adapter("golden");
    let missing = RescorerError::NoWeights { adapter: "golden".into() };
    assert_eq!(rescorer.rescore(&lists, options), Err(missing));
    let infinite = Weights::new(f64::INFINITY, 0.0);
    let refused = rescorer.rescore(&lists, options.weights(&infinite));
    assert!(matches!(refused, Err(RescorerError::WeightNotFinite { .. })));

    let tuned = rescorer.tune(&lists, options, Search::default()).unwrap();
    assert_eq!(rescorer.weights(options).unwrap(), Some(tuned.tuned.weights));
    assert_eq!(rescorer.adapter("new").unwrap().meta.weights, None);
    let evaluated = rescorer.evaluate(&lists, options, 0).unwrap();
    let rescored = evaluated.report.rescored.unwrap();
    assert_eq!(rescored.errors, tuned.tuned.errors);
    assert_eq!(evaluated.report.first_pass.errors, tuned.tuned.errors_first);
    assert_eq!(evaluated.choices.len(), lists.len());
    assert_eq!(rescorer.evaluate(&lists, Options::first_pass(), 0).unwrap().report.rescored, None);

    let mut silent = lists;
    silent.iter_mut().for_each(|list| list.reference = None);
    assert_eq!(rescorer.tune(&silent, options, Search::default()), Err(RescorerError::NoReference));
    assert_eq!(
        rescorer.tune(&silent, Options::first_pass(), Search::default()),
        Err(RescorerError::NoAdapter)
    );
}

#[test]
fn the_model_sees_normalised_texts_and_tuning_stores_the_conventions() {
    let (mut rescorer, lists) = (rescorer(), lists());
    let mut capitals = lists.clone();
    for list in &mut capitals {
        list.reference = list.reference.as_ref().map(|reference| reference.to_uppercase());
        list.hypotheses.iter_mut().for_each(|h| h.text = format!(" {}.", h.text.to_uppercase()));
    }
    let plain = rescorer.score(&lists, Options::adapter("golden")).unwrap();
    let basic = Conventions { normalize: Normalize::Basic, ..Conventions::default() };
    let options = Options::adapter("golden").conventions(basic);
    assert_eq!(rescorer.score(&capitals, options).unwrap(), plain);
    let words = |options| rescorer.score_texts(&["TURN OFF!", "turn off"], options).unwrap();
    let [capital, small] = words(options)[..] else { panic!("two scores") };
    assert_eq!(capital, small);

    let expected = rescorer.tune(&lists, Options::adapter("golden"), GAMMA).unwrap().tuned;
    assert_eq!(rescorer.tune(&capitals, options, GAMMA).unwrap().tuned, expected);
    // From now on without naming them.
    assert_eq!(rescorer.adapter("golden").unwrap().meta.conventions, basic);
    let evaluated = rescorer.evaluate(&capitals, Options::adapter("golden"), 0).unwrap();
    assert_eq!(evaluated.report.rescored.unwrap().errors, expected.errors);
    assert_eq!((evaluated.report.conventions, evaluated.report.warnings), (basic, vec![]));
    let ranked = rescorer.rescore(&capitals, Options::adapter("golden")).unwrap();
    assert_eq!(ranked[0].hypotheses[0].text, capitals[0].hypotheses[ranked[0].choice()].text);
}

#[test]
fn an_adapter_round_trips_and_one_of_another_base_is_rejected() {
    let mut rescorer = rescorer();
    rescorer.set_weights("golden", WEIGHTS.clone()).unwrap();
    let written = rescorer.write_adapter("golden").unwrap();
    rescorer.read_adapter("copy", &written).unwrap();
    let [copy, golden] = ["copy", "golden"].map(|name| rescorer.adapter(name).unwrap());
    assert_eq!(copy.adapter.parameters, golden.adapter.parameters);
    assert_eq!(copy.meta.weights.as_ref(), Some(&WEIGHTS));
    assert!(rescorer.remove_adapter("copy") && !rescorer.remove_adapter("copy"));

    let foreign = AdapterMeta { base_hash: Some("0".repeat(64)), ..AdapterMeta::default() };
    let adapter = rescorer.new_adapter(LoraConfig::default(), 0).unwrap();
    let files = crate::adapter::write(&adapter, &foreign).unwrap();
    let refused = rescorer.read_adapter("foreign", &files).unwrap_err();
    assert!(matches!(refused, RescorerError::Adapter(AdapterError::ForeignBase { .. })));
}

#[test]
fn errors_name_the_utterance_and_count_hypotheses_from_one() {
    let mut rescorer = rescorer();
    let mut adapter = rescorer.new_adapter(LoraConfig::default(), 0).unwrap();
    adapter.parameters.fill(f32::NAN);
    rescorer.add_adapter("diverged", adapter, AdapterMeta::default()).unwrap();
    let lists = &lists()[2..4];
    let error = rescorer.score(lists, Options::adapter("diverged")).unwrap_err();
    let RescorerError::Utterance { id, hypothesis, .. } = &error else { panic!("{error}") };
    assert!(lists.iter().any(|list| list.id == *id && *hypothesis < list.hypotheses.len()));
    let text = error.to_string();
    let expected = format!(
        "utterance {id:?}, hypothesis {}: the model returned the score NaN",
        hypothesis + 1
    );
    assert!(text.starts_with(&expected), "{text}");

    let mut train = lists.to_vec();
    train[0].hypotheses[1].score = Some(f64::NAN);
    let start = rescorer.new_adapter(LoraConfig::default(), 0).unwrap();
    let error = rescorer.run(start, &train, &[], TrainConfig::default(), None).unwrap_err();
    let expected = r#"utterance "g3": the first-pass score of hypothesis 2 is NaN"#;
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn progress_counts_hypotheses_and_stops_a_call() {
    let (rescorer, lists) = (rescorer(), lists());
    let seen = RefCell::new(Vec::new());
    let watch = |done| {
        seen.borrow_mut().push(done);
        if seen.borrow().len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let options = Options::adapter("golden").batch_tokens(16).progress(&watch);
    let stopped = rescorer.score(&lists, options);
    assert_eq!(stopped, Err(RescorerError::Model(ModelError::Stopped)));
    assert!(seen.borrow().windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(seen.borrow().len(), 2);
}

#[test]
fn a_trained_adapter_has_its_base_objective_and_weights() {
    let (mut rescorer, lists) = (rescorer(), lists());
    rescorer.set_name(Some("owner/tiny".into()));
    let config = TrainConfig { batch_tokens: 60, epochs: 2, ..TrainConfig::default() };
    let start = || rescorer.new_adapter(LoraConfig::default(), 1).unwrap();
    let mut messages = Vec::new();
    let watch = |message: &Message| {
        messages.push(message.clone());
        ControlFlow::Continue(())
    };
    let trained = rescorer.train(start(), &lists, &lists, config.clone(), watch).unwrap();
    assert!(matches!(messages[0], Message::Started { .. }));
    assert!(matches!(messages.last(), Some(Message::Finished { .. })));
    assert!(trained.evaluated);
    let meta = &trained.meta;
    assert_eq!(meta.base_hash.as_deref(), Some(rescorer.hash()));
    assert_eq!(meta.base_name.as_deref(), Some("owner/tiny"));
    assert_eq!(meta.objective.as_deref(), Some("mwer"));
    assert_eq!(meta.weights, Some(trained.weights));

    let config = TrainConfig { first_scale: Some(0.5), ..config };
    let blind = rescorer.train(start(), &lists, &[], config.clone(), |_| ControlFlow::Continue(()));
    let blind = blind.unwrap();
    assert!(!blind.evaluated);
    assert_eq!(blind.weights, Weights::new(2.0, 0.0), "beta 1 over scale 0.5");
    let stopped = rescorer.train(start(), &lists, &[], config, |_| ControlFlow::Break(()));
    assert_eq!(stopped.err(), Some(ModelError::Stopped.into()));

    rescorer.add_adapter("mine", trained.adapter, trained.meta).unwrap();
    assert!(rescorer.rescore(&lists, Options::adapter("mine")).is_ok());
}

#[test]
fn a_run_resumes_from_its_checkpoint() {
    let (rescorer, lists) = (rescorer(), lists());
    let config = TrainConfig { batch_tokens: 60, epochs: 2, ..TrainConfig::default() };
    let start = || rescorer.new_adapter(LoraConfig::default(), 1).unwrap();
    let run = |checkpoint: Option<&[u8]>| {
        rescorer.run(start(), &lists, &lists, config.clone(), checkpoint)
    };
    let finish = |mut run: super::Run| {
        while pollster::block_on(run.trainer.next()).unwrap().is_some() {}
        run.best().unwrap().adapter
    };
    let mut interrupted = run(None).unwrap();
    while interrupted.trainer.step() < 2 {
        pollster::block_on(interrupted.trainer.next()).unwrap();
    }
    let checkpoint = pollster::block_on(interrupted.trainer.checkpoint()).unwrap();
    let resumed = run(Some(&checkpoint)).unwrap();
    assert_eq!(resumed.trainer.step(), 2);
    assert_eq!(finish(resumed), finish(run(None).unwrap()));
    let damaged = run(Some(&checkpoint[..9])).unwrap_err();
    assert!(matches!(damaged, RescorerError::Train(TrainError::Checkpoint(_))), "{damaged}");
}

#[test]
fn equal_texts_embed_equally_and_the_bare_base_has_no_masked_head() {
    let rescorer = rescorer();
    let width = rescorer.base().hidden_size;
    let texts = ["turn off the light", "play", "turn off the light"];
    let rows = rescorer.embed(&texts, Options::first_pass()).unwrap();
    assert_eq!(rows.len(), texts.len() * width);
    assert_eq!(rows[..width], rows[2 * width..]);
    assert_ne!(rows[..width], rows[width..2 * width]);
    assert_ne!(rescorer.embed(&texts, Options::adapter("golden")).unwrap(), rows);
    let scores = rescorer.score_texts(&texts, Options::adapter("golden")).unwrap();
    assert_eq!(scores[0], scores[2]);
    let go_on = |_, _| ControlFlow::Continue(());
    let refused = rescorer.pseudo_log_likelihood(&texts, Options::adapter("golden"), go_on);
    assert_eq!(refused, Err(RescorerError::Model(ModelError::NoMaskedHead)));
    pollster::block_on(rescorer.warm_up_async(None)).unwrap();
    pollster::block_on(rescorer.warm_up_async(Some("golden"))).unwrap();
}

#[test]
fn batches_suit_the_speed_of_the_device() {
    let rescorer = rescorer();
    // The synthetic list has 120 tokens and runs on two of the three layers.
    assert_eq!(rescorer.base().num_hidden_layers, 3);
    let measured = |times: &[f64]| {
        let (calls, left) = (Cell::new(0), Cell::new(times));
        let clock = || {
            calls.set(calls.get() + 1);
            let (first, rest) = left.get().split_first().expect("no more calls");
            left.set(rest);
            *first
        };
        let tokens = rescorer.suitable_batch_tokens_async(Some("golden"), clock);
        let tokens = pollster::block_on(tokens).unwrap();
        assert_eq!(calls.get(), times.len());
        tokens
    };
    // 0.1 s for 120 tokens, 0.15 s with all layers: 240 tokens in 0.3 s.
    assert_eq!(measured(&[5.0, 5.1]), 240);
    // Of 0.01 s, 0.008 s are not the pass itself, which nine passes show.
    assert_eq!(measured(&[5.0, 5.01, 6.0, 6.058]), SCORING_BATCH_TOKENS);
    let tokens = measured(&[5.0, 5.04, 6.0, 6.296]);
    assert!((749..=750).contains(&tokens), "{tokens}");
    assert_eq!(measured(&[5.0, 15.0]), LEAST_BATCH_TOKENS);
    // A coarse clock.
    for times in [[5.0, 5.0, 5.0, 5.0], [5.0, 5.01, 5.01, 5.01]] {
        assert_eq!(measured(&times), SCORING_BATCH_TOKENS);
    }
    let unknown = pollster::block_on(rescorer.suitable_batch_tokens_async(Some("x"), || 0.0));
    assert!(matches!(unknown, Err(RescorerError::UnknownAdapter { .. })));
}
