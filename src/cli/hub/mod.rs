//! Bases from the Hugging Face hub, through the cache that it shares with Python.
//!
//! | file | what |
//! |---|---|
//! | `settings` | environment variables |
//! | `digest` | names of commits and contents |
//! | `cache` | the layout of the cache |
//! | `lock` | one download at a time |
//! | `client` | requests, time-outs, redirects |
//! | `body` | downloads, continued and checked |
//!
//! The server, or one that answers in its place, is not trusted: its headers become names only if they are hexadecimal
//! digits, and a file enters the cache only with the length and the digest that were stated for it.

mod body;
mod cache;
mod client;
mod digest;
mod lock;
mod settings;

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use lorb::bounds::MAX_DOWNLOAD_BYTES;
use ureq::http::Uri;

use super::error::CliError;
use super::interrupt;
use super::progress::Meter;
use super::source::{self, BasePaths};
use super::terminal::say;
use body::{Expected, download, with_retries};
use cache::RepoCache;
use client::{Client, Fault};
use digest::{Commit, Digest};
use settings::Settings;

pub use lock::acquire as acquire_lock;
pub use settings::offline;

/// The default revision.
const DEFAULT_REVISION: &str = "main";

/// Finds a base's files in the cache, or downloads them.
pub fn fetch(model: &str, revision: Option<&str>, quiet: bool) -> Result<BasePaths, CliError> {
    let revision = revision.unwrap_or(DEFAULT_REVISION);
    check_names(model, revision)?;
    let settings = Settings::from_env()?;
    let cache = RepoCache::new(&settings.cache, model);
    let known = cached(&cache, revision);
    let (place, unasked) =
        (settings.cache.display().to_string(), known.as_ref().and_then(|k| k.unasked));
    match known {
        Some(known) if unasked.is_none() => Ok(known.paths),
        // A cache that another program filled may lack files that are optional.
        Some(known) if offline() => {
            if unasked == Some(source::TOKENIZER_CONFIG) && !quiet {
                let file = source::TOKENIZER_CONFIG;
                say!(
                    "note: --model {model}: {file} is not in the hub's cache ({place}); its defaults are used"
                );
            }
            Ok(known.paths)
        }
        None if offline() => {
            let message = "not a directory, and not complete in the hub's cache";
            Err(CliError::Failed(format!(
                "--model {model}: {message} ({place}, revision {revision}); HF_HUB_OFFLINE forbids downloading it"
            )))
        }
        known => {
            if !quiet && known.is_none() {
                say!("downloading {}/{model} into {place}", settings.endpoint);
            }
            // Only what is missing: another commit would be another base.
            let commit = known.as_ref().map(|known| known.commit.to_string());
            let revision = commit.as_deref().unwrap_or(revision);
            let downloaded = from_hub(settings, cache, model, revision, quiet);
            match (known, downloaded) {
                (Some(known), Err(error)) => {
                    let reason = error.message().unwrap_or_default();
                    if !quiet {
                        say!("note: {reason}; using the hub's cache");
                    }
                    Ok(known.paths)
                }
                (_, downloaded) => downloaded,
            }
        }
    }
}

/// Downloads what the cache lacks.
fn from_hub(
    settings: Settings,
    cache: RepoCache,
    model: &str,
    revision: &str,
    quiet: bool,
) -> Result<BasePaths, CliError> {
    // What has arrived stays, and the system releases the locks.
    let _ended_by_interrupt = interrupt::end_immediately()?;
    let origin = settings.endpoint.parse().map_err(|error| CliError::at("HF_ENDPOINT", &error))?;
    let (metadata, silence) = (settings.metadata_timeout, settings.download_timeout);
    let client = Client::new(origin, settings.token, metadata, silence);
    let mut repo = Repo { client, cache, endpoint: settings.endpoint, model, quiet, commit: None };

    let config = repo.get(revision, source::CONFIG)?;
    let vocabulary = match source::vocabulary(|name| repo.optional(revision, name))? {
        Some(files) => files,
        // None of the kinds: the error names the most common one.
        None => vec![(source::VOCABULARY, repo.get(revision, source::VOCABULARY)?)],
    };
    let mut settings = Vec::new();
    for name in source::SETTINGS {
        settings.extend(repo.optional(revision, name)?.map(|path| (name, path)));
    }
    for name in source::WEIGHT_FILES {
        let Some(path) = repo.optional(revision, name)? else { continue };
        let weights = (name, path);
        for shard in source::shards(&weights)? {
            repo.get(revision, &shard)?;
        }
        return Ok(BasePaths { config, vocabulary, settings, weights });
    }
    let message = "has neither model.safetensors nor pytorch_model.bin on the hub";
    Err(CliError::Failed(format!("--model {model}: {message}")))
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

/// The files of a revision in the cache, which has all required ones.
struct Known {
    commit: Commit,
    paths: BasePaths,
    /// An optional file that is not in the cache, and that the hub was not asked for.
    unasked: Option<&'static str>,
}

fn cached(cache: &RepoCache, revision: &str) -> Option<Known> {
    let commit = cache.commit(revision)?;
    let mut unasked = None;
    let mut find = |name: &'static str| {
        let path = cache.file(&commit, name);
        if path.is_none() && !cache.is_absent(&commit, name) {
            unasked = unasked.or(Some(name));
        }
        Some((name, path?))
    };
    // The settings first: of all that may be missing, they change the most.
    let settings = source::SETTINGS.into_iter().filter_map(&mut find).collect();
    let mut found = |name| Ok::<_, Infallible>(find(name).map(|(_, path)| path));
    let vocabulary = source::vocabulary(&mut found).ok()??;
    let weights = source::WEIGHT_FILES.into_iter().find_map(&mut find)?;
    for shard in source::shards(&weights).ok()? {
        cache.file(&commit, &shard)?;
    }
    let config = cache.file(&commit, source::CONFIG)?;
    let paths = BasePaths { config, vocabulary, settings, weights };
    Some(Known { commit, paths, unasked })
}

/// A repository on the hub.
struct Repo<'a> {
    client: Client,
    cache: RepoCache,
    endpoint: String,
    model: &'a str,
    quiet: bool,
    /// The commit of the first file. The others come from the same one, even if the branch moves meanwhile.
    commit: Option<Commit>,
}

impl Repo<'_> {
    fn get(&mut self, revision: &str, file: &str) -> Result<PathBuf, CliError> {
        self.find(revision, file).map_err(|fault| self.failed(file, &fault))
    }

    /// A file that a repository may lack.
    fn optional(&mut self, revision: &str, file: &str) -> Result<Option<PathBuf>, CliError> {
        match self.find(revision, file) {
            Ok(path) => Ok(Some(path)),
            Err(Fault::Status(404)) => {
                // Not being able to record it costs requests later, and nothing else.
                if let Some(commit) = &self.commit {
                    let _ = self.cache.set_absent(commit, file);
                }
                Ok(None)
            }
            Err(fault) => Err(self.failed(file, &fault)),
        }
    }

    fn failed(&self, file: &str, fault: &Fault) -> CliError {
        let model = self.model;
        let what = match fault {
            Fault::Status(401 | 403 | 404) => {
                "not a directory, and not found on the hub (wrong id, or a private model?)"
            }
            Fault::Status(_) | Fault::Connection(_) => {
                "not a directory, and could not reach the hub"
            }
            Fault::Response(_) => "the hub's response is wrong",
            Fault::File(_) => "cannot write the hub's cache",
        };
        CliError::Failed(format!("--model {model}: {what}: {file}: {fault}"))
    }

    fn url(&self, revision: &str, file: &str) -> Result<Uri, Fault> {
        let (endpoint, model) = (&self.endpoint, self.model);
        let revision = revision.replace('/', "%2F");
        let url = format!("{endpoint}/{model}/resolve/{revision}/{file}").parse();
        url.map_err(|_| Fault::Response("an invalid URL".into()))
    }

    fn find(&mut self, revision: &str, file: &str) -> Result<PathBuf, Fault> {
        let from = self.commit.as_ref().map_or_else(|| revision.to_owned(), Commit::to_string);
        let url = self.url(&from, file)?;
        let described = with_retries(|| self.client.describe(&url))?;
        let wrong = |header: &str, value: Option<String>| {
            let value = value.map_or_else(|| "missing".to_owned(), |value| format!("{value:?}"));
            Fault::Response(format!("{header} is {value}; expected hexadecimal digits"))
        };
        let commit = described.commit.as_deref().and_then(Commit::parse);
        let commit = commit.ok_or_else(|| wrong("X-Repo-Commit", described.commit))?;
        let digest = described.etag.as_deref().and_then(Digest::from_etag);
        let digest = digest.ok_or_else(|| wrong("ETag", described.etag))?;
        let size = described.size.as_deref().map(|size| {
            size.parse::<u64>()
                .map_err(|_| Fault::Response(format!("its length is {size:?}; expected a number")))
        });
        let (size, limit) = (size.transpose()?, source::limit(file));
        if size.is_some_and(|size| size > limit) {
            let size = size.unwrap_or_default();
            return Err(Fault::Response(format!("{size} bytes; LoRB accepts at most {limit}")));
        }
        if size.is_none() && limit == MAX_DOWNLOAD_BYTES {
            return Err(Fault::Response("the length of the file is not stated".into()));
        }
        if self.commit.as_ref().is_some_and(|first| *first != commit) {
            return Err(Fault::Response(format!("commit {commit}, where {from} was requested")));
        }
        self.download(file, &commit, &Expected { digest: &digest, size, limit })?;
        let path = self.cache.point(&commit, file, &digest)?;
        self.cache.set_ref(revision, &commit)?;
        self.commit = Some(commit);
        Ok(path)
    }

    /// Puts a content into the cache, unless it is there.
    fn download(&self, file: &str, commit: &Commit, expected: &Expected<'_>) -> Result<(), Fault> {
        let (cache, digest) = (&self.cache, expected.digest);
        let (blob, part) = (cache.blob(digest), cache.part(digest));
        if let Some(folder) = blob.parent() {
            fs::create_dir_all(folder)?;
        }
        let what = format!("{}: {file}", self.model);
        let _lock = lock::acquire(&cache.lock(digest), &what, self.quiet)?;
        // Another process may have downloaded it meanwhile. An older version may have left another content.
        if blob.is_file() && fits(&blob, digest)? {
            return Ok(());
        }
        let url = self.url(&commit.to_string(), file)?;
        let mut meter = Meter::new(self.quiet, expected.size);
        let done = download(&self.client, &url, &part, expected, |bytes| {
            let megabytes = |bytes: u64| bytes as f64 / 1e6;
            meter.update(bytes, || match expected.size {
                Some(all) => {
                    format!("{file}, {:.1} of {:.1} MB", megabytes(bytes), megabytes(all))
                }
                None => format!("{file}, {:.1} MB", megabytes(bytes)),
            });
        });
        meter.finish();
        done?;
        Ok(cache.accept(digest)?)
    }
}

fn fits(path: &Path, digest: &Digest) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    digest.fits(&mut file, length)
}

/// Whether a file has this SHA-256.
pub fn has_sha256(path: &Path, digits: &str) -> io::Result<bool> {
    Digest::parse(digits).map_or(Ok(false), |digest| fits(path, &digest))
}

/// The first of a base's files whose bytes do not have the digest that is its name in the cache, as an error. Older
/// versions did not check downloads.
pub fn damage(paths: &BasePaths) -> Option<CliError> {
    let folder = paths.weights.1.parent().unwrap_or(Path::new("."));
    let shards = source::shards(&paths.weights).unwrap_or_default();
    let shards = shards.into_iter().map(|shard| folder.join(shard));
    let mut files = paths.all().map(|(_, path)| path.to_owned()).chain(shards);
    files.find_map(|file| {
        // Only links into the cache have such names.
        let blob = fs::canonicalize(&file).ok()?;
        let digest = Digest::parse(blob.file_name()?.to_str()?)?;
        if fits(&blob, &digest).unwrap_or(true) {
            return None;
        }
        let (file, blob) = (file.display(), blob.display());
        Some(CliError::Failed(format!(
            "{file}: is damaged in the hub's cache; delete {blob} and run the command again to download it"
        )))
    })
}
