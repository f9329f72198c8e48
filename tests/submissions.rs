//! A slow GPU gets more submissions than a fast one for the same work, with the same results.
//!
//! This test has its own file, because logger and clock belong to the process.

#[path = "common/gpu.rs"]
mod gpu;

use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::Device;
use log::{LevelFilter, Log, Metadata, Record};
use lorb::base::BertConfig;
use lorb::bench::{Shape, random_weights};
use lorb::methods::LoraConfig;
use lorb::model::{Adapter, Encoder, TrainableTensors, score_sequences};
use lorb::ops::wgsl::set_clock;

/// Counts wgpu's submissions by its log.
struct Submissions;

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Log for Submissions {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wgpu_core")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) && record.args().to_string() == "Queue::submit" {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// Microseconds that pass with every look at the clock.
static STEP: AtomicU64 = AtomicU64::new(0);

/// A clock that knows only what the test wants it to measure.
fn clock() -> f64 {
    static TIME: AtomicU64 = AtomicU64::new(0);
    let step = STEP.load(Ordering::Relaxed);
    (TIME.fetch_add(step, Ordering::Relaxed) + step) as f64 / 1e6
}

/// Scores a batch of sequences of 64 tokens, 0.7 GFLOP each, and returns the scores and the submissions.
fn scored(encoder: &Encoder, trainable: &TrainableTensors, count: u32) -> (Vec<f64>, u64) {
    let sequence = |s: u32| (0..64).map(|i| (s * 31 + i * 7) % 200).collect();
    let sequences: Vec<Vec<u32>> = (0..count).map(sequence).collect();
    let before = COUNT.load(Ordering::Relaxed);
    let scores = score_sequences(encoder, trainable, &sequences, 64 * count as usize, |_| {});
    let scores = pollster::block_on(scores).expect("scores");
    (scores, COUNT.load(Ordering::Relaxed) - before)
}

fn model(device: &Device) -> (Encoder, TrainableTensors) {
    let config = BertConfig { num_hidden_layers: 4, vocab_size: 200, ..Shape::MiniLm.config() };
    let mut weights = random_weights(&config, 1).expect("a random base");
    let encoder = Encoder::new(&config, &mut weights, device).expect("an encoder");
    let adapter = Adapter::init(&config, LoraConfig::default(), 1).expect("an adapter");
    let trainable = TrainableTensors::new(&config, &adapter, device);
    (encoder, trainable)
}

#[test]
fn submissions_depend_on_the_speed_of_the_device() {
    let Some((device, _handle)) = gpu::separate() else { return };
    log::set_logger(&Submissions).expect("no other logger");
    log::set_max_level(LevelFilter::Trace);
    set_clock(clock);
    let (encoder, trainable) = model(&device);
    let after = |microseconds: u64| {
        STEP.store(microseconds, Ordering::Relaxed);
        // The rate is learnt by steps, and from 1 GFLOP or more.
        for _ in 0..4 {
            scored(&encoder, &trainable, 2);
        }
        scored(&encoder, &trainable, 8)
    };
    // 1.4 GFLOP in 10 s and in 1 ms. At 10 GFLOP/s, the lowest rate, every 2 GFLOP are submitted.
    let (slow, many) = after(10_000_000);
    let (fast, few) = after(1000);
    println!("{few} submissions of a fast device, {many} of a slow one");
    assert!(few > 0, "the log counts submissions");
    assert!((few + 2..=few + 4).contains(&many), "{few} and {many} submissions");
    assert_eq!(fast, slow);
    assert!(fast.iter().any(|score| *score != fast[0]));
}
