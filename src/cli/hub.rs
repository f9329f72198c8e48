//! Bases from the Hugging Face hub, through its shared cache.
//!
//! `HF_HOME` moves the cache, `HF_ENDPOINT` selects another hub, `HF_HUB_OFFLINE` disables the network.

use std::path::PathBuf;

use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::error::CliError;
use super::source::{BasePaths, TokenizerPath};
use super::terminal::say;

/// The default revision.
const DEFAULT_REVISION: &str = "main";

/// Finds a base's files in the cache, or downloads them.
pub fn fetch(model: &str, revision: Option<&str>, quiet: bool) -> Result<BasePaths, CliError> {
    let revision = revision.unwrap_or(DEFAULT_REVISION);
    check_names(model, revision)?;
    let cache = cache()?;
    if let Some(paths) = cached(&cache, model, revision) {
        return Ok(paths);
    }
    let place = cache.path().display().to_string();
    if offline() {
        let message = "not a directory, and not complete in the hub's cache";
        return Err(CliError::Failed(format!(
            "--model {model}: {message} ({place}, revision {revision}); HF_HUB_OFFLINE forbids downloading it"
        )));
    }
    let builder = ApiBuilder::from_env().with_progress(!quiet).with_retries(2);
    let api = builder.build().map_err(|error| failed(model, &error))?;
    let repo =
        api.repo(Repo::with_revision(model.to_owned(), RepoType::Model, revision.to_owned()));
    if !quiet {
        say!("downloading {} into {place}", repo.url(""));
    }
    let get = |file: &str| repo.get(file).map_err(|error| failed(model, &error));
    let config = get("config.json")?;
    let tokenizer = match optional(&repo, "tokenizer.json").map_err(|e| failed(model, &e))? {
        Some(json) => TokenizerPath::Json(json),
        None => {
            let settings =
                optional(&repo, "tokenizer_config.json").map_err(|e| failed(model, &e))?;
            TokenizerPath::Vocab(get("vocab.txt")?, settings)
        }
    };
    let weights = optional(&repo, "model.safetensors").map_err(|e| failed(model, &e))?;
    let weights = weights.ok_or_else(|| {
        let message =
            "has no model.safetensors on the hub; convert it with Transformers' save_pretrained";
        CliError::Failed(format!("--model {model}: {message} and pass the directory"))
    })?;
    Ok(BasePaths { config, tokenizer, weights })
}

/// Whether the hub's environment variable disables the network.
pub fn offline() -> bool {
    let set = std::env::var("HF_HUB_OFFLINE").unwrap_or_default().to_ascii_uppercase();
    ["1", "ON", "YES", "TRUE"].contains(&set.as_str())
}

/// Rejects invalid hub ids before they become part of a path or URL.
fn check_names(model: &str, revision: &str) -> Result<(), CliError> {
    let word = |part: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(known)
    };
    if model.split('/').count() > 2 || !model.split('/').all(word) {
        return Err(CliError::Failed(format!(
            "--model {model}: neither a directory nor a hub id (owner/name)"
        )));
    }
    if !revision.split('/').all(word) {
        return Err(CliError::Usage(format!(
            "--revision {revision}: expected a branch, a tag or a commit"
        )));
    }
    Ok(())
}

fn cache() -> Result<Cache, CliError> {
    // Without a home directory, the hub's crate would panic.
    if std::env::var_os("HF_HOME").is_none() && dirs::home_dir().is_none() {
        return Err(CliError::Failed("no home directory for the hub's cache; set HF_HOME".into()));
    }
    Ok(Cache::from_env())
}

/// The files, if all required ones exist.
fn cached(cache: &Cache, model: &str, revision: &str) -> Option<BasePaths> {
    let repo = Repo::with_revision(model.to_owned(), RepoType::Model, revision.to_owned());
    let folder = cache.repo(repo);
    let get = |file: &str| {
        // A commit needs no ref: its snapshot has the commit's name.
        let snapshot = Some(folder.pointer_path(revision).join(file)).filter(|p| p.exists());
        snapshot.or_else(|| folder.get(file))
    };
    let tokenizer = match get("tokenizer.json") {
        Some(json) => TokenizerPath::Json(json),
        None => TokenizerPath::Vocab(get("vocab.txt")?, get("tokenizer_config.json")),
    };
    Some(BasePaths { config: get("config.json")?, tokenizer, weights: get("model.safetensors")? })
}

/// An optional file of a repository.
fn optional(repo: &ApiRepo, file: &str) -> Result<Option<PathBuf>, ApiError> {
    match repo.get(file) {
        Ok(path) => Ok(Some(path)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The status code of the hub's response.
fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(inner) => {
            inner.to_string().strip_prefix("http status: ")?.parse().ok()
        }
        ApiError::TooManyRetries(inner) => status(inner),
        _ => None,
    }
}

fn failed(model: &str, error: &ApiError) -> CliError {
    let what = match status(error) {
        Some(401 | 403 | 404) => {
            "not a directory, and not found on the hub (wrong id, or a private model?)"
        }
        _ => "not a directory, and could not reach the hub",
    };
    CliError::at(format_args!("--model {model}: {what}"), error)
}
