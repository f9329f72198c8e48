//! Complete runs: messages, endings, and learning.

use super::tiny::{Setup, finish, lists, lora};
use crate::methods::{LORA_A, LoraConfig, RankReduction};
use crate::train::{Decay, Message, Objective, TrainConfig, TrainError, Trainer, WarningKind};

fn config() -> TrainConfig {
    TrainConfig { batch_tokens: 150, lr: 3e-3, epochs: 4, ..TrainConfig::default() }
}

fn steps(messages: &[Message]) -> Vec<(usize, f64, usize)> {
    let step = |m: &Message| match m {
        Message::Step { step, loss, utterances, .. } => Some((*step, *loss, *utterances)),
        _ => None,
    };
    messages.iter().filter_map(step).collect()
}

fn evaluations(messages: &[Message]) -> Vec<(usize, f64, bool)> {
    let evaluated = |m: &Message| match m {
        Message::Evaluated { step, wer, best, .. } => Some((*step, *wer, *best)),
        _ => None,
    };
    messages.iter().filter_map(evaluated).collect()
}

#[test]
fn a_run_learns_and_sends_messages_in_order() {
    let setup = Setup::new(lists(60, 1), lists(40, 2), config());
    let mut trainer = setup.trainer().unwrap();
    let messages = finish(&mut trainer);
    let Message::Started {
        utterances: 60,
        usable,
        steps: all,
        done: 0,
        trainable,
        base_parameters,
        ..
    } = messages[0]
    else {
        panic!("{:?}", messages[0]);
    };
    assert_eq!(trainable, setup.inputs().adapter.parameters.len());
    // Embeddings, three layers and nothing else: counted by hand from config.json.
    assert_eq!(
        base_parameters,
        32 * (217 + 64 + 2 + 2) + 3 * (4 * 32 * 33 + 2 * 32 * 64 + 64 + 32 + 4 * 32)
    );
    let done = steps(&messages);
    assert_eq!(done.iter().map(|s| s.0).collect::<Vec<_>>(), (1..=all).collect::<Vec<_>>());
    assert_eq!(done.iter().map(|s| s.2).sum::<usize>(), 4 * usable);
    let mean =
        |part: &[(usize, f64, usize)]| part.iter().map(|s| s.1).sum::<f64>() / part.len() as f64;
    let quarter = all / 4;
    let (before, after) = (mean(&done[..quarter]), mean(&done[all - quarter..]));
    assert!(after < before - 0.1, "loss {before} to {after}");
    let evaluated = evaluations(&messages);
    assert_eq!(evaluated.len(), 8);
    assert_eq!(evaluated.last().unwrap().0, all, "the last evaluation follows the last step");
    let best = evaluated.iter().map(|e| e.1).fold(f64::INFINITY, f64::min);
    let Message::Finished { steps, best_step, best_wer, stopped_early: false, .. } =
        messages[messages.len() - 1]
    else {
        panic!("{:?}", messages.last());
    };
    assert_eq!((steps, best_wer), (all, Some(best)));
    assert_eq!(best_step, evaluated.iter().find(|e| e.1 == best).map(|e| e.0));
    let Message::Evaluated { wer_first, wer_oracle, .. } =
        messages.iter().find(|m| matches!(m, Message::Evaluated { .. })).unwrap()
    else {
        unreachable!()
    };
    assert!(best < *wer_first && *wer_oracle <= best, "{wer_oracle} {best} {wer_first}");
    assert_eq!(pollster::block_on(trainer.next()).unwrap(), None);
    let (adapter, weights) = pollster::block_on(trainer.best()).unwrap();
    assert!(weights.unwrap().beta > 0.0);
    assert_ne!(adapter.parameters, setup.inputs().adapter.parameters);
}

#[test]
fn accumulated_batches_equal_one_large_batch() {
    let whole =
        TrainConfig { batch_tokens: 1_000_000, epochs: 2, decay: Decay::Constant, ..config() };
    let parts = TrainConfig { batch_tokens: 100, accumulate: 1000, ..whole.clone() };
    let run = |config: TrainConfig| {
        let mut trainer = Setup::new(lists(30, 3), vec![], config).trainer().unwrap();
        let messages = finish(&mut trainer);
        (messages, pollster::block_on(trainer.parameters()).unwrap())
    };
    let ((a, one), (b, many)) = (run(whole), run(parts));
    assert_eq!(steps(&a).len(), 2);
    assert!(b.iter().filter(|m| matches!(m, Message::Batch { step: 1, .. })).count() >= 3);
    for (x, y) in steps(&a).iter().zip(steps(&b)) {
        assert!((x.1 - y.1).abs() < 1e-5 && x.2 == y.2, "{x:?} {y:?}");
    }
    // Skip the head's bias: its gradient is rounding error, and AdamW follows its sign.
    let off =
        one.iter().zip(&many).take(one.len() - 1).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
    assert!(off < 1e-4, "{off}");
}

#[test]
fn patience_ends_a_run_early() {
    // A learning rate this low changes no choice, so no evaluation is better than the first.
    let config = TrainConfig { lr: 1e-12, patience: Some(2), ..config() };
    let messages = finish(&mut Setup::new(lists(60, 1), lists(40, 2), config).trainer().unwrap());
    assert_eq!(
        evaluations(&messages).iter().map(|e| e.2).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(matches!(messages.last(), Some(Message::Finished { stopped_early: true, .. })));
}

fn diverge(setup: &Setup, start: f32) -> (TrainError, Trainer) {
    let mut inputs = setup.inputs();
    let head = inputs.adapter.parameters.len() - 33;
    inputs.adapter.parameters[head..].iter_mut().for_each(|p| *p = start);
    let mut trainer = Trainer::new(inputs, setup.config.clone()).unwrap();
    loop {
        match pollster::block_on(trainer.next()) {
            Ok(message) => assert!(message.is_some(), "this run diverges"),
            Err(error) => return (error, trainer),
        }
    }
}

#[test]
fn divergence_is_an_error_that_keeps_the_last_good_step() {
    let config = TrainConfig { clip_norm: 0.0, warmup: 0.0, ..config() };
    // Parameters too large after the first step; scores too large in it.
    for (lr, start, what) in [(1e30, 0.1, "size of the new parameters"), (1e-3, 3e38, "loss")] {
        let setup = Setup::new(lists(60, 1), vec![], TrainConfig { lr, ..config.clone() });
        let (error, mut trainer) = diverge(&setup, start);
        let TrainError::NotFinite { what: named, step: 1, good: 0, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((named, trainer.step()), (what, 0));
        assert!(error.to_string().contains("Lower the learning rate"), "{error}");
        let kept = pollster::block_on(trainer.parameters()).unwrap();
        assert_eq!(kept.last(), Some(&start));
        let again = pollster::block_on(trainer.next()).unwrap_err();
        assert_eq!(again.to_string(), error.to_string(), "it does not continue");
        setup.resume(&pollster::block_on(trainer.checkpoint()).unwrap()).unwrap();
    }
}

#[test]
fn a_run_that_does_not_learn_warns_once() {
    let config = TrainConfig { lr: 1e-12, epochs: 12, ..config() };
    let messages = finish(&mut Setup::new(lists(60, 1), vec![], config).trainer().unwrap());
    let stuck =
        |m: &&Message| matches!(m, Message::Warning { kind: WarningKind::LossDoesNotMove, .. });
    assert_eq!(messages.iter().filter(stuck).count(), 1);
}

#[test]
fn mwed_warns_about_unsuitable_lists() {
    let mut train = lists(20, 1);
    train[0].hypotheses.iter_mut().for_each(|h| h.score = None);
    train[1].hypotheses.iter_mut().for_each(|h| h.score = Some(2.0));
    let kinds = |objective| {
        let config = TrainConfig { objective, epochs: 1, ..config() };
        let messages = finish(&mut Setup::new(train.clone(), vec![], config).trainer().unwrap());
        let kind = |m: &Message| match m {
            Message::Warning { kind, .. } => Some(*kind),
            _ => None,
        };
        messages.iter().filter_map(kind).collect::<Vec<_>>()
    };
    let without = WarningKind::NoDevelopmentSet;
    let expected = [WarningKind::MwedWithoutScores, WarningKind::MwedOrientation, without];
    assert_eq!(kinds(Objective::Mwed), expected);
    assert_eq!(kinds(Objective::Mwer), [without]);
    assert_eq!(kinds(Objective::Listwise), [without]);
}

#[test]
fn only_dropout_and_seed_change_a_run() {
    let run = |dropout: f32, seed: u64| {
        let mut setup =
            Setup::new(lists(30, 1), vec![], TrainConfig { seed, epochs: 1, ..config() });
        setup.lora = lora(dropout);
        let mut trainer = setup.trainer().unwrap();
        finish(&mut trainer);
        pollster::block_on(trainer.parameters()).unwrap()
    };
    assert_eq!(run(0.0, 1), run(0.0, 1));
    assert_eq!(run(0.2, 1), run(0.2, 1));
    assert_ne!(run(0.0, 1), run(0.0, 2));
    assert_ne!(run(0.0, 1), run(0.2, 1));
}

#[test]
fn a_non_finite_initial_adapter_is_rejected() {
    let setup = Setup::new(lists(5, 1), vec![], config());
    let mut inputs = setup.inputs();
    inputs.adapter.parameters[3] = f32::NAN;
    let error = crate::train::Trainer::new(inputs, config()).unwrap_err();
    assert!(error.to_string().starts_with("parameter 3 of the initial adapter"), "{error}");
}

#[test]
fn messages_are_tagged_json() {
    let message = Message::Evaluated {
        step: 4,
        wer: 0.25,
        wer_first: 0.5,
        wer_oracle: 0.125,
        beta: 1.5,
        gamma: 0.0,
        best: true,
    };
    let json = serde_json::to_string(&message).unwrap();
    assert!(json.starts_with(r#"{"type":"evaluated","step":4,"wer":0.25"#), "{json}");
}

#[test]
fn a_reduced_rank_ends_at_its_target_and_the_best_evaluation_is_after() {
    for mixed in [false, true] {
        let config =
            TrainConfig { batch_tokens: 120, epochs: 3, lr: 5e-3, ..TrainConfig::default() };
        let mut setup = Setup::new(lists(50, 1), lists(30, 2), config);
        setup.lora.rank = 6;
        setup.method = if mixed {
            |lora| RankReduction { lora, target_rank: 2, mixed: true }.into()
        } else {
            |lora| RankReduction { lora, target_rank: 2, mixed: false }.into()
        };
        let mut trainer = setup.trainer().unwrap();
        let messages = finish(&mut trainer);
        let reduced = (0.3 * trainer.steps() as f64) as usize;
        let best = messages.iter().filter_map(|message| match message {
            Message::Evaluated { step, best: true, .. } => Some(*step),
            _ => None,
        });
        assert!(best.clone().count() > 0 && best.clone().all(|step| step >= reduced));
        let (adapter, _) = pollster::block_on(trainer.best()).unwrap();
        let lora = adapter.method.downcast::<LoraConfig>().expect("plain LoRA");
        let ranks: Vec<usize> = adapter
            .layout
            .slots()
            .iter()
            .filter(|slot| slot.kind == LORA_A)
            .map(|slot| {
                let rows = adapter.values(slot).chunks_exact(slot.shape[1]);
                rows.filter(|row| row.iter().any(|x| *x != 0.0)).count()
            })
            .collect();
        assert_eq!(ranks.iter().sum::<usize>(), 2 * ranks.len(), "{ranks:?}");
        assert!(mixed || ranks.iter().all(|&rank| rank == 2), "{ranks:?}");
        assert_eq!(lora.rank, ranks.iter().copied().max().unwrap());
    }
}
