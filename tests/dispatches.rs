//! Counts the dispatches of a layer, forward and backward, including burn's own kernels.
//!
//! This test has its own file because the count is process-wide.

#[path = "common/gpu.rs"]
mod gpu;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use burn::tensor::{Device, Tensor};
use cubecl::logging::{LaunchObservation, LaunchObserver};
use lorb::base::BertConfig;
use lorb::bench::{Shape, random_weights};
use lorb::methods::LoraConfig;
use lorb::model::{Adapter, Encoder, PackedBatch, Target, TrainableTensors};
use lorb::ops::wgsl::kernel::ALL;
use lorb::ops::wgsl::{Tuning, dispatches, with_tuning};

/// Maximum dispatches of a layer with LoRA on all six linear layers.
const FORWARD: usize = 10;
const BACKWARD: usize = 19;

/// Kernels launched by burn's runtime, LoRB's and burn's own, by name.
#[derive(Default)]
struct Launches(Mutex<Vec<&'static str>>);

impl LaunchObserver for Launches {
    fn launched(&self, kernel: &'static str) {
        self.0.lock().expect("no panic while counting").push(kernel);
    }
}

impl Launches {
    fn taken(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().expect("no panic while counting"))
    }
}

/// Names with their counts.
fn tally(names: &[&'static str]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(*name).or_default() += 1;
    }
    counts
}

/// The kernels of a forward and a backward pass through a base with this number of layers, on sequences of 2 to
/// `longest` tokens.
fn launches(layers: usize, rank: usize, longest: u32, device: &Device) -> [Vec<&'static str>; 2] {
    // Wide enough that only some products have a fused low-rank term.
    let config =
        BertConfig { num_hidden_layers: layers, vocab_size: 200, ..Shape::MiniLm.config() };
    let mut weights = random_weights(&config, 1).expect("a random base");
    let encoder = Encoder::new(&config, &mut weights, device).expect("an encoder");
    let lora = LoraConfig { rank, targets: Target::ALL.into(), ..LoraConfig::default() };
    let adapter = Adapter::init(&config, lora, 1).expect("an adapter");
    let flat = Tensor::<1>::from_floats(adapter.parameters.as_slice(), device);
    let trainable = TrainableTensors::tracked(&config, &adapter.method, &flat);
    let sequences: Vec<Vec<u32>> = (2..=longest).map(|n| (1..=n).collect()).collect();
    let batch: PackedBatch = sequences.iter().map(Vec::as_slice).collect();
    let (seen, start) = (Arc::new(Launches::default()), dispatches());
    let watching = LaunchObservation::new(seen.clone());
    let out = encoder.forward(&batch, &trainable, None).expect("a valid batch");
    let forward = seen.taken();
    let gradient = trainable.gradient(&out.scores.sum().backward());
    let backward = seen.taken();
    drop(watching);
    let gradient: Vec<f32> = gradient.into_data().try_into_vec().expect("f32");
    assert!(gradient.iter().any(|value| *value != 0.0));
    // LoRB's own count, which benchmarks report, covers only its own kernels.
    let ours = |names: &[&str]| {
        names.iter().filter(|name| ALL.iter().any(|kernel| kernel.name == **name)).count() as u64
    };
    assert_eq!(dispatches() - start, ours(&forward) + ours(&backward));
    [forward, backward]
}

#[test]
fn a_layer_stays_within_its_dispatches() {
    let Some(device) = gpu::software() else { return };
    for (name, tuning) in [("GPU", Tuning::GPU), ("software", Tuning::SOFTWARE)] {
        // Ranks that allow a fused low-rank term; batches with few and many rows.
        for (rank, longest) in [(1, 8), (1, 20), (8, 8), (8, 20), (16, 8), (16, 20)] {
            let of = |layers| with_tuning(tuning, || launches(layers, rank, longest, &device));
            let (two, three) = (of(2), of(3));
            // A layer has four gradient vectors; six vectors are concatenated per dispatch.
            let of_layer = |pass: usize| three[pass].len() - two[pass].len();
            let (forward, backward) = (of_layer(0), of_layer(1));
            let what = format!("{name}, rank {rank}, lengths to {longest}");
            println!("{what}: {forward} dispatches forward, {backward} backward");
            let [all, back] = [0, 1].map(|pass| tally(&three[pass]));
            assert!((1..=FORWARD).contains(&forward), "{what}: {forward} forward: {all:#?}");
            assert!((1..=BACKWARD).contains(&backward), "{what}: {backward} backward: {back:#?}");
        }
    }
}
