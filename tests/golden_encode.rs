//! Compares tokens and `[CLS]` vectors with Transformers, on texts of different length.

mod common;

use burn::tensor::Device;
use common::Case;
use lorb::methods::LoraConfig;
use lorb::model::{Adapter, Encoder, PackedBatch, TrainableTensors};

/// Tolerance for `[CLS]` vectors.
const TOLERANCE: f32 = 1e-4;

fn check(case: &Case, device: &Device) {
    let mut base = case.base();
    let encoder = Encoder::new(&base.config, &mut base.weights, device).expect("an encoder");
    // B of a new adapter is zero, so it does not change the base.
    let adapter = Adapter::init(&base.config, LoraConfig::default(), 1).expect("an adapter");
    let trainable = TrainableTensors::new(&base.config, &adapter, device);

    let rows = common::json(format!("{}/encode.json", case.name));
    let mut batch = PackedBatch::new();
    for row in rows.as_array().expect("a list") {
        let text = row["text"].as_str().expect("a text");
        let encoded = base.tokenizer.encode(text).expect("tokens");
        let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).expect("ids");
        assert_eq!(encoded.ids, ids, "{}: tokens of {text:?}", case.name);
        assert_eq!(encoded.truncated, row["truncated"].as_bool().expect("a flag"), "{text:?}");
        batch.push(&encoded.ids);
    }
    let expected =
        common::tensors(format!("{}/encode.safetensors", case.name)).read("cls").unwrap();
    let found = encoder.forward(&batch, &trainable, None).expect("a valid batch").cls;
    assert_eq!(found.dims().to_vec(), expected.shape);
    let found: Vec<f32> = found.into_data().try_into_vec().expect("f32");
    let largest = expected
        .data
        .iter()
        .zip(&found)
        .fold(0.0f32, |largest, (expected, found)| largest.max((expected - found).abs()));
    assert!(largest <= TOLERANCE, "{}: [CLS] differs by up to {largest:e}", case.name);
    println!("{}: [CLS] differs by up to {largest:e}", case.name);
}

#[test]
fn small_bases_on_the_cpu() {
    common::bases().iter().for_each(|case| check(case, &common::cpu()));
}

#[test]
fn small_bases_on_a_software_gpu() {
    common::gpu::software().inspect(|gpu| common::bases().iter().for_each(|case| check(case, gpu)));
}

#[test]
fn minilm_on_the_cpu() {
    common::minilm().inspect(|case| check(case, &common::cpu()));
}

#[test]
fn minilm_on_a_software_gpu() {
    if let (Some(case), Some(gpu)) = (common::minilm(), common::gpu::software()) {
        check(&case, &gpu);
    }
}
