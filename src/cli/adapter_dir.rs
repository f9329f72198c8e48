//! Adapters as directories on disk.

use std::fs;
use std::path::Path;

use lorb::adapter::{
    self, AdapterError, AdapterFiles, AdapterMeta, CONFIG_FILE, ReadOptions, WEIGHTS_FILE,
};
use lorb::base::Base;
use lorb::model::Adapter;

use super::error::CliError;
use super::output;

/// Whether a directory contains an adapter or parts of one.
pub fn holds_adapter(directory: &Path) -> bool {
    directory.join(CONFIG_FILE).exists() || directory.join(WEIGHTS_FILE).exists()
}

/// Reads an adapter's two files. `flag` is the flag that named the directory.
pub fn read_files(directory: &Path, flag: &str) -> Result<AdapterFiles, CliError> {
    if !directory.is_dir() {
        let what =
            if directory.exists() { "is a file; expected" } else { "does not exist; expected" };
        let path = directory.display();
        return Err(CliError::Failed(format!("{flag} {path}: {what} an adapter's directory")));
    }
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read(&path).map_err(|error| CliError::io("read", &path, &error))
    };
    Ok(AdapterFiles { config: read(CONFIG_FILE)?, weights: read(WEIGHTS_FILE)? })
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

/// Writes an adapter. The weights come last, so that an incomplete directory is recognisable.
pub fn write(directory: &Path, adapter: &Adapter, meta: &AdapterMeta) -> Result<(), CliError> {
    let files =
        adapter::write(adapter, meta).map_err(|error| CliError::at(directory.display(), &error))?;
    output::write_directory(
        directory,
        &[(CONFIG_FILE, &files.config), (WEIGHTS_FILE, &files.weights)],
    )
}
