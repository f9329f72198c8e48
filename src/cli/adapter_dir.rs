//! Adapters as directories on disk.

use std::path::Path;

use lorb::adapter::{
    self, AdapterError, AdapterFiles, AdapterMeta, CONFIG_FILE, ReadOptions, WEIGHTS_FILE,
};
use lorb::base::{Base, TorchFile};
use lorb::bounds::{MAX_ADAPTER_BYTES, MAX_JSON_BYTES};
use lorb::model::Adapter;

use super::error::CliError;
use super::files::{open_regular, read_small, read_tensors};
use super::output::{Directory, current};

/// The files of an adapter.
pub const FILES: [&str; 2] = [CONFIG_FILE, WEIGHTS_FILE];

/// The weights as `torch.save` writes them, which are read if there are no others.
const TORCH_FILE: &str = "adapter_model.bin";

/// Attempts to read the two files of one adapter.
const REREADS: usize = 3;

/// Whether a directory contains an adapter or parts of one.
pub fn holds_adapter(directory: &Path) -> bool {
    FILES.iter().any(|name| current(directory, name).exists())
        || directory.join(TORCH_FILE).exists()
}

/// Checks that a directory exists. `flag` is the flag that named it.
pub fn expect(directory: &Path, flag: &str) -> Result<(), CliError> {
    if directory.is_dir() {
        return Ok(());
    }
    let what = if directory.exists() { "is a file; expected" } else { "does not exist; expected" };
    let path = directory.display();
    Err(CliError::Failed(format!("{flag} {path}: {what} an adapter's directory")))
}

/// Reads an adapter's two files. `flag` is the flag that named the directory.
pub fn read_files(directory: &Path, flag: &str) -> Result<AdapterFiles, CliError> {
    expect(directory, flag)?;
    let config = || read_small(&current(directory, CONFIG_FILE), MAX_JSON_BYTES);
    let weights = || {
        let (path, torch) = (current(directory, WEIGHTS_FILE), directory.join(TORCH_FILE));
        if !path.exists() && torch.exists() {
            return read_torch(&torch);
        }
        read_tensors(&path, MAX_ADAPTER_BYTES)
    };
    let mut read = (config(), weights());
    for _ in 0..REREADS {
        // Another process may replace the adapter between the two.
        let again = config();
        if matches!((&read.0, &again, &read.1), (Ok(then), Ok(now), Ok(_)) if then == now) {
            break;
        }
        read = (again, weights());
    }
    Ok(AdapterFiles { config: read.0?, weights: read.1? })
}

/// Reads weights that `torch.save` wrote, as safetensors.
fn read_torch(path: &Path) -> Result<Vec<u8>, CliError> {
    let (file, length) = open_regular(path)?;
    if length > MAX_ADAPTER_BYTES {
        let path = path.display();
        return Err(CliError::Failed(format!(
            "{path}: {length} bytes; LoRB reads at most {MAX_ADAPTER_BYTES} of such a file"
        )));
    }
    let read = TorchFile::open(file, length).and_then(TorchFile::into_safetensors);
    read.map_err(|fault| CliError::at(path.display(), &fault))
}

/// Checks the files read from `directory` against a base.
pub fn parse(
    files: &AdapterFiles,
    directory: &Path,
    flag: &str,
    base: &Base,
    options: ReadOptions,
) -> Result<(Adapter, AdapterMeta), CliError> {
    let fault =
        |error: AdapterError| CliError::at(format_args!("{flag} {}", directory.display()), &error);
    let (adapter, meta) = adapter::read_with(files, &base.config, options).map_err(fault)?;
    meta.check_base(&base.hash).map_err(fault)?;
    Ok((adapter, meta))
}

/// Writes an adapter.
pub fn write(directory: &Directory, adapter: &Adapter, meta: &AdapterMeta) -> Result<(), CliError> {
    let files = adapter::write(adapter, meta);
    let files = files.map_err(|error| CliError::at(directory.path().display(), &error))?;
    write_files(directory, &files)
}

/// Writes the files of an adapter.
pub fn write_files(directory: &Directory, files: &AdapterFiles) -> Result<(), CliError> {
    directory.replace(&[(CONFIG_FILE, &files.config), (WEIGHTS_FILE, &files.weights)])
}
