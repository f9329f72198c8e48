//! Training an adapter on N-best lists.
//!
//! [`Trainer`] is a run: it advances by one [`Message`] at a time, uses neither clock nor files, and can be saved
//! and resumed after any message.
//!
//! | file | what |
//! |---|---|
//! | `settings` | [`TrainConfig`], the settings of a run, and [`SETTINGS`], their table |
//! | `data`, `dev` | utterances prepared once, for training and for evaluation |
//! | `calibrate` | the first-pass scale |
//! | `batches` | batching of lists, by epoch |
//! | `objective`, `correlation` | the two parts of the loss |
//! | `task`, `lists` | what a run is for, and the task of choosing in lists |
//! | `pass` | one batch forward and backward |
//! | `optimizer`, `schedule` | AdamW on one flat tensor, and its learning rate |
//! | `trainer`, `state` | the run and its state |
//! | `checkpoint` | serialisation of an interrupted run |
//! | `watch` | detects a loss that does not decrease |
//! | `message`, `error` | messages and errors of a run |

mod batches;
mod calibrate;
mod checkpoint;
mod correlation;
mod data;
mod dev;
mod error;
mod lists;
mod message;
mod objective;
mod optimizer;
mod part_weights;
mod pass;
mod schedule;
mod settings;
mod state;
mod task;
mod trainer;
mod watch;

#[cfg(test)]
pub(crate) mod tests;

pub use crate::ops::{AdamW, Objective};
#[cfg(not(target_family = "wasm"))]
pub(crate) use batches::Texts;
pub use batches::batches;
pub use calibrate::first_scale;
pub use correlation::correlation;
pub use data::{Counts, TrainData, TrainList};
pub use dev::DevData;
pub use error::{CheckpointError, TrainError};
pub use lists::Lists;
pub use message::{Message, WarningKind};
pub use objective::{ListBatch, ListView};
pub use optimizer::{Moments, Updated, step};
pub use pass::{Parts, Pass};
pub use schedule::{Decay, Schedule};
pub use settings::{Kind, Range, SETTINGS, Setting, TrainConfig};
pub use task::{Batch, Extent, Judgement, Size, Task, TrainedModel};
pub(crate) use trainer::Prepared;
pub use trainer::{TrainInputs, Trainer};
