//! The rescoring model: a frozen encoder with low-rank terms, and a score head on `[CLS]`.
//!
//! - `batch`: token sequences end to end, without padding;
//! - `method`, `lora`: what is trained of a base, or beside it;
//! - `budget`: the largest setting of a method within a part of the base's parameters;
//! - `reduce`: low-rank terms of fewer ranks;
//! - `layout`: where each trainable number lies;
//! - `trainable`: the trainable tensors, views of the flat parameters;
//! - `encoder`: the forward pass;
//! - `scorer`: texts in, scores out;
//! - `masked`: pseudo-log-likelihood by the base's own head;
//! - `fault`: how a device fails, and the readings that notice;
//! - `pause`: where a browser lets others run.

mod batch;
mod budget;
mod encoder;
mod error;
mod fault;
mod layout;
mod lora;
mod masked;
mod method;
#[cfg(target_family = "wasm")]
mod pause;
mod reduce;
mod scorer;
mod trainable;

pub use batch::PackedBatch;
pub use budget::base_parameters;
pub use encoder::{Encoder, Forward, Stages};
pub use error::ModelError;
pub use fault::{DeviceFault, FaultKind, fault_behind, watch_faults};
pub(crate) use fault::{guarded, read};
pub use layout::{Adapter, Layout, SCORE_HEAD, Slot, SlotKind};
pub use lora::{LoraConfig, LoraVariant, Target};
pub use masked::{MaskedHead, MaskedScorer, MaskedScores};
pub use method::{Method, MethodKind};
#[cfg(target_family = "wasm")]
pub use pause::set_pause;
pub(crate) use reduce::reduce;
pub use scorer::{
    SCORING_BATCH_TOKENS, Scored, Scorer, Sequences, embed_sequences, score_sequences,
};
pub use trainable::TrainableTensors;
