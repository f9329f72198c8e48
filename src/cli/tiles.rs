//! `--tiles measured`: the file of measured tiles.
//!
//! It is a cache, `lorb/tiles.json` in the user's cache directory. A file that cannot be read or written causes a
//! warning, and the tiles are measured again.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Instant;

use burn::tensor::Device;
use lorb::bounds::MAX_JSON_BYTES;
use lorb::ops::wgsl::{DeviceTiles, measure_tiles, tiles_of, use_tiles};
use serde::{Deserialize, Serialize};

use super::error::CliError;
use super::output::write_file;
use super::terminal::say;

/// How tiles of matrix products are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TilesArg {
    /// From LoRB's table.
    #[default]
    Table,
    /// By measurements of this machine's GPU.
    Measured,
}

impl fmt::Display for TilesArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Measured => "measured",
        })
    }
}

impl FromStr for TilesArg {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = [Self::Table, Self::Measured].into_iter().find(|arg| arg.to_string() == name);
        found.ok_or_else(|| format!("unknown choice {name:?}; choose table or measured"))
    }
}

/// The file: the choices of every adapter, with the version that measured them.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    devices: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    lorb: String,
    #[serde(flatten)]
    of: DeviceTiles,
}

impl Stored {
    /// Empty if there is no file yet.
    fn read(path: &Path) -> Result<Self, String> {
        let length = match fs::metadata(path) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(error.to_string()),
        };
        if length > MAX_JSON_BYTES {
            return Err(format!("it has {length} bytes; expected at most {MAX_JSON_BYTES}"));
        }
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    fn write(&self, path: &Path) -> Result<(), CliError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| CliError::io("create", folder, &error))?;
        }
        let text = serde_json::to_vec_pretty(self);
        let text = text.map_err(|error| CliError::at(path.display(), &error))?;
        write_file(path, &text)
    }

    /// Replaces the choices of an adapter, and drops those of other versions.
    fn put(&mut self, of: DeviceTiles) {
        let lorb = env!("CARGO_PKG_VERSION").to_owned();
        self.devices.retain(|entry| entry.lorb == lorb && entry.of.adapter != of.adapter);
        self.devices.push(Entry { lorb, of });
    }

    fn take(self, adapter: &str) -> Option<DeviceTiles> {
        let version = env!("CARGO_PKG_VERSION");
        let mut all = self.devices.into_iter();
        all.find(|entry| entry.lorb == version && entry.of.adapter == adapter).map(|entry| entry.of)
    }
}

/// The device whose tiles are measured, and the file.
static MEASURED: OnceLock<(Device, PathBuf)> = OnceLock::new();

/// Uses the stored choices for a GPU, and measures the others from now on.
pub fn measure(device: &Device) {
    let Some(adapter) = tiles_of(device).map(|of| of.adapter) else { return };
    let Some(path) = path() else {
        say!("warning: --tiles measured: no cache directory; the choices are not stored");
        return measure_tiles(device, seconds);
    };
    match Stored::read(&path) {
        Ok(stored) => {
            if let Some(of) = stored.take(&adapter) {
                use_tiles(device, of);
            }
        }
        Err(error) => say!("warning: {}: {error}; tiles are measured again", path.display()),
    }
    measure_tiles(device, seconds);
    let _ = MEASURED.set((device.clone(), path));
}

/// Stores what was measured. Called at the end of a command.
pub fn store() {
    let Some((device, path)) = MEASURED.get() else { return };
    let Some(of) = tiles_of(device).filter(|of| !of.tiles.is_empty()) else { return };
    let mut stored = Stored::read(path).unwrap_or_default();
    stored.put(of);
    if let Err(error) = stored.write(path)
        && let Some(message) = error.message()
    {
        say!("warning: --tiles measured: {message}");
    }
}

fn path() -> Option<PathBuf> {
    dirs::cache_dir().map(|cache| cache.join("lorb").join("tiles.json"))
}

/// Seconds since the first call.
fn seconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(adapter: &str, rows: u32) -> DeviceTiles {
        let tiles = format!(
            r#"[{{"product":"linear_f32","rows":{rows},"inner":384,"columns":1152,"tile":"64x64/256"}}]"#
        );
        let tiles = serde_json::from_str(&tiles).expect("valid");
        DeviceTiles { adapter: adapter.to_owned(), tiles }
    }

    #[test]
    fn the_file_has_the_last_choices_of_every_adapter() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("tiles.json");
        let mut stored = Stored::read(&path).expect("a missing file is not an error");
        stored.put(choices("one", 64));
        stored.put(choices("two", 64));
        stored.put(choices("one", 128));
        stored.devices.push(Entry { lorb: "0.0.0".to_owned(), of: choices("three", 64) });
        stored.write(&path).expect("written");
        let read = || Stored::read(&path).expect("a valid file");
        assert_eq!(read().devices.len(), 3);
        assert_eq!(read().take("one"), Some(choices("one", 128)));
        assert_eq!(read().take("two"), Some(choices("two", 64)));
        assert_eq!(read().take("three"), None, "another version of LoRB");
        let mut stored = read();
        stored.put(choices("one", 64));
        assert_eq!(stored.devices.len(), 2);
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("tiles.json");
        let unknown = r#"{"devices":[{"lorb":"0.1.0","adapter":"a","tiles":[{"product":"p","rows":1,"inner":1,"columns":1,"tile":"7x7/7"}]}]}"#;
        for (text, expected) in [("{", "EOF"), ("[]", "invalid"), (unknown, "no tile is called")] {
            fs::write(&path, text).expect("written");
            let error = Stored::read(&path).err().expect("damaged");
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn choices_have_names() {
        for arg in [TilesArg::Table, TilesArg::Measured] {
            assert_eq!(arg.to_string().parse(), Ok(arg));
        }
        assert!("auto".parse::<TilesArg>().is_err());
    }
}
