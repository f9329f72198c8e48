//! Shared by the comparisons with PyTorch: bases, devices and golden files.
#![allow(dead_code, reason = "each test file uses a part of this")]

pub mod gpu;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use lorb::base::{Base, BaseFiles, TensorFile, TokenizerFiles};

/// The directory of golden files.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Reads a file of the golden directory.
pub fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = golden().join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Parses a JSON file of the golden directory.
pub fn json(path: impl AsRef<Path>) -> serde_json::Value {
    serde_json::from_slice(&read(path)).expect("golden files are valid JSON")
}

/// Opens a safetensors file of the golden directory.
pub fn tensors(path: impl AsRef<Path>) -> TensorFile<Vec<u8>> {
    TensorFile::open(read(path)).expect("golden files are valid safetensors")
}

/// A base with golden files: its name and the directory of its files.
pub struct Case {
    pub name: &'static str,
    pub directory: PathBuf,
}

impl Case {
    pub fn base(&self) -> Base {
        let file = |name: &str| {
            let path = self.directory.join(name);
            std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        Base::from_files(BaseFiles {
            config: &file("config.json"),
            tokenizer: TokenizerFiles::json(&file("tokenizer.json")),
            weights: file("model.safetensors"),
        })
        .expect("a base that loads")
    }
}

/// The random BERT in the repository.
pub fn tiny() -> Case {
    Case { name: "tiny", directory: golden().join("tiny") }
}

/// The bases in the repository, one of each architecture.
pub fn bases() -> [Case; 5] {
    ["tiny", "distil", "electra", "modernbert", "roberta"]
        .map(|name| Case { name, directory: golden().join(name) })
}

/// all-MiniLM-L6-v2, in the directory that `LORB_MINILM` names.
///
/// # Panics
/// If it is not set, unless `LORB_ALLOW_NO_MINILM` is: a test that did not run must not look as if it had passed.
pub fn minilm() -> Option<Case> {
    match std::env::var_os("LORB_MINILM") {
        Some(directory) => Some(Case { name: "minilm", directory: directory.into() }),
        None if std::env::var_os("LORB_ALLOW_NO_MINILM").is_some() => {
            gpu::report_not_run("LORB_MINILM is not set");
            None
        }
        None => panic!(
            "set LORB_MINILM to the directory that scripts/fetch-minilm.sh prints, or LORB_ALLOW_NO_MINILM=1"
        ),
    }
}

/// The CPU path.
pub fn cpu() -> Device {
    Device::flex()
}
