//! The rescoring model: a frozen encoder with low-rank terms, and a score head on `[CLS]`.
//!
//! - `batch`: packed token sequences, without padding;
//! - `method`, `hook`: the interface of a tuning method, and where it acts;
//! - `target`: the linear layers of an encoder layer;
//! - `layout`, `attach`: where each trainable parameter is, by one walk over the base;
//! - `adapter`: an adapter on the host;
//! - `trainable`: the trainable tensors on a device, views of the flat parameters;
//! - `encoder`: the forward pass;
//! - `scorer`: texts in, scores out;
//! - `masked`: pseudo-log-likelihood from the base's own head;
//! - `fault`: device failures, and read-backs that detect them;
//! - `pause`: yielding to the caller between batches.
//!
//! The tuning methods themselves are in [`crate::methods`].

mod adapter;
mod attach;
mod batch;
mod encoder;
mod error;
mod fault;
mod hook;
mod layout;
mod masked;
mod method;
mod pause;
mod scorer;
mod target;
mod trainable;

pub use adapter::Adapter;
#[cfg(not(target_family = "wasm"))]
pub(crate) use adapter::Random;
pub use batch::{BatchFault, PackedBatch};
#[cfg(not(target_family = "wasm"))]
pub use encoder::merge_into_base;
pub use encoder::{Context, Encoder, Forward, Linear, Stages, WithVirtualTokens};
pub use error::ModelError;
pub use fault::{DeviceFault, FaultKind, fault_behind, watch_faults};
pub(crate) use fault::{ReadBack, guarded, read};
pub use hook::{AttentionHook, LinearHook, StepHook, StepUpdate};
pub use layout::{Initial, Layout, SCORE_HEAD, Slot, SlotKind, Slots, TensorId, base_parameters};
pub use masked::{MaskedHead, MaskedScorer, MaskedScores};
pub use method::{BaseTensor, LinearSite, Method, Part, TuningMethod};
pub use pause::set_pause;
pub use scorer::{
    SCORING_BATCH_TOKENS, Scored, Scorer, Sequences, embed_sequences, score_sequences,
};
pub use target::Target;
pub use trainable::TrainableTensors;
