//! Tokenizers of other kinds than BERT's own, for the browser: Unigram, byte-pair encoding, and WordPiece with other rules.
//!
//! They are a second wasm module, which the worker loads only for a base that needs it: the tables of Unicode and the
//! regular expressions of the `tokenizers` crate would make the first one a tenth larger for everyone. The class that this
//! module exports does what a tokenizer of the first one does, with the same code of the core, so limits, truncation and
//! errors are the same.

#![warn(missing_docs)]

#[cfg(target_arch = "wasm32")]
#[path = "../../src/files.rs"]
mod files;
#[cfg(target_arch = "wasm32")]
#[path = "../../src/thrown.rs"]
#[allow(dead_code)] // The first module uses all of it.
mod thrown;
#[cfg(target_arch = "wasm32")]
mod tokenizer;

#[cfg(target_arch = "wasm32")]
pub use tokenizer::Tokenizer;
