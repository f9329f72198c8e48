//! Steps that a GPU's run launches before the numbers of the ones before are on the host.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::tiny::{Setup, base, finish, lists};
use crate::model::Encoder;
use crate::test_gpu::software;
use crate::train::{Message, TrainConfig, TrainError, Trainer};

fn setup(lr: f64) -> Option<Setup> {
    let device = software()?;
    let config = TrainConfig {
        batch_tokens: 120,
        lr,
        epochs: 2,
        evals_per_epoch: 1,
        ..TrainConfig::default()
    };
    let mut setup = Setup::new(lists(24, 1), lists(6, 2), config);
    let mut base = base();
    setup.encoder = Encoder::new(&base.config, &mut base.weights, &device).unwrap();
    Some(setup)
}

fn trainer(setup: &Setup, ahead: usize) -> Trainer {
    let mut trainer = setup.trainer().unwrap();
    trainer.launch_ahead(ahead);
    trainer
}

/// A message with the run's state after it.
type Stage = (Option<Message>, Vec<u8>);

fn stage(trainer: &mut Trainer) -> Stage {
    let message = pollster::block_on(trainer.next()).unwrap();
    (message, pollster::block_on(trainer.checkpoint()).unwrap())
}

fn stages(trainer: &mut Trainer) -> Vec<Stage> {
    let mut all = Vec::new();
    while all.last().is_none_or(|(message, _): &Stage| message.is_some()) {
        all.push(stage(trainer));
    }
    all
}

#[test]
fn messages_and_checkpoints_do_not_depend_on_it() {
    let Some(setup) = setup(3e-3) else { return };
    let expected = stages(&mut trainer(&setup, 0));
    let steps = expected.iter().filter(|(m, _)| matches!(m, Some(Message::Step { .. }))).count();
    assert!(steps > 8, "{steps}");
    for ahead in [1, 3] {
        let found = stages(&mut trainer(&setup, ahead));
        assert_eq!(found.len(), expected.len());
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.0, expected.0, "message {at}");
            assert!(found.1 == expected.1, "the checkpoint after message {at} differs");
        }
    }
    // One step ahead is the default on a GPU.
    assert_eq!(finish(&mut setup.trainer().unwrap()).len() + 1, expected.len());
}

#[test]
fn a_call_whose_future_is_dropped_changes_nothing() {
    let Some(setup) = setup(3e-3) else { return };
    let expected = finish(&mut trainer(&setup, 0));
    let mut trainer = trainer(&setup, 1);
    let (mut messages, mut dropped) = (Vec::new(), 0);
    loop {
        {
            let mut next = pin!(trainer.next());
            match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(Some(message))) => {
                    messages.push(message);
                    continue;
                }
                Poll::Ready(Ok(None)) => break,
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => dropped += 1,
            }
        }
        if let Some(message) = pollster::block_on(trainer.next()).unwrap() {
            messages.push(message);
        }
    }
    assert_eq!(messages, expected);
    assert!(dropped > 0, "no call waited for the device");
}

#[test]
fn a_run_that_diverges_keeps_the_last_good_step() {
    let Some(setup) = setup(1e25) else { return };
    let mut trainer = trainer(&setup, 1);
    let mut good = pollster::block_on(trainer.parameters()).unwrap();
    let error = loop {
        match pollster::block_on(trainer.next()) {
            Ok(_) => good = pollster::block_on(trainer.parameters()).unwrap(),
            Err(error) => break error,
        }
    };
    let TrainError::NotFinite { good: step, .. } = error else { panic!("{error}") };
    assert_eq!(trainer.step(), step);
    assert_eq!(pollster::block_on(trainer.parameters()).unwrap(), good);
    assert!(good.iter().all(|value| value.is_finite()));
    assert_eq!(pollster::block_on(trainer.next()).unwrap_err(), error, "it cannot continue");
}
