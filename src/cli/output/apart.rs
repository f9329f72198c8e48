//! Outputs that would replace an input are refused before any work.

use std::fs;
use std::path::{Path, PathBuf};

use lorb::nbest::FORMATS;

use super::parent;
use crate::cli::args::ReadArgs;
use crate::cli::error::CliError;

/// The files that a command reads and writes, each with the flag that names it.
#[derive(Debug, Default)]
pub struct Files {
    inputs: Vec<(String, PathBuf)>,
    outputs: Vec<(String, PathBuf)>,
}

impl Files {
    /// Input files or folders. Standard input and paths that do not exist have no effect.
    pub fn reads<'a>(
        mut self,
        flag: &str,
        paths: impl IntoIterator<Item = &'a (impl AsRef<Path> + 'a + ?Sized)>,
    ) -> Self {
        let paths = paths.into_iter().map(|path| (flag.to_owned(), path.as_ref().to_owned()));
        self.inputs.extend(paths);
        self
    }

    /// Files of an input directory.
    pub fn reads_in(self, flag: &str, directory: &Path, names: &[&str]) -> Self {
        let paths: Vec<PathBuf> = names.iter().map(|name| directory.join(name)).collect();
        self.reads(flag, &paths)
    }

    /// Files that are read with lists: references and the manifest.
    pub fn reads_with(self, args: &ReadArgs) -> Self {
        self.reads("--references", &args.references).reads("--manifest", &args.manifest)
    }

    /// An output file. Standard output, `-`, is compared if it is redirected to a file.
    pub fn writes(mut self, flag: &str, path: &Path) -> Self {
        self.outputs.push((flag.to_owned(), path.to_owned()));
        self
    }

    /// Files of an output directory.
    pub fn writes_in(mut self, flag: &str, directory: &Path, names: &[&str]) -> Self {
        self.outputs.extend(names.iter().map(|name| (flag.to_owned(), directory.join(name))));
        self
    }

    /// Refuses an output that is an input or another output, by any name: also through links.
    pub fn check(&self) -> Result<(), CliError> {
        for (at, (flag, path)) in self.outputs.iter().enumerate() {
            let refuse = |other: &str, same: &Path| {
                let (shown, same) = (path.display(), same.display());
                let message = format!("{flag} {shown}: is the same file as {other} {same}");
                Err(CliError::Failed(message + "; choose another one"))
            };
            let own = id(path, Side::Output);
            if own.is_some() {
                for (input, read) in &self.inputs {
                    if id(read, Side::Input) == own || in_folder(path, read) {
                        return refuse(input, read);
                    }
                }
            }
            for (other, written) in &self.outputs[..at] {
                let same = own.is_some() && id(written, Side::Output) == own;
                if same || own.is_none() && place(path).is_some_and(|p| place(written) == Some(p)) {
                    return refuse(other, written);
                }
            }
        }
        Ok(())
    }
}

/// Refuses an output directory that is the directory of an input.
pub fn check_directory(flag: &str, path: &Path, input: &str, read: &Path) -> Result<(), CliError> {
    if read.is_dir() && id_of_directory(path).is_some_and(|id| id_of_directory(read) == Some(id)) {
        let shown = path.display();
        let message = format!("{flag} {shown}: is the directory of {input}; choose another one");
        return Err(CliError::Failed(message));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Side {
    Input,
    Output,
}

/// Whether an output is a file that the reader of the input folder may open.
fn in_folder(output: &Path, folder: &Path) -> bool {
    let name = output.file_name().and_then(|name| name.to_str());
    let named = name.is_some_and(|name| FORMATS.iter().any(|format| format.opens(name)));
    named
        && folder.is_dir()
        && fs::canonicalize(output)
            .is_ok_and(|output| fs::canonicalize(folder).is_ok_and(|all| output.starts_with(all)))
}

/// Directory and name of a file that does not exist.
fn place(path: &Path) -> Option<(PathBuf, &std::ffi::OsStr)> {
    let parent = parent(path);
    let directory = fs::canonicalize(parent).or_else(|_| std::path::absolute(parent)).ok()?;
    Some((directory, path.file_name()?))
}

/// What identifies an existing regular file. `None` for all else, which is not replaced. `-` is standard input or
/// output.
#[cfg(unix)]
fn id(path: &Path, side: Side) -> Option<(u64, u64)> {
    use std::io::{stdin, stdout};
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let found = if path.as_os_str() == "-" {
        let stream = match side {
            Side::Input => stdin().as_fd().try_clone_to_owned(),
            Side::Output => stdout().as_fd().try_clone_to_owned(),
        };
        fs::File::from(stream.ok()?).metadata().ok()?
    } else {
        fs::metadata(path).ok()?
    };
    found.is_file().then(|| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn id(path: &Path, _: Side) -> Option<PathBuf> {
    path.is_file().then(|| fs::canonicalize(path).ok()).flatten()
}

#[cfg(unix)]
fn id_of_directory(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn id_of_directory(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}
