//! A directory with a small base, an adapter and lists, in which the command runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;

/// The result of a command.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the command prints UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Run {
    /// Asserts success and returns the output.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        assert!(!self.stderr.contains("error:"), "{}", self.stderr);
        self.stdout
    }

    /// Asserts a failure with one error line that contains `expected`, and no data.
    #[track_caller]
    pub fn failed(self, code: i32, expected: &str) {
        let errors: Vec<&str> =
            self.stderr.lines().filter(|line| line.contains("error:")).collect();
        assert_eq!(errors.len(), 1, "not one error line: {}", self.stderr);
        assert!(errors[0].starts_with("error: "), "{}", self.stderr);
        assert!(self.stderr.contains(expected), "expected {expected:?} in: {}", self.stderr);
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert_eq!(self.stdout, "", "data in addition to an error");
    }
}

pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    /// `base/`, `adapter/` (with beta 1 stored) and `lists.jsonl`, of the small BERT.
    pub fn new() -> Self {
        Self::of("tiny")
    }

    /// The same of another base among the golden files.
    pub fn of(base: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(base);
        let copy = |from: &str, to: &str| {
            let to = folder.path().join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, fs::read(golden.join(from)).unwrap()).unwrap();
        };
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            copy(file, &format!("base/{file}"));
        }
        if golden.join("vocab.txt").exists() {
            copy("vocab.txt", "base/vocab.txt");
        }
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            copy(&format!("adapter/{file}"), &format!("adapter/{file}"));
        }
        copy("lists.jsonl", "lists.jsonl");
        Self { folder }
    }

    /// A golden file that is not in the sandbox.
    pub fn golden(&self, name: &str) -> Vec<u8> {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Rewrites a JSON file.
    pub fn edit_json(&self, name: &str, edit: impl FnOnce(&mut serde_json::Value)) {
        let mut value = serde_json::from_slice(&self.read(name)).unwrap();
        edit(&mut value);
        self.write(name, value.to_string());
    }

    /// The command in this directory, without network and without the user's files.
    pub fn command(&self) -> Command {
        Command::from_std(self.process())
    }

    /// The same, for tests that start the process themselves.
    pub fn process(&self) -> std::process::Command {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("lorb"));
        command
            .current_dir(self.folder.path())
            .env("HF_HOME", self.path("hub"))
            .env("HF_HUB_OFFLINE", "1")
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("HOME", self.folder.path());
        command
    }

    /// Starts a command, sends Ctrl-C when its standard error contains all of `texts`, and returns what it wrote there
    /// until it ended with code 1.
    #[cfg(unix)]
    pub fn interrupted(&self, words: &str, texts: &[&str]) -> String {
        use std::io::{BufRead, BufReader, Read};
        use std::process::Stdio;

        let mut command = self.process();
        command.args(words.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !texts.iter().all(|text| seen.contains(text)) {
            assert_ne!(stderr.read_line(&mut seen).unwrap(), 0, "ended early: {seen}");
        }
        let id = child.id().to_string();
        let kill = std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(kill.success());
        // Keep reading while it finishes: a full pipe would block it.
        stderr.read_to_string(&mut seen).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{seen}");
        seen
    }

    /// Runs a command line whose words contain no spaces.
    pub fn run(&self, words: &str) -> Run {
        self.command().args(words.split_whitespace()).output().unwrap().into()
    }

    /// The same with the shaders that Mesa has stored in the user's cache directory, which the sandbox hides. Without
    /// them, the software adapter compiles every kernel again.
    pub fn run_with_shaders(&self, words: &str) -> Run {
        let mut command = self.command();
        if let Some(home) = std::env::var_os("HOME") {
            command.env("MESA_SHADER_CACHE_DIR", Path::new(&home).join(".cache"));
        }
        command.args(words.split_whitespace()).output().unwrap().into()
    }

    /// Runs a command line with `input` on standard input.
    pub fn run_with(&self, words: &str, input: impl Into<Vec<u8>>) -> Run {
        self.command().args(words.split_whitespace()).write_stdin(input).output().unwrap().into()
    }

    /// Every file with its bytes.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(self.folder.path(), &mut found);
        found
    }

    /// Runs a command that must fail, and checks that no files were written or changed.
    #[track_caller]
    pub fn refuses(&self, words: &str, code: i32, expected: &str) {
        let before = self.files();
        self.run(words).failed(code, expected);
        assert!(self.files() == before, "files differ after: {words}");
    }
}

/// Files with their bytes; directories are empty entries whose name ends in a slash.
fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
            found.insert(path.join(""), Vec::new());
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
}
