//! A resumed run equals the uninterrupted one; a wrong checkpoint is rejected.

use super::tiny::{Setup, finish, lists, lora};
use crate::methods::{AdaLora, RankReduction};
use crate::model::Target;
use crate::text::{Normalize, Unit};
use crate::train::{CheckpointError, Message, Objective, TrainConfig, TrainError, Trainer};

fn setup() -> Setup {
    let config = TrainConfig {
        batch_tokens: 120,
        accumulate: 3,
        epochs: 3,
        lr: 3e-3,
        weight_decay: 0.01,
        cor_weight: 0.05,
        patience: Some(20),
        ..TrainConfig::default()
    };
    let mut setup = Setup::new(lists(50, 1), lists(30, 2), config);
    setup.lora = lora(0.1);
    setup
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn state(trainer: &mut Trainer) -> (Vec<u32>, Vec<u32>, Vec<u8>) {
    let parameters = pollster::block_on(trainer.parameters()).unwrap();
    let (best, _) = pollster::block_on(trainer.best()).unwrap();
    (bits(&parameters), bits(&best.parameters), pollster::block_on(trainer.checkpoint()).unwrap())
}

#[test]
fn a_run_resumed_after_any_message_equals_the_uninterrupted_run() {
    let mut adalora = setup();
    adalora.method = |lora| AdaLora { lora, target_rank: 1 }.into();
    let mut mixed = setup();
    mixed.lora.rank = 6;
    mixed.method = |lora| RankReduction { lora, target_rank: 2, mixed: true }.into();
    for setup in [setup(), adalora, mixed] {
        resumed_is_straight(&setup);
    }
}

fn resumed_is_straight(setup: &Setup) {
    let mut straight = setup.trainer().unwrap();
    let messages = finish(&mut straight);
    let expected = state(&mut straight);
    assert!(messages.iter().any(|m| matches!(m, Message::Batch { .. })));
    assert!(messages.iter().any(|m| matches!(m, Message::Step { epoch: 3, .. })));
    // Every fourth message keeps the test quick and covers every kind.
    for cut in (1..messages.len()).step_by(4) {
        let mut first = setup.trainer().unwrap();
        for message in &messages[..cut] {
            assert_eq!(pollster::block_on(first.next()).unwrap().as_ref(), Some(message));
        }
        let checkpoint = pollster::block_on(first.checkpoint()).unwrap();
        drop(first);
        let mut second = setup.resume(&checkpoint).unwrap();
        let rest = finish(&mut second);
        assert!(matches!(rest[0], Message::Started { .. }));
        assert_eq!(rest[1..], messages[cut..], "after message {cut}");
        assert!(state(&mut second) == expected, "parameters or state differ after message {cut}");
    }
}

/// A checkpoint from the middle of the run, in the middle of a step.
fn checkpoint(setup: &Setup) -> Vec<u8> {
    let mut trainer = setup.trainer().unwrap();
    while trainer.step() < 4 {
        pollster::block_on(trainer.next()).unwrap().unwrap();
    }
    while !matches!(
        pollster::block_on(trainer.next()).unwrap().unwrap(),
        Message::Batch { batch: 2, .. }
    ) {}
    pollster::block_on(trainer.checkpoint()).unwrap()
}

#[test]
fn a_checkpoint_of_another_run_is_rejected_with_the_difference() {
    let checkpoint = checkpoint(&setup());
    setup().resume(&checkpoint).unwrap();
    type Change = fn(&mut Setup);
    let changes: [(&str, Change); 14] = [
        ("base", |s| s.base.hash = "f00".into()),
        ("LoRA r", |s| s.lora.rank = 3),
        ("LoRA alpha", |s| s.lora.alpha = 5.0),
        ("LoRA targets", |s| s.lora.targets.extend([Target::Key])),
        ("LoRA layers", |s| s.lora.layers = Some(vec![0])),
        ("objective", |s| s.config.objective = Objective::Listwise),
        ("lr", |s| s.config.lr = 1e-3),
        ("epochs", |s| s.config.epochs = 5),
        ("seed", |s| s.config.seed = 1),
        ("batch_tokens", |s| s.config.batch_tokens = 121),
        ("normalize", |s| s.config.normalize = Normalize::Lower),
        ("unit", |s| s.config.unit = Unit::Char),
        ("training data", |s| drop(s.train.pop())),
        ("development data", |s| s.dev.clear()),
    ];
    for (name, change) in changes {
        let mut other = setup();
        change(&mut other);
        let error = other.resume(&checkpoint).unwrap_err();
        let TrainError::Checkpoint(CheckpointError::Mismatch { what, .. }) = &error else {
            panic!("{name}: {error}")
        };
        assert!(what.starts_with(name), "{name}: {error}");
    }
}

#[test]
fn a_damaged_checkpoint_is_rejected() {
    let setup = setup();
    let sound = checkpoint(&setup);
    let refuse = |bytes: &[u8]| match setup.resume(bytes) {
        Err(TrainError::Checkpoint(error)) => error,
        other => panic!("{other:?}"),
    };
    for cut in [0, 7, 8, 100, sound.len() / 2, sound.len() - 1] {
        assert!(matches!(refuse(&sound[..cut]), CheckpointError::Tensor(_)), "{cut}");
    }
    assert!(matches!(refuse(b"not a checkpoint at all"), CheckpointError::Tensor(_)));
    assert!(matches!(refuse(super::tiny::WEIGHTS), CheckpointError::Foreign { .. }));
    let replaced = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = sound.windows(from.len()).position(|window| window == from.as_bytes());
        let at = at.unwrap_or_else(|| panic!("{from} is not in the checkpoint"));
        let mut bytes = sound.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    assert!(matches!(
        refuse(&replaced(r#"version\":3"#, r#"version\":9"#)),
        CheckpointError::Version { found: 9, .. }
    ));
    assert!(matches!(
        refuse(&replaced(r#"\"cursor\""#, r#"\"xursor\""#)),
        CheckpointError::Description(_)
    ));
    for (from, to) in
        [(r#"\"step\":4"#, r#"\"step\":5"#), (r#"accumulated\":2"#, r#"accumulated\":9"#)]
    {
        let error = refuse(&replaced(from, to));
        let counters =
            matches!(error, CheckpointError::Counters(_) | CheckpointError::Length { .. });
        assert!(counters, "{error}");
    }
    let mut poisoned = sound.clone();
    let last = poisoned.len() - 4;
    poisoned[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = refuse(&poisoned);
    assert!(error.to_string().contains("NaN"), "{error}");
}
