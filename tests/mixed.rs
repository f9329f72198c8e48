//! Mixed precision on all-MiniLM-L6-v2: how far scores and gradients of a batch are from those in f32, and from those with
//! the same weights and f32 products. Prints the table of docs/PERFORMANCE.md:
//!
//!     cargo test --release --test mixed -- --nocapture

mod common;

use std::fs::File;
use std::io::{BufReader, Read};

use burn::tensor::{Device, Tensor};
use flate2::read::MultiGzDecoder;
use lorb::device::{DeviceChoice, DeviceError, select_unprobed};
use lorb::methods::LoraConfig;
use lorb::model::{Adapter, Encoder, Method, ModelError, Scorer, Target, TrainableTensors};
use lorb::nbest::{JsonLines, Utterance};
use lorb::ops::Precision;
use lorb::train::{Pass, TrainConfig, TrainData, TrainedModel};

/// Lists of the batch.
const LISTS: usize = 8;

/// The largest difference of scores that rounding to f16 explains, of the spread of the scores.
const SCORES: f64 = 2e-2;

/// The same for a gradient, of its norm.
const GRADIENT: f64 = 2e-2;

fn lists() -> Vec<Utterance> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/assistant/test.jsonl.gz");
    let mut text = Vec::new();
    let file = File::open(path).expect("a sample");
    MultiGzDecoder::new(BufReader::new(file)).read_to_end(&mut text).expect("gzip");
    let all = JsonLines::new(text.as_slice(), "test.jsonl").map(|list| list.expect("a list"));
    all.take(LISTS).collect()
}

/// Scores and gradient of a batch.
struct Results {
    scores: Vec<f64>,
    gradient: Vec<f64>,
}

fn results(precision: Precision, device: &Device) -> Result<Results, ModelError> {
    let Some(case) = common::minilm() else { return Ok(Results::none()) };
    let mut base = case.base();
    let encoder = Encoder::with_precision(&base.config, &mut base.weights, precision, device)?;
    let lora = LoraConfig { rank: 8, targets: Target::ALL.into(), ..LoraConfig::default() };
    let mut adapter = Adapter::init(&base.config, lora, 5).expect("an adapter");
    // B starts at 0, where the gradient of A is 0.
    for (i, number) in adapter.parameters.iter_mut().enumerate() {
        *number += (i * 37 % 101) as f32 * 2e-4 - 0.01;
    }
    let (lists, config) = (lists(), TrainConfig::default());
    let texts: Vec<Vec<&str>> =
        lists.iter().map(|u| u.hypotheses.iter().map(|h| h.text.as_str()).collect()).collect();
    let trainable = TrainableTensors::new(&base.config, &adapter, device);
    let scorer = Scorer::new(&encoder, &trainable, &base.tokenizer);
    let scored = pollster::block_on(scorer.score(&texts, |_| ()))?;
    let data = TrainData::prepare(&lists, &base.tokenizer, &config).expect("lists");
    let method: &Method = &adapter.method;
    let model = TrainedModel { encoder: &encoder, base: &base.config, method, config: &config };
    let pass = Pass { model, data: &data };
    let all: Vec<usize> = (0..data.lists.len()).collect();
    let parameters = Tensor::from_floats(adapter.parameters.as_slice(), device);
    let parts = pass.run(&parameters, &all, all.len(), None, None)?;
    let gradient: Vec<f32> = parts.gradient.into_data().try_into_vec().expect("f32");
    Ok(Results {
        scores: scored.lm.into_iter().flatten().collect(),
        gradient: gradient.into_iter().map(f64::from).collect(),
    })
}

impl Results {
    fn none() -> Self {
        Self { scores: Vec::new(), gradient: Vec::new() }
    }

    /// Largest and mean difference of the scores, of the spread of `of`, and that of the gradient, of its norm.
    fn off(&self, of: &Self) -> [f64; 3] {
        let count = of.scores.len() as f64;
        let mean = of.scores.iter().sum::<f64>() / count;
        let spread = of.scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / count;
        let spread = spread.sqrt();
        let differences = || self.scores.iter().zip(&of.scores).map(|(a, b)| (a - b).abs());
        let norm =
            |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let gradient = norm(&mut self.gradient.iter().zip(&of.gradient).map(|(a, b)| a - b));
        [
            differences().fold(0.0, f64::max) / spread,
            differences().sum::<f64>() / count / spread,
            gradient / norm(&mut of.gradient.iter().copied()),
        ]
    }
}

#[test]
fn a_batch_differs_from_f32_by_rounding() {
    let selected = match select_unprobed(DeviceChoice::Software) {
        Ok(selected) => selected,
        Err(DeviceError::NoAdapter { .. }) => {
            return common::gpu::not_run("no software adapter");
        }
        Err(error) => panic!("{error}"),
    };
    let device = &selected.device;
    if Precision::Mixed.check(device).is_err() {
        return common::gpu::not_run("the software adapter has no f16 in shaders");
    }
    let cpu = common::cpu();
    let of = |precision, device| results(precision, device).expect("a valid batch");
    let full = of(Precision::F32, &cpu);
    if full.scores.is_empty() {
        return;
    }
    let [f16, mixed] = [Precision::F16, Precision::Mixed].map(|precision| of(precision, device));
    println!("| compared | scores, largest | scores, mean | gradient |\n|---|---:|---:|---:|");
    for (what, one, other) in [
        ("f16 with f32", &f16, &full),
        ("mixed with f32", &mixed, &full),
        ("mixed with f16", &mixed, &f16),
    ] {
        let [most, mean, gradient] = one.off(other);
        println!("| {what} | {most:.1e} | {mean:.1e} | {gradient:.1e} |");
        assert!(most > 0.0 && most < SCORES, "{what}: scores differ by {most}");
        assert!(gradient > 0.0 && gradient < GRADIENT, "{what}: gradients differ by {gradient}");
    }
}

#[test]
fn the_cpu_path_does_not_compute_in_mixed_precision() {
    if common::minilm().is_some() {
        let error = results(Precision::Mixed, &common::cpu()).err().expect("refused");
        assert!(matches!(error, ModelError::Precision(_)), "{error}");
    }
}
