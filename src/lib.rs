//! LoRB: low-rank adaptation of a frozen BERT that re-ranks the N-best hypotheses of a speech
//! recogniser.

pub mod adapter;
pub mod base;
pub mod model;
pub mod nbest;
pub mod ops;
pub mod score;
