//! The score head only, which every other method trains too.

use crate::methods::MethodInfo;
use crate::model::TuningMethod;

/// The score head only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head;

impl TuningMethod for Head {
    fn name(&self) -> &'static str {
        "head"
    }
}

/// The method's line in the registry.
pub static INFO: MethodInfo = MethodInfo {
    name: "head",
    label: "Head only",
    help: "the score head only, which all other methods train too",
    build: |_| Ok(Head.into()),
    ..MethodInfo::PLAIN
};
