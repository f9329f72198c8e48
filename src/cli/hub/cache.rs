//! The cache, in the layout of Python's huggingface_hub:
//!
//!     models--owner--name/blobs/DIGEST                 contents
//!     models--owner--name/snapshots/COMMIT/FILE        relative links to them
//!     models--owner--name/.no_exist/COMMIT/FILE        empty: the commit has no such file
//!     models--owner--name/refs/REVISION                the commit of a branch or tag
//!     .locks/models--owner--name/DIGEST.lock           held during a download

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::digest::{Commit, Digest};

/// The cache of one repository.
pub struct RepoCache {
    folder: PathBuf,
    locks: PathBuf,
}

impl RepoCache {
    /// `model` has been checked: its characters are valid in a file name.
    pub fn new(cache: &Path, model: &str) -> Self {
        let name = format!("models--{}", model.replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// The commit of a revision: itself, or from its ref.
    pub fn commit(&self, revision: &str) -> Option<Commit> {
        if let Some(commit) = Commit::parse(revision) {
            return Some(commit);
        }
        let path = self.folder.join("refs").join(revision);
        if !path.is_file() {
            return None;
        }
        let mut text = String::new();
        File::open(path).ok()?.take(64).read_to_string(&mut text).ok()?;
        Commit::parse(text.trim())
    }

    /// A file of a commit, if its content is there.
    pub fn file(&self, commit: &Commit, name: &str) -> Option<PathBuf> {
        Some(self.pointer(commit, name)).filter(|path| path.is_file())
    }

    /// Whether the hub said that a commit has no such file.
    pub fn is_absent(&self, commit: &Commit, name: &str) -> bool {
        self.absence(commit, name).is_file()
    }

    /// Records that a commit has no such file.
    pub fn set_absent(&self, commit: &Commit, name: &str) -> io::Result<()> {
        let marker = self.absence(commit, name);
        fs::create_dir_all(marker.parent().unwrap_or(&self.folder))?;
        File::create(marker).map(drop)
    }

    fn absence(&self, commit: &Commit, name: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit.to_string()).join(name)
    }

    fn pointer(&self, commit: &Commit, name: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit.to_string()).join(name)
    }

    /// The place of a content.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.as_str())
    }

    /// The place of its download.
    pub fn part(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(format!("{}.incomplete", digest.as_str()))
    }

    pub fn lock(&self, digest: &Digest) -> PathBuf {
        self.locks.join(format!("{}.lock", digest.as_str()))
    }

    /// Moves a complete and checked download to its place.
    pub fn accept(&self, digest: &Digest) -> io::Result<()> {
        fs::rename(self.part(digest), self.blob(digest))
    }

    /// Makes a content a file of a commit.
    pub fn point(&self, commit: &Commit, name: &str, digest: &Digest) -> io::Result<PathBuf> {
        let pointer = self.pointer(commit, name);
        let folder = pointer.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        let target = Path::new("..").join("..").join("blobs").join(digest.as_str());
        if fs::read_link(&pointer).is_ok_and(|old| old == target) {
            return Ok(pointer);
        }
        // Under another name first, so that readers see the old file or the new one.
        let new = folder.join(format!(".lorb-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&new);
        if link(&target, &new).is_err() {
            // Windows allows links only to some users. Python's client then moves or copies the content.
            fs::copy(self.blob(digest), &new)?;
        }
        fs::rename(&new, &pointer).inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })?;
        Ok(pointer)
    }

    /// Records the commit of a branch or tag.
    pub fn set_ref(&self, revision: &str, commit: &Commit) -> io::Result<()> {
        if Commit::parse(revision).is_some() || self.commit(revision).as_ref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(commit.to_string().as_bytes())?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(windows)]
fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, path)
}
