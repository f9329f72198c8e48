//! Tests of conventions.

use super::{Conventions, Normalize, Unit};
use crate::nbest::{Hypothesis, Utterance};

mod conventions;
mod normalize;
mod unit;
