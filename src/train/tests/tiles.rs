//! Measured tiles in checkpoints.

use super::tiny::{Setup, base, lists};
use crate::model::Encoder;
use crate::ops::wgsl::{DeviceTiles, name_adapter, tiles_of, use_tiles};
use crate::test_gpu::separate;
use crate::train::{Message, TrainConfig, WarningKind};

/// A choice for a product of the tiny base.
fn choices(adapter: &str) -> DeviceTiles {
    let tiles =
        r#"[{"product":"linear_f32","rows":64,"inner":32,"columns":96,"tile":"32x64/128"}]"#;
    DeviceTiles { adapter: adapter.to_owned(), tiles: serde_json::from_str(tiles).unwrap() }
}

#[test]
fn a_resumed_run_uses_the_tiles_of_its_checkpoint() {
    let (Some((first, _)), Some((second, _)), Some((other, _))) =
        (separate(), separate(), separate())
    else {
        return;
    };
    name_adapter(&first, "one");
    name_adapter(&second, "one");
    name_adapter(&other, "another");
    assert!(use_tiles(&first, choices("one")));
    let setup = |device| {
        let config = TrainConfig { batch_tokens: 120, epochs: 1, ..TrainConfig::default() };
        let mut setup = Setup::new(lists(12, 1), Vec::new(), config);
        let mut base = base();
        setup.encoder = Encoder::new(&base.config, &mut base.weights, device).unwrap();
        setup
    };
    let mut trainer = setup(&first).trainer().unwrap();
    while trainer.step() < 1 {
        pollster::block_on(trainer.next()).unwrap();
    }
    let checkpoint = pollster::block_on(trainer.checkpoint()).unwrap();
    let warnings = |device| {
        let mut resumed = setup(device).resume(&checkpoint).unwrap();
        let mut found = Vec::new();
        while let Some(message) = pollster::block_on(resumed.next()).unwrap() {
            if let Message::Warning { kind: WarningKind::OtherTiles, text } = message {
                found.push(text);
            }
        }
        found
    };
    assert_eq!(warnings(&second), Vec::<String>::new());
    assert_eq!(tiles_of(&second), Some(choices("one")));
    let warned = warnings(&other);
    assert_eq!(warned.len(), 1);
    assert!(warned[0].contains("another device (one)"), "{warned:?}");
    assert!(tiles_of(&other).unwrap().tiles.is_empty());
}
