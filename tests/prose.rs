//! Rejects phrases that docs/STYLE.md bans, so that they do not come back.

use std::fs;
use std::path::{Path, PathBuf};

/// Extensions of the checked files.
const EXTENSIONS: &[&str] = &[
    "rs", "md", "ts", "js", "mjs", "wgsl", "toml", "html", "css", "py", "sh", "yml", "yaml", "json",
];
/// Directories without prose, and generated or external ones.
const SKIPPED: &[&str] = &[
    "target",
    "node_modules",
    "dist",
    "venv",
    ".git",
    ".venv",
    "golden",
    "adapters",
    "assistant",
    "dictation",
    "grammars",
    "figures",
];
/// Files that quote the phrases, or have every word.
const QUOTING: &[&str] =
    &["docs/STYLE.md", "package-lock.json", "deny.toml", "built-in/tokenizer.json"];

/// A banned phrase.
struct Phrase {
    words: Vec<String>,
    /// The phrase is allowed after these words.
    after: Vec<String>,
    /// The phrase is allowed before these words.
    before: Vec<String>,
    replacement: String,
}

impl Phrase {
    fn parse(line: &str) -> Self {
        let (phrase, replacement) =
            line.split_once(" = ").unwrap_or_else(|| panic!("no replacement: {line}"));
        let mut parsed = Self {
            words: Vec::new(),
            after: Vec::new(),
            before: Vec::new(),
            replacement: replacement.to_owned(),
        };
        let list = |text: &str| text.split(',').map(str::to_owned).collect();
        for word in phrase.split_whitespace() {
            if let Some(after) = word.strip_prefix('^') {
                parsed.after = list(after);
            } else if let Some(before) = word.strip_suffix('^') {
                parsed.before = list(before);
            } else {
                parsed.words.push(word.to_owned());
            }
        }
        parsed
    }

    /// Index of the first match in the words of a file.
    fn find<'a>(&'a self, words: &'a [(usize, String)]) -> impl Iterator<Item = usize> + 'a {
        let is = |list: &[String], at: Option<usize>| {
            at.and_then(|at| words.get(at)).is_some_and(|(_, word)| list.contains(word))
        };
        (0..words.len()).filter(move |&at| {
            let end = at + self.words.len();
            end <= words.len()
                && self.words.iter().zip(&words[at..end]).all(|(phrase, (_, word))| phrase == word)
                && !is(&self.after, at.checked_sub(1))
                && !is(&self.before, Some(end))
        })
    }
}

/// The words of a file in lower case, with their line numbers. Words may be separated by line breaks and comment marks.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let split =
            text.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '_' || c == '-'));
        let split = split.map(|word| word.trim_matches('\'')).filter(|word| !word.is_empty());
        words.extend(split.map(|word| (line + 1, word.to_lowercase())));
    }
    words
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let entry = entry.expect("a readable entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                files(&path, found);
            }
        } else if path.extension().is_some_and(|e| EXTENSIONS.contains(&&*e.to_string_lossy())) {
            found.push(path);
        }
    }
}

#[test]
fn texts_contain_no_banned_phrases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let phrases: Vec<Phrase> = include_str!("prose/banned.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Phrase::parse)
        .collect();
    let mut all = Vec::new();
    files(root, &mut all);
    assert!(all.len() > 100, "too few files: {}", all.len());
    let mut faults = Vec::new();
    for path in all {
        let name =
            path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        if QUOTING.iter().any(|quoting| name.ends_with(quoting)) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("UTF-8");
        let words = words(&text);
        for phrase in &phrases {
            for at in phrase.find(&words) {
                let (line, found) = (words[at].0, phrase.words.join(" "));
                faults.push(format!("{name}:{line}: \"{found}\"; write: {}", phrase.replacement));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} banned phrases (see docs/STYLE.md):\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn phrases_match_whole_words_across_lines() {
    let phrase = Phrase::parse("^there is no longer^ = is not a");
    let found = |text: &str| phrase.find(&words(text)).count();
    assert_eq!(found("It is\n    /// no error."), 1);
    assert_eq!(found("There is no error, and it is no longer one. This node is not."), 0);
}
