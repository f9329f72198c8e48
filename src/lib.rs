//! LoRB: low-rank adaptation of a frozen BERT that re-ranks the N-best hypotheses of a speech
//! recogniser.
//!
//! Start with [`rescorer`]: it loads a base and adapters, and rescores, evaluates, tunes and trains. The other
//! modules are what it is made of. `lorb`, the program, and the npm package are built on it too.

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
