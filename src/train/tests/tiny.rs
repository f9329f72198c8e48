//! The tiny base, lists to train on, and a driver.

use std::collections::BTreeSet;

use burn::tensor::Device;

use crate::base::{Base, BaseFiles, TokenizerFiles};
use crate::methods::LoraConfig;
use crate::model::{Adapter, Encoder, Method, Target};
use crate::nbest::{Hypothesis, JsonLines, Utterance};
use crate::train::{Message, TrainConfig, TrainError, TrainInputs, Trainer};

pub const CONFIG: &[u8] = include_bytes!("../../../tests/golden/tiny/config.json");
pub const TOKENIZER: &[u8] = include_bytes!("../../../tests/golden/tiny/tokenizer.json");
pub const WEIGHTS: &[u8] = include_bytes!("../../../tests/golden/tiny/model.safetensors");
pub const LISTS: &[u8] = include_bytes!("../../../tests/golden/tiny/lists.jsonl");

pub fn base() -> Base {
    let tokenizer = TokenizerFiles::json(TOKENIZER);
    Base::from_files(BaseFiles { config: CONFIG, tokenizer, weights: WEIGHTS.to_vec() }).unwrap()
}

/// The golden lists, six of them.
pub fn golden_lists() -> Vec<Utterance> {
    JsonLines::new(LISTS, "lists.jsonl").map(Result::unwrap).collect()
}

/// `count` lists of two to six hypotheses. The simulated recogniser replaces up to two words by words about the
/// weather; a model has to learn that these are wrong.
pub fn lists(count: usize, salt: usize) -> Vec<Utterance> {
    let spoken = [
        "turn", "the", "light", "on", "off", "send", "home", "today", "play", "song", "open",
        "door",
    ];
    let heard = ["rain", "sun", "cold", "warm", "weather"];
    (0..count)
        .map(|u| {
            let seed = u * 7 + salt * 13;
            let length = 3 + seed % 5;
            let text = |wrong: usize, salt: usize| {
                let word = |i: usize| match i {
                    i if i < wrong => heard[(seed + salt + 2 * i) % heard.len()],
                    i => spoken[(seed + i * (1 + u % 4)) % spoken.len()],
                };
                (0..length).map(word).collect::<Vec<_>>().join(" ")
            };
            let score = |i: usize| Some(-3.0 - 0.3 * i as f64 - 0.1 * (seed % 4) as f64);
            let hypothesis = |i: usize| Hypothesis::new(text((i + seed) % 3, i), score(i));
            Utterance::new(
                format!("u{u}"),
                Some(text(0, 0)),
                (0..2 + u % 5).map(hypothesis).collect(),
            )
        })
        .collect()
}

pub fn lora(dropout: f32) -> LoraConfig {
    let targets = BTreeSet::from([Target::Query, Target::Value, Target::Output]);
    LoraConfig { rank: 2, alpha: 4.0, dropout, targets, ..LoraConfig::default() }
}

/// The inputs of a run, to build it repeatedly.
pub struct Setup {
    pub base: Base,
    pub encoder: Encoder,
    pub lora: LoraConfig,
    /// The method that has these settings.
    pub method: fn(LoraConfig) -> Method,
    pub train: Vec<Utterance>,
    pub dev: Vec<Utterance>,
    pub config: TrainConfig,
}

impl Setup {
    pub fn new(train: Vec<Utterance>, dev: Vec<Utterance>, config: TrainConfig) -> Self {
        let mut base = base();
        let encoder = Encoder::new(&base.config, &mut base.weights, &Device::flex()).unwrap();
        Self { base, encoder, lora: lora(0.0), method: Method::from, train, dev, config }
    }

    pub fn inputs(&self) -> TrainInputs<'_> {
        TrainInputs {
            encoder: self.encoder.clone(),
            base: &self.base.config,
            base_hash: &self.base.hash,
            tokenizer: &self.base.tokenizer,
            adapter: Adapter::init(&self.base.config, (self.method)(self.lora.clone()), 5).unwrap(),
            train: &self.train,
            dev: &self.dev,
        }
    }

    pub fn trainer(&self) -> Result<Trainer, TrainError> {
        Trainer::new(self.inputs(), self.config.clone())
    }

    pub fn resume(&self, checkpoint: &[u8]) -> Result<Trainer, TrainError> {
        Trainer::resume(self.inputs(), self.config.clone(), checkpoint)
    }
}

pub fn finish(trainer: &mut Trainer) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(message) = pollster::block_on(trainer.next()).unwrap() {
        messages.push(message);
    }
    messages
}
