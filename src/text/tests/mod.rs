//! Tests of conventions.

use super::{Changes, Conventions, Normalize, Unit};

mod conventions;
mod normalize;
mod unit;
