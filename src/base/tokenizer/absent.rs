//! In place of `general.rs` in a build without the `tokenizers` crate.

use super::added::AddedToken;
use super::file::File;
use super::settings::{Family, Names};

/// Whether this build has these tokenizers.
pub const PRESENT: bool = false;

const ABSENT: &str = "this build reads only BERT's own kind of tokenizer";

/// What no file becomes.
pub struct Converted {
    pub json: Vec<u8>,
    pub extra: Vec<AddedToken>,
}

pub fn byte_level(_: &[u8], _: &[u8], _: bool) -> Result<Converted, String> {
    Err(ABSENT.to_owned())
}

pub fn unigram(_: &[u8], _: Family, _: &Names, _: bool) -> Result<Converted, String> {
    Err(ABSENT.to_owned())
}

/// A tokenizer that does not exist.
#[derive(Debug, Clone)]
pub enum General {}

impl General {
    pub fn new(
        _: &File<'_>,
        _: Option<bool>,
        _: impl FnOnce(&dyn Fn(&str) -> bool) -> Vec<AddedToken>,
    ) -> Result<(Self, bool), String> {
        Err(ABSENT.to_owned())
    }

    pub fn pieces(&self, _: &str, _: usize) -> Result<(Vec<u32>, bool), String> {
        match *self {}
    }

    pub fn id(&self, _: &str) -> Option<u32> {
        match *self {}
    }

    pub fn pieces_and_tokens(&self) -> Box<dyn Iterator<Item = (&str, u32)> + '_> {
        match *self {}
    }

    pub fn len(&self) -> usize {
        match *self {}
    }
}
