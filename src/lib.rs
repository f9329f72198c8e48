//! LoRB: low-rank adaptation of a frozen BERT that re-ranks the N-best hypotheses of a speech
//! recogniser.

#![warn(missing_docs)]

pub mod adapter;
pub mod base;
pub mod bench;
#[cfg(not(target_family = "wasm"))]
pub mod device;
pub mod digest;
pub mod model;
pub mod nbest;
pub mod ops;
pub mod packed;
pub mod remedy;
pub mod rescorer;
pub mod score;
pub mod study;
#[cfg(test)]
#[path = "../tests/common/gpu.rs"]
mod test_gpu;
pub mod train;
