//! Training an adapter on N-best lists.
//!
//! [`Trainer`] is a run: it advances by one [`Message`] at a time, knows neither clock nor files, and
//! can be written down after any message and go on from there.
//!
//! | file | what |
//! |---|---|
//! | `settings` | [`TrainConfig`], the settings of a run, and [`SETTINGS`], their table |
//! | `data`, `dev` | utterances prepared once, for training and for evaluation |
//! | `calibrate` | the scale of first-pass scores |
//! | `batches` | which lists are computed together, epoch by epoch |
//! | `objective`, `correlation` | the two parts of the loss |
//! | `pass` | one batch forward and backward |
//! | `optimizer`, `schedule` | AdamW on one flat tensor, and its learning rate |
//! | `trainer`, `state` | the run and where it stands |
//! | `checkpoint` | an interrupted run in bytes |
//! | `watch` | notices a loss that does not go down |
//! | `message`, `error` | what a run tells, and how it fails |

mod batches;
mod calibrate;
mod checkpoint;
mod correlation;
mod data;
mod dev;
mod error;
mod message;
mod objective;
mod optimizer;
mod pass;
mod schedule;
mod settings;
mod state;
mod trainer;
mod watch;

#[cfg(test)]
mod tests;

pub use crate::ops::{AdamW, Objective};
pub use batches::batches;
pub use calibrate::first_scale;
pub use correlation::correlation;
pub use data::{Counts, TrainData, TrainList};
pub use dev::DevData;
pub use error::{CheckpointError, TrainError};
pub use message::{Message, WarningKind};
pub use objective::{ListBatch, ListView};
pub use optimizer::{Moments, Updated, step};
pub use pass::{Parts, Pass};
pub use schedule::{Decay, Schedule};
pub use settings::{Kind, Range, SETTINGS, Setting, TrainConfig};
pub use trainer::{TrainInputs, Trainer};
