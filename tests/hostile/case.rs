//! One case, as its TOML file describes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A command, the hostile files it reads, and how it must end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// `KIND/CASE`, followed by the value of `each`.
    #[serde(skip)]
    pub name: String,
    /// The case is run once for each of these: they replace `{each}` everywhere in the file.
    #[serde(default)]
    each: Vec<String>,
    /// The command line without the program, split at spaces.
    pub command: String,
    /// Further words, as they are.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// File for standard input: a path in the sandbox or a device. Without it there is no input.
    pub stdin: Option<PathBuf>,
    /// Device that standard output is sent to.
    pub stdout: Option<PathBuf>,
    /// Device that standard error is sent to; then there is no error line to check.
    pub stderr: Option<PathBuf>,
    /// The exit code.
    #[serde(default = "failure")]
    pub code: i32,
    /// Text in the error line; required if the command must fail.
    pub error: Option<String>,
    /// Text on standard output.
    pub output: Option<String>,
    /// Maximum memory in MB (10^6 bytes): the largest resident set.
    #[serde(default = "memory")]
    pub memory_mb: u64,
    /// Maximum processor time in seconds; four times as much may pass on the clock.
    #[serde(default = "seconds")]
    pub seconds: u64,
    /// Limits of the process.
    #[serde(default)]
    pub limits: ProcessLimits,
    /// The hostile files.
    #[serde(default, rename = "file")]
    pub files: Vec<HostileFile>,
}

/// What the system allows the process.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessLimits {
    /// Open files.
    pub open_files: Option<u64>,
    /// Bytes in a file that it writes.
    pub file_size: Option<u64>,
}

/// One file of the sandbox, written in the order of these fields.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostileFile {
    /// Where, relative to the sandbox. `{1..9}` makes a file for each of the numbers.
    pub path: PathBuf,
    /// A named pipe that nobody writes to.
    pub fifo: bool,
    /// A symbolic link to this.
    pub symlink: Option<PathBuf>,
    /// An empty directory.
    pub directory: bool,
    /// Starts as a copy of this file of the sandbox.
    pub copy: Option<PathBuf>,
    /// JSON pointers to remove from the copy; of safetensors, from its header.
    pub remove: Vec<String>,
    /// JSON pointers and the JSON texts to put there; of safetensors, into its header.
    pub set: BTreeMap<String, String>,
    /// Entries of a ZIP archive, which the file begins with.
    pub zip: Vec<ZipEntry>,
    /// Number of entries that the archive states, if it is false.
    pub zip_count: Option<u16>,
    /// Contents, or what is appended to the copy.
    pub parts: Vec<Part>,
    /// The file begins with the length of `parts` in eight bytes, as safetensors does.
    pub length_first: bool,
    /// The size in bytes: the file is truncated, or extended by zeros that use no disk.
    pub size: Option<u64>,
}

/// An entry of an archive. Fields that are not given are right.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZipEntry {
    pub name: String,
    pub parts: Vec<Part>,
    pub flags: u16,
    /// Compression. The contents are written as given.
    pub method: u16,
    pub crc: Option<u32>,
    /// Size in the directory.
    pub length: Option<u32>,
    /// Size after decompression in the directory.
    pub unpacked: Option<u32>,
    /// Place of the contents' record.
    pub offset: Option<u32>,
    /// The name in that record.
    pub local_name: Option<String>,
}

/// A piece of a file: one of `text`, `hex` and `parts`, several times.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub text: Option<String>,
    /// Bytes in hexadecimal digits; spaces are ignored.
    pub hex: Option<String>,
    #[serde(default)]
    pub parts: Vec<Part>,
    #[serde(default = "once")]
    pub times: u64,
    /// Compresses the piece, as one member.
    #[serde(default)]
    pub gzip: bool,
}

fn failure() -> i32 {
    1
}

fn memory() -> u64 {
    300
}

fn seconds() -> u64 {
    5
}

fn once() -> u64 {
    1
}

impl Case {
    /// All cases in the folders of `folder`, in the order of their names.
    pub fn read_all(folder: &Path) -> Vec<Self> {
        let mut cases = Vec::new();
        for kind in sorted(folder).iter().filter(|path| path.is_dir()) {
            let files = sorted(kind);
            for file in files.iter().filter(|path| path.extension().is_some_and(|e| e == "toml")) {
                let name = file.strip_prefix(folder).unwrap().with_extension("");
                cases.extend(Self::read(file, name.to_str().unwrap()));
            }
        }
        cases
    }

    fn read(file: &Path, name: &str) -> Vec<Self> {
        let text = fs::read_to_string(file).unwrap();
        let parse = |text: &str, name: String| {
            let case: Self = toml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(case.code == 0 || case.error.is_some(), "{name}: `error` is missing");
            Self { name, ..case }
        };
        let whole = parse(&text, name.to_owned());
        if whole.each.is_empty() {
            return vec![whole];
        }
        let values = whole.each.iter();
        values.map(|each| parse(&text.replace("{each}", each), format!("{name} {each}"))).collect()
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
