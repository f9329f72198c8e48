//! A base from a directory or from the Hugging Face hub.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use lorb::base::{Base, BaseError, BaseStream, BertConfig, TokenizerFiles, shard_names};
use lorb::bounds::{
    MAX_DOWNLOAD_BYTES, MAX_INDEX_BYTES, MAX_JSON_BYTES, MAX_TOKENIZER_BYTES, MAX_VOCABULARY_BYTES,
};
#[cfg(feature = "built-in")]
use lorb::built_in;
use lorb::packed::Format;

use super::error::CliError;
use super::files::{open_regular, read_small};
use super::hub;
use super::output::{current, next_to};
use super::terminal::say;

/// Names of the files of a base.
pub const FILES: [&str; 13] = [
    CONFIG,
    TOKENIZER,
    VOCABULARY,
    BYTE_LEVEL,
    MERGES,
    SENTENCE_PIECE,
    TOKENIZER_CONFIG,
    SPECIAL_TOKENS,
    ADDED_TOKENS,
    WEIGHTS,
    INDEX,
    TORCH,
    TORCH_INDEX,
];

/// The name of the base inside the program.
pub const BUILT_IN: &str = "built-in";

pub const CONFIG: &str = "config.json";
pub const TOKENIZER: &str = "tokenizer.json";
pub const VOCABULARY: &str = "vocab.txt";
pub const BYTE_LEVEL: &str = "vocab.json";
pub const MERGES: &str = "merges.txt";
pub const SENTENCE_PIECE: &str = "sentencepiece.bpe.model";
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
pub const SPECIAL_TOKENS: &str = "special_tokens_map.json";
pub const ADDED_TOKENS: &str = "added_tokens.json";
pub const WEIGHTS: &str = "model.safetensors";
pub const INDEX: &str = "model.safetensors.index.json";
pub const TORCH: &str = "pytorch_model.bin";
pub const TORCH_INDEX: &str = "pytorch_model.bin.index.json";

/// The files that a vocabulary consists of, by kind; the first kind whose first file a base has is read.
pub const VOCABULARIES: [&[&str]; 4] =
    [&[TOKENIZER], &[VOCABULARY], &[BYTE_LEVEL, MERGES], &[SENTENCE_PIECE]];

/// The files next to a tokenizer's vocabulary.
pub const SETTINGS: [&str; 3] = [TOKENIZER_CONFIG, SPECIAL_TOKENS, ADDED_TOKENS];

/// The kinds of weights by the name of their first file; the first kind that a base has is read, as in Transformers.
pub const WEIGHT_FILES: [&str; 4] = [WEIGHTS, INDEX, TORCH, TORCH_INDEX];

/// The files of a base on disk.
#[derive(Debug)]
pub struct BasePaths {
    /// `config.json`.
    pub config: PathBuf,
    /// One of [`VOCABULARIES`], with the names of the files. A file after the first one may be missing.
    pub vocabulary: Vec<(&'static str, PathBuf)>,
    /// Those of [`SETTINGS`] that exist.
    pub settings: Vec<(&'static str, PathBuf)>,
    /// One of [`WEIGHT_FILES`], and which one. The files that an index names are next to it.
    pub weights: (&'static str, PathBuf),
}

impl BasePaths {
    /// The files of the base, without those that an index names.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let named = self.vocabulary.iter().chain([&self.weights]).chain(&self.settings);
        let named = named.map(|(name, path)| (*name, path.as_path()));
        named.chain([(CONFIG, self.config.as_path())])
    }

    /// Configuration and tokenizer, with the settings that change what it does.
    pub fn read_small(&self) -> Result<Vec<(&'static str, Vec<u8>)>, CliError> {
        let small = self.all().filter(|(name, _)| *name != self.weights.0);
        small.map(|(name, path)| Ok((name, read_small(path, limit(name))?))).collect()
    }
}

/// Bytes that one of the files may have.
pub fn limit(file: &str) -> u64 {
    match file {
        TOKENIZER => MAX_TOKENIZER_BYTES,
        VOCABULARY | BYTE_LEVEL | MERGES | SENTENCE_PIECE => MAX_VOCABULARY_BYTES,
        INDEX | TORCH_INDEX => MAX_INDEX_BYTES,
        _ if file.ends_with(".safetensors") || file.ends_with(".bin") => MAX_DOWNLOAD_BYTES,
        _ => MAX_JSON_BYTES,
    }
}

/// A base and its requested name.
#[derive(Debug)]
pub struct NamedBase {
    /// The base.
    pub base: Base,
    /// Hub id or path, as the user wrote it, but for bytes that are not UTF-8.
    pub name: String,
}

/// Loads the base given by `--model`: `built-in`, a directory, or else a hub id.
pub fn load(
    model: impl AsRef<OsStr>,
    revision: Option<&str>,
    quiet: bool,
) -> Result<NamedBase, CliError> {
    let model = model.as_ref();
    #[cfg(feature = "built-in")]
    if is_built_in(model) {
        return built_in(revision);
    }
    let base = read_located(&locate(model, revision, quiet)?, model)?;
    if !quiet {
        base.notes().iter().for_each(|note| say!("note: --model {}: {note}", model.display()));
    }
    Ok(NamedBase { base, name: model.display().to_string() })
}

/// Whether `--model` names the base that is compiled in.
pub fn is_built_in(model: impl AsRef<OsStr>) -> bool {
    cfg!(feature = "built-in") && model.as_ref() == BUILT_IN
}

/// The base that is compiled in.
#[cfg(feature = "built-in")]
pub fn built_in(revision: Option<&str>) -> Result<NamedBase, CliError> {
    if revision.is_some() {
        let message = format!("--revision: {BUILT_IN} is inside the program");
        return Err(CliError::Usage(message));
    }
    let base = built_in::base().map_err(|error| CliError::at(BUILT_IN, &error))?;
    Ok(NamedBase { base, name: BUILT_IN.to_owned() })
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
    #[cfg(feature = "built-in")]
    if is_built_in(model) {
        let message =
            "is inside the program, and this command needs files; use a directory or a hub id";
        return Err(CliError::Failed(format!("--model {name}: {message}")));
    }
    if path.exists() {
        let message = "is a file; expected a directory with config.json, tokenizer and weights";
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
    let weights = WEIGHT_FILES.into_iter().find_map(|name| Some((name, find(name)?)));
    let weights = weights.ok_or_else(|| missing(WEIGHTS, " and no other weights"))?;
    let vocabulary = vocabulary(|name| Ok::<_, CliError>(find(name)))?;
    let vocabulary = vocabulary.ok_or_else(|| missing("tokenizer.json and no vocab.txt", ""))?;
    let settings = SETTINGS.into_iter().filter_map(|name| Some((name, find(name)?))).collect();
    Ok(BasePaths { config, vocabulary, settings, weights })
}

/// The files of the vocabulary, each of which `find` returns if it exists.
pub fn vocabulary<E>(
    mut find: impl FnMut(&'static str) -> Result<Option<PathBuf>, E>,
) -> Result<Option<Vec<(&'static str, PathBuf)>>, E> {
    for names in VOCABULARIES {
        let mut files = Vec::new();
        for name in names {
            let Some(path) = find(name)? else { break };
            files.push((*name, path));
        }
        if !files.is_empty() {
            return Ok(Some(files));
        }
    }
    Ok(None)
}

/// The names of the files that weights consist of, if they are several.
pub fn shards(weights: &(&'static str, PathBuf)) -> Result<Vec<String>, CliError> {
    let Some(bytes) = index(weights)? else { return Ok(Vec::new()) };
    let (kind, path) = weights;
    shard_names(kind, &bytes).map_err(|error| CliError::at(path.display(), &error))
}

/// The index of weights in several files.
fn index((kind, path): &(&'static str, PathBuf)) -> Result<Option<Vec<u8>>, CliError> {
    match *kind {
        INDEX | TORCH_INDEX => read_small(path, limit(kind)).map(Some),
        _ => Ok(None),
    }
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

impl From<BaseError> for Fault {
    fn from(error: BaseError) -> Self {
        Self::Base(error)
    }
}

/// Bytes of the weights that are read at a time.
const CHUNK: usize = 1 << 20;

fn read(paths: &BasePaths) -> Result<Base, Fault> {
    let config = read_small(&paths.config, MAX_JSON_BYTES)?;
    // Check this first: an unsupported architecture is the most common mistake, and weights are large.
    BertConfig::from_json(&config)?;
    let small =
        |(name, path): &(&'static str, PathBuf)| Ok((*name, read_small(path, limit(name))?));
    let texts = paths.vocabulary.iter().chain(&paths.settings).map(small);
    let texts: Vec<(&str, Vec<u8>)> = texts.collect::<Result<_, CliError>>()?;
    let tokenizer = TokenizerFiles::named(|name| {
        texts.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.as_slice())
    });
    let (index, (kind, path)) = (index(&paths.weights)?, &paths.weights);
    match (*kind, index) {
        (TORCH | TORCH_INDEX, index) => {
            let open = |name: &str| {
                Ok(open_regular(&if index.is_some() { next_to(path, name) } else { path.clone() })?)
            };
            Base::from_torch(&config, tokenizer, Format::F32, index.as_deref(), open)
        }
        (_, Some(index)) => {
            let mut stream = BaseStream::sharded(&config, tokenizer, Format::F32, &index)?;
            for shard in stream.shards().to_vec() {
                let path = next_to(path, &shard);
                let (file, length) = open_regular(&path)?;
                stream.begin_shard(Some(length))?;
                push_all(&mut stream, file, &path)?;
            }
            Ok(stream.finish()?)
        }
        (_, None) => {
            let (file, length) = open_regular(path)?;
            let mut stream = BaseStream::new(&config, tokenizer, Format::F32, Some(length))?;
            push_all(&mut stream, file, path)?;
            Ok(stream.finish()?)
        }
    }
}

/// Gives a file to the stream, which checks the header against the length before it accepts tensors.
fn push_all(stream: &mut BaseStream, mut file: File, path: &Path) -> Result<(), Fault> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk);
        match count.map_err(|error| CliError::io("read", path, &error))? {
            0 => return Ok(()),
            count => stream.push(&chunk[..count])?,
        }
    }
}
