//! LoRB re-ranks the N-best hypotheses of a speech recogniser with a frozen BERT and small adapters, and trains such
//! adapters, on a GPU, on the CPU and in the browser.
//!
//! [`rescorer::Rescorer`] does what the commands of the program `lorb` do:
//!
//! ```
//! use std::fs;
//!
//! use lorb::adapter::AdapterFiles;
//! use lorb::base::{Base, BaseFiles, TokenizerFiles};
//! use lorb::device::{DeviceChoice, select};
//! use lorb::nbest::JsonLines;
//! use lorb::rescorer::{Options, Rescorer};
//! use lorb::score::Search;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A pretrained BERT in the layout of Hugging Face, as bytes.
//! let read = |name: &str| fs::read(format!("tests/golden/tiny/{name}"));
//! let base = Base::from_files(BaseFiles {
//!     config: &read("config.json")?,
//!     tokenizer: TokenizerFiles::json(&read("tokenizer.json")?),
//!     weights: read("model.safetensors")?,
//! })?;
//! let mut rescorer = Rescorer::new(base, &select(DeviceChoice::Cpu)?.device)?;
//!
//! // An adapter that LoRB or PEFT trained for this base. Adapters are used by name.
//! rescorer.read_adapter("calls", &AdapterFiles {
//!     config: read("adapter/adapter_config.json")?,
//!     weights: read("adapter/adapter_model.safetensors")?,
//! })?;
//!
//! // One utterance per line: {"id":"u1","ref":"turn it on","nbest":[{"text":"turn it on","score":-3.2}, ...]}
//! let file = read("lists.jsonl")?;
//! let lists: Vec<_> = JsonLines::new(&file[..], "lists.jsonl").collect::<Result<_, _>>()?;
//!
//! // Find the weights of the combination on lists with references, then re-rank.
//! let tuned = rescorer.tune(&lists, Options::adapter("calls"), Search::default())?;
//! let ranked = rescorer.rescore(&lists, Options::adapter("calls"))?;
//! println!("{}: {}", ranked[0].id, ranked[0].hypotheses[0].text);
//! # let _ = tuned;
//! # assert_eq!(ranked.len(), lists.len());
//! # Ok(())
//! # }
//! ```
//!
//! `examples/rescore.rs` and `examples/train.rs` are complete programs.
//!
//! # Modules
//!
//! | module | what |
//! |---|---|
//! | [`rescorer`] | a base with its adapters: rescore, evaluate, tune, train. Start here |
//! | [`nbest`] | N-best lists: types, readers, writer |
//! | [`base`] | pretrained encoders from bytes or a stream |
//! | [`adapter`] | adapters as PEFT directories |
//! | [`score`] | word errors, combination of scores, tuning, confidence intervals |
//! | [`text`] | how texts are compared: normalisation, words or characters |
//! | [`train`] | objectives, settings, the trainer and its messages |
//! | [`methods`] | the tuning methods: LoRA, DoRA, AdaLoRA, prefixes and others |
//! | [`model`] | the encoder, its trainable parts, scoring |
//! | [`ops`] | the operations of the model on CPU and GPU |
//! | [`device`] | GPU, CPU or software adapter; not on wasm |
//! | [`bounds`] | the limits on what LoRB reads |
//! | [`remedy`] | what a user can do about an error |
//! | [`foreign`] | files that are not what they should be |
//! | [`printable`] | text from files, made safe to show |
//! | [`mod@bench`], [`study`] | measuring speed, and comparing methods |
//!
//! # Features
//!
//! - `cli` (default) builds the program: files, network, progress bars. Libraries do not need it:
//!   `default-features = false, features = ["model"]`.
//! - `model` is everything that computes. Without it, only files of bases are read: [`base`] and the modules that it uses.
//! - `tokenizers` adds the tokenizers of other kinds than BERT's own on wasm. Other targets always have them.

#![warn(missing_docs)]
// The library does not print.
#![warn(clippy::disallowed_macros)]
// The model uses parts of `base` that nothing else does.
#![cfg_attr(not(feature = "model"), allow(dead_code))]

#[cfg(feature = "model")]
pub mod adapter;
pub mod base;
#[cfg(feature = "model")]
pub mod bench;
pub mod bounds;
#[cfg(feature = "built-in")]
pub mod built_in;
#[cfg(all(feature = "model", not(target_family = "wasm")))]
pub mod device;
pub mod digest;
#[cfg(all(feature = "model", not(target_family = "wasm")))]
pub mod distill;
pub mod foreign;
#[cfg(feature = "model")]
pub mod methods;
#[cfg(feature = "model")]
pub mod model;
#[cfg(feature = "model")]
pub mod nbest;
#[cfg(feature = "model")]
pub mod ops;
pub mod packed;
#[cfg(feature = "model")]
pub mod peft;
pub mod printable;
pub mod remedy;
#[cfg(feature = "model")]
pub mod rescorer;
#[cfg(feature = "model")]
pub mod score;
#[cfg(feature = "model")]
pub mod study;
#[cfg(all(test, feature = "model"))]
#[path = "../tests/common/gpu.rs"]
mod test_gpu;
#[cfg(feature = "model")]
pub mod text;
#[cfg(feature = "model")]
pub mod train;
