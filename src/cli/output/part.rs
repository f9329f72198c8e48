//! Temporary files next to an output, and the removal of those that killed runs left.
//!
//! Each is locked by the process that writes it. The lock ends with the process, so an unlocked one is a leftover.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use lorb::digest::sha256;
use tempfile::{Builder, NamedTempFile};

use super::lock::Lock;
use super::{parent, sync_directory};

const PREFIX: &str = ".lorb-";
const SUFFIX: &str = ".part";
const LOCK: &str = ".lock";

/// Length of a file name on most file systems.
const NAME_BYTES: usize = 255;

/// Attempts to create a temporary file while other processes remove leftovers.
const ATTEMPTS: usize = 8;

/// A temporary file in `directory`, with the permissions of a new file.
pub fn create(directory: &Path) -> io::Result<NamedTempFile> {
    for _ in 0..ATTEMPTS {
        let file = builder().tempfile_in(directory).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other("its directory does not exist"),
            // The full message would name the temporary file, which the user does not know.
            kind => kind.into(),
        })?;
        // A process that looks for leftovers between creation and lock removes the file. Without support for locks,
        // no process does.
        let taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
        if !taken && file.path().exists() {
            return Ok(file);
        }
    }
    Err(io::Error::other("its directory is changed by another process"))
}

fn builder() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

/// Removes the temporary files and the locks of killed runs from `directory`. Errors are not reported: leftovers do no
/// harm.
pub fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        if is_own(&name, SUFFIX) {
            let file = no_links(File::options().read(true).write(true)).open(&path);
            if file.is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(&path);
            }
        } else if is_own(&name, LOCK) {
            // A lock removes its file.
            drop(Lock::take(&path));
        }
    }
}

/// Whether LoRB gives files such names.
pub fn is_own(name: &OsStr, suffix: &str) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(PREFIX.as_bytes()) && name.ends_with(suffix.as_bytes())
}

/// The name of the lock of the output `name`.
pub fn lock_name(name: &OsStr) -> OsString {
    own_name(name, LOCK)
}

/// The name under which the output folder `name` is written.
pub fn folder_name(name: &OsStr) -> OsString {
    own_name(name, ".folder.part")
}

/// A name that belongs to the output `name`.
pub fn own_name(name: &OsStr, suffix: &str) -> OsString {
    let mut own = OsString::from(PREFIX);
    if name.len() + PREFIX.len() + suffix.len() <= NAME_BYTES {
        own.push(name);
    } else {
        own.push(sha256(name.as_encoded_bytes()));
    }
    own.push(suffix);
    own
}

/// The options with the one that rejects links, which someone else may have put in place of a file of LoRB.
pub fn no_links(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    }
    options
}

/// Completes a temporary file and renames it to `path`, with the permissions and owner of the file it replaces.
pub fn settle(file: NamedTempFile, path: &Path) -> io::Result<()> {
    complete(file.as_file(), path)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(parent(path))
}

/// Prepares a file for the rename to `path`: with the permissions and owner of the file it replaces, and on the disk.
pub fn complete(file: &File, path: &Path) -> io::Result<()> {
    if let Ok(old) = fs::metadata(path) {
        adopt(file, &old)?;
    }
    file.sync_all()
}

/// Gives `file` the permissions of `old`, and its owner if the system allows it.
pub fn adopt(file: &File, old: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let new = file.metadata()?;
        let differs = |old: u32, new: u32| (old != new).then_some(old);
        let owner = (differs(old.uid(), new.uid()), differs(old.gid(), new.gid()));
        if owner != (None, None) {
            // Only root can give files away; the group can often be kept.
            let _ = fchown(file, owner.0, owner.1).or_else(|_| fchown(file, None, owner.1));
        }
    }
    file.set_permissions(old.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unused_temporary_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let used = create(folder.path()).unwrap();
        fs::write(at(".lorb-killed.part"), "half").unwrap();
        fs::write(at("mine.part"), "kept").unwrap();
        fs::create_dir(at(".lorb-directory.part")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("mine.part"), at(".lorb-link.part")).unwrap();
        sweep(folder.path());
        assert!(used.path().exists() && at("mine.part").exists());
        assert!(at(".lorb-directory.part").exists() && !at(".lorb-killed.part").exists());
        drop(used);
        assert!(!fs::read_dir(folder.path()).unwrap().any(|entry| {
            let entry = entry.unwrap();
            is_own(&entry.file_name(), SUFFIX) && entry.file_type().unwrap().is_file()
        }));
    }
}
