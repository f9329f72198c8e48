//! How many dispatches a layer takes, forward and backward.
//!
//! Alone in its file: the count is the whole process's.

use burn::tensor::{Device, DeviceKind, Tensor};
use lorb::base::BertConfig;
use lorb::bench::{Shape, random_weights};
use lorb::model::{Adapter, Encoder, Leaves, LoraConfig, PackedBatch, Target};
use lorb::ops::wgsl::dispatches;

/// Most dispatches of a layer with LoRA on all six linear layers.
const FORWARD: u64 = 10;
const BACKWARD: u64 = 20;

/// burn's autodiff adds up the gradients of a tensor that is used twice, one dispatch each: the input
/// of the layer and that of its feed-forward, which are also residuals. These are burn's kernels, which
/// `dispatches` does not see.
const ADDITIONS: u64 = 2;

fn gpu() -> Option<Device> {
    // burn panics where no adapter is found.
    let found = std::panic::catch_unwind(|| {
        let device = Device::wgpu(DeviceKind::Cpu);
        Tensor::<1>::zeros([1], &device).into_data();
        device
    });
    match found {
        Ok(device) => Some(device),
        Err(_) if std::env::var_os("LORB_ALLOW_NO_GPU").is_some() => None,
        Err(_) => panic!("no software GPU; install mesa-vulkan-drivers or set LORB_ALLOW_NO_GPU=1"),
    }
}

/// Dispatches of a training pass forward, and backward, through a base of so many layers.
fn count(layers: usize, rank: usize, device: &Device) -> (u64, u64) {
    // Wide enough that some products have their low-rank term fused and some do not.
    let config =
        BertConfig { num_hidden_layers: layers, vocab_size: 200, ..Shape::MiniLm.config() };
    let mut weights = random_weights(&config, 1).expect("a random base");
    let encoder = Encoder::new(&config, &mut weights, device).expect("an encoder");
    let lora = LoraConfig { rank, targets: Target::ALL.into(), ..LoraConfig::default() };
    let adapter = Adapter::init(&config, lora, 1).expect("an adapter");
    let flat = Tensor::<1>::from_floats(adapter.parameters.as_slice(), device);
    let leaves = Leaves::tracked(&config, &adapter.config, &adapter.layout, &flat);
    let sequences: Vec<Vec<u32>> = (2..9).map(|n| (1..=n).collect()).collect();
    let batch: PackedBatch = sequences.iter().map(Vec::as_slice).collect();
    let start = dispatches();
    let out = encoder.forward(&batch, &leaves, None);
    let forward = dispatches() - start;
    let gradient = leaves.gradient(&out.scores.sum().backward());
    let gradient: Vec<f32> = gradient.into_data().try_into_vec().expect("f32");
    assert!(gradient.iter().any(|value| *value != 0.0));
    (forward, dispatches() - start - forward)
}

#[test]
fn a_layer_stays_within_its_dispatches() {
    let Some(device) = gpu() else { return };
    // Ranks whose low-rank term may be computed with the product.
    for rank in [1, 8, 16] {
        let ((f2, b2), (f3, b3)) = (count(2, rank, &device), count(3, rank, &device));
        // A layer's gradients are four of the vectors that are joined six to a dispatch.
        let (forward, backward) = (f3 - f2, b3 - b2 + ADDITIONS);
        println!("rank {rank}: {forward} dispatches forward, {backward} backward");
        assert!((1..=FORWARD).contains(&forward), "{forward} forward");
        assert!((1..=BACKWARD).contains(&backward), "{backward} backward");
    }
}
