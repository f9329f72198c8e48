//! Device failures during a run: errors and saved state.

use burn::tensor::wgpu::wgpu;
use burn::tensor::{Device, Tensor};

use super::tiny::{Setup, base, finish, lists};
use crate::model::{Encoder, FaultKind, ModelError, TrainableTensors, watch_faults};
use crate::remedy::Remedy;
use crate::test_gpu::separate;
use crate::train::{Message, TrainConfig, TrainError};

/// A separate device with fault detection, and the handle to destroy it.
fn own_device() -> Option<(Device, wgpu::Device)> {
    separate().inspect(|(device, handle)| watch_faults(device, handle))
}

fn setup(device: &Device) -> Setup {
    let config = TrainConfig {
        batch_tokens: 120,
        lr: 3e-3,
        epochs: 3,
        evals_per_epoch: 1,
        ..TrainConfig::default()
    };
    let mut setup = Setup::new(lists(30, 1), lists(8, 2), config);
    let mut base = base();
    setup.encoder = Encoder::new(&base.config, &mut base.weights, device).unwrap();
    setup
}

#[test]
fn a_run_that_loses_its_device_continues_from_the_saved_state() {
    let (Some((doomed, handle)), Some((second, _))) = (own_device(), own_device()) else { return };
    let straight = setup(&second);
    let mut trainer = straight.trainer().unwrap();
    let messages = finish(&mut trainer);
    let expected = pollster::block_on(trainer.parameters()).unwrap();

    let setup = setup(&doomed);
    let mut trainer = setup.trainer().unwrap();
    assert!(trainer.steps() > 20, "{}", trainer.steps());
    while trainer.step() < 19 {
        pollster::block_on(trainer.next()).unwrap().unwrap();
    }
    handle.destroy();
    let error = loop {
        match pollster::block_on(trainer.next()) {
            Ok(message) => assert!(message.is_some(), "the run ended on a lost device"),
            Err(error) => break error,
        }
    };
    let TrainError::Device { fault, kept: 16 } = &error else { panic!("{error}") };
    assert_eq!(fault.kind, FaultKind::Lost, "{error}");
    assert!(error.to_string().ends_with("the state of step 16 is saved in memory"), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    assert_eq!(trainer.kept_step(), 16);
    let again = pollster::block_on(trainer.next()).unwrap_err();
    assert_eq!(again, error, "it stays lost");
    assert!(matches!(
        pollster::block_on(trainer.checkpoint()).unwrap_err(),
        TrainError::Device { kept: 16, .. }
    ));
    // The best adapter so far needs no device.
    assert!(pollster::block_on(trainer.best()).unwrap().1.is_some());

    let mut resumed = straight.resume(&trainer.kept().unwrap()).unwrap();
    let rest = finish(&mut resumed);
    assert!(matches!(rest[0], Message::Started { done: 16, .. }));
    let after = messages.iter().position(|m| matches!(m, Message::Step { step: 16, .. })).unwrap();
    assert_eq!(rest[1..], messages[after + 1..]);
    assert!(pollster::block_on(resumed.parameters()).unwrap() == expected);
}

#[test]
fn a_result_that_a_device_cannot_hold_is_a_typed_error() {
    let Some((device, _)) = own_device() else { return };
    // More than any device allocates for one tensor, and never written to.
    let read = crate::model::read(Tensor::zeros([1usize << 40], &device));
    let error = pollster::block_on(read).unwrap_err();
    let ModelError::Device(fault) = &error else { panic!("{error}") };
    assert!(matches!(fault.kind, FaultKind::Limit | FaultKind::OutOfMemory), "{fault:?}");
}

#[test]
fn an_error_outside_a_call_fails_the_next_read_back() {
    let Some((device, handle)) = own_device() else { return };
    let setup = setup(&device);
    let inputs = setup.inputs();
    let trainable = TrainableTensors::new(&setup.base.config, &inputs.adapter, &device);
    let score = || {
        let batch = [&[1u32, 5, 2][..]].into_iter().collect();
        let scores = setup.encoder.forward(&batch, &trainable, None).unwrap().scores;
        pollster::block_on(crate::model::read(scores))
    };
    score().unwrap();
    // Larger than the device allows: wgpu calls its error handler, which unwinds.
    let size = handle.limits().max_buffer_size + 4;
    let create = || {
        handle.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        })
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(create)).unwrap_err();
    let error = score().unwrap_err();
    let ModelError::Device(fault) = &error else { panic!("{error}") };
    assert_eq!(fault.kind, FaultKind::Limit, "{error}");
    assert_eq!(fault.remedies(), [Remedy::SmallerBatches, Remedy::UseCpu]);
}
