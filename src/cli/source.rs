//! A base from a directory or from the Hugging Face hub.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use lorb::base::{Base, BaseError, BaseStream, BertConfig, TokenizerFile};
use lorb::bounds::{MAX_JSON_BYTES, MAX_TOKENIZER_BYTES, MAX_VOCABULARY_BYTES};
use lorb::foreign::{Expected, Foreign};
use lorb::packed::Format;
use serde::Deserialize;
use serde_json::Value;

use super::error::CliError;
use super::files::{open_regular, read_small};
use super::hub;
use super::output::current;

/// Names of the files of a base.
pub const FILES: [&str; 5] =
    ["config.json", "tokenizer.json", "vocab.txt", "tokenizer_config.json", "model.safetensors"];

/// The files of a base on disk.
#[derive(Debug)]
pub struct BasePaths {
    /// `config.json`.
    pub config: PathBuf,
    /// The tokenizer.
    pub tokenizer: TokenizerPath,
    /// `model.safetensors`.
    pub weights: PathBuf,
}

/// The tokenizer's file on disk.
#[derive(Debug)]
pub enum TokenizerPath {
    /// `tokenizer.json`.
    Json(PathBuf),
    /// `vocab.txt`, and `tokenizer_config.json` if it exists.
    Vocab(PathBuf, Option<PathBuf>),
}

/// A base and its requested name.
#[derive(Debug)]
pub struct NamedBase {
    /// The base.
    pub base: Base,
    /// Hub id or path, as the user wrote it, but for bytes that are not UTF-8.
    pub name: String,
}

/// Loads the base given by `--model`: a directory, or else a hub id.
pub fn load(
    model: impl AsRef<OsStr>,
    revision: Option<&str>,
    quiet: bool,
) -> Result<NamedBase, CliError> {
    let model = model.as_ref();
    let base = read_located(&locate(model, revision, quiet)?, model)?;
    Ok(NamedBase { base, name: model.display().to_string() })
}

/// Reads the files that [`locate`] found for `model`.
pub fn read_located(paths: &BasePaths, model: &OsStr) -> Result<Base, CliError> {
    read(paths).map_err(|error| {
        // A damaged download explains every error of its files.
        hub::damage(paths).unwrap_or_else(|| match error {
            Fault::File(error) => error,
            Fault::Base(error) => CliError::at(format_args!("--model {}", model.display()), &error),
        })
    })
}

/// Finds the files; downloads them from the hub if `model` is not a directory.
pub fn locate(model: &OsStr, revision: Option<&str>, quiet: bool) -> Result<BasePaths, CliError> {
    let (path, name) = (Path::new(model), model.display());
    if path.is_dir() {
        if revision.is_some() {
            let message =
                format!("--revision: {name} is a directory; revisions exist only on the hub");
            return Err(CliError::Usage(message));
        }
        return in_directory(path);
    }
    if path.exists() {
        let message =
            "is a file; expected a directory with config.json, tokenizer and model.safetensors";
        return Err(CliError::Failed(format!("--model {name}: {message}")));
    }
    let Some(model) = model.to_str() else {
        let message = "neither a directory nor a hub id (owner/name)";
        return Err(CliError::Failed(format!("--model {name}: {message}")));
    };
    hub::fetch(model, revision, quiet)
}

/// The files of a base in a directory.
pub fn in_directory(directory: &Path) -> Result<BasePaths, CliError> {
    // A device or a pipe under this name must be an error when it is read: if it were ignored, another file would be used.
    let find = |name: &str| Some(current(directory, name)).filter(|path| path.exists());
    let missing = |name: &str, hint: &str| {
        CliError::Failed(format!("--model {}: no {name} found{hint}", directory.display()))
    };
    let config = find("config.json").ok_or_else(|| {
        let adapter = find("adapter_config.json").is_some();
        missing(
            "config.json",
            if adapter { "; this is an adapter, use --model for its base" } else { "" },
        )
    })?;
    let weights = find("model.safetensors").ok_or_else(|| {
        let hint = if find("pytorch_model.bin").is_some() {
            "; convert pytorch_model.bin to safetensors with Transformers' save_pretrained"
        } else if find("model.safetensors.index.json").is_some() {
            "; LoRB does not read models that are split into several files"
        } else {
            ""
        };
        missing("model.safetensors", hint)
    })?;
    let tokenizer = match (find("tokenizer.json"), find("vocab.txt")) {
        (Some(json), _) => TokenizerPath::Json(json),
        (None, Some(vocab)) => TokenizerPath::Vocab(vocab, find("tokenizer_config.json")),
        (None, None) => return Err(missing("tokenizer.json and no vocab.txt", "")),
    };
    Ok(BasePaths { config, tokenizer, weights })
}

enum Fault {
    File(CliError),
    Base(BaseError),
}

impl From<CliError> for Fault {
    fn from(error: CliError) -> Self {
        Self::File(error)
    }
}

/// Bytes of the weights that are read at a time.
const CHUNK: usize = 1 << 20;

fn read(paths: &BasePaths) -> Result<Base, Fault> {
    let config = read_small(&paths.config, MAX_JSON_BYTES)?;
    // Check this first: an unsupported architecture is the most common mistake, and weights are large.
    BertConfig::from_json(&config).map_err(Fault::Base)?;
    let (vocabulary, lowercase) = match &paths.tokenizer {
        TokenizerPath::Json(json) => (read_small(json, MAX_TOKENIZER_BYTES)?, None),
        TokenizerPath::Vocab(vocab, settings) => {
            let lowercase = lowercase(settings.as_deref())?;
            (read_small(vocab, MAX_VOCABULARY_BYTES)?, Some(lowercase))
        }
    };
    let tokenizer = match lowercase {
        None => TokenizerFile::Json(&vocabulary),
        Some(lowercase) => TokenizerFile::Vocab(&vocabulary, lowercase),
    };
    let (mut file, length) = open_regular(&paths.weights)?;
    let stream = BaseStream::new(&config, tokenizer, Format::F32, Some(length));
    let mut stream = stream.map_err(Fault::Base)?;
    drop(vocabulary);
    // The stream checks the header against the length before it accepts tensors.
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk);
        match count.map_err(|error| CliError::io("read", &paths.weights, &error))? {
            0 => return stream.finish().map_err(Fault::Base),
            count => stream.push(&chunk[..count]).map_err(Fault::Base)?,
        }
    }
}

/// What LoRB reads of `tokenizer_config.json`.
#[derive(Deserialize)]
struct TokenizerSettings {
    do_lower_case: Option<Value>,
}

/// `do_lower_case` from `tokenizer_config.json`; true by default, as in Transformers.
fn lowercase(settings: Option<&Path>) -> Result<bool, CliError> {
    let Some(path) = settings else { return Ok(true) };
    let bytes = read_small(path, MAX_JSON_BYTES)?;
    if let Some(what) = Foreign::of(&bytes, Expected::Text) {
        return Err(CliError::at(path.display(), &what));
    }
    let settings: TokenizerSettings = serde_json::from_slice(&bytes).map_err(|error| {
        CliError::Failed(format!("{}: not valid JSON: {error}", path.display()))
    })?;
    match settings.do_lower_case {
        None => Ok(true),
        Some(Value::Bool(lowercase)) => Ok(lowercase),
        Some(other) => Err(CliError::Failed(format!(
            "{}: `do_lower_case` is {other}; expected true or false",
            path.display()
        ))),
    }
}
