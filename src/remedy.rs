//! Remedies for errors, independent of the interface.
//!
//! Errors of the library name the cause. A remedy is a flag on the command line and an option in JavaScript, so errors
//! have [`Remedy`] values, and each interface phrases them.

/// A possible remedy for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Compute fewer tokens at once.
    SmallerBatches,
    /// Train with gradient checkpointing.
    GradientCheckpointing,
    /// Use a tuning method that trains fewer parameters.
    FewerParameters,
    /// Store the base's linear layers in f16 or int8.
    LowerPrecision,
    /// Store the base's linear layers in f16, but compute in f32.
    ComputeInF32,
    /// Compute on the CPU.
    UseCpu,
    /// Try again.
    Retry,
    /// Update the GPU's driver.
    UpdateDriver,
    /// Do not use the experimental kernels for matrix units.
    NoMatrixUnits,
    /// List the adapters of this machine.
    ListAdapters,
    /// Check every kernel on the device.
    CheckKernels,
    /// Fetch a file that Git LFS stores.
    FetchFromLfs,
    /// Download a file again.
    DownloadAgain,
    /// Convert weights to safetensors.
    ConvertToSafetensors,
    /// Save a text in UTF-8.
    SaveAsUtf8,
    /// Unpack an archive.
    Unpack,
}

impl Remedy {
    /// All remedies.
    pub const ALL: [Self; 16] = [
        Self::SmallerBatches,
        Self::GradientCheckpointing,
        Self::FewerParameters,
        Self::LowerPrecision,
        Self::ComputeInF32,
        Self::UseCpu,
        Self::Retry,
        Self::UpdateDriver,
        Self::NoMatrixUnits,
        Self::ListAdapters,
        Self::CheckKernels,
        Self::FetchFromLfs,
        Self::DownloadAgain,
        Self::ConvertToSafetensors,
        Self::SaveAsUtf8,
        Self::Unpack,
    ];

    /// Joins phrases: `a`, `a or b`, `a, b, or c`. `words` returns the phrase of a remedy, or `None` if the interface
    /// lacks it.
    pub fn join(all: &[Self], words: impl Fn(Self) -> Option<&'static str>) -> Option<String> {
        let phrases: Vec<&str> = all.iter().filter_map(|&remedy| words(remedy)).collect();
        match phrases.as_slice() {
            [] => None,
            [one] => Some((*one).to_owned()),
            [one, other] => Some(format!("{one} or {other}")),
            [several @ .., last] => Some(format!("{}, or {last}", several.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn phrases_are_joined_as_a_sentence_lists_them() {
        let words = |remedy| match remedy {
            Remedy::Retry => Some("try again"),
            Remedy::UseCpu => Some("use the CPU"),
            Remedy::UpdateDriver => Some("update the driver"),
            _ => None,
        };
        use Remedy::{Retry, SmallerBatches, UpdateDriver, UseCpu};
        let joined = |all: &[Remedy]| Remedy::join(all, words);
        assert_eq!(joined(&[SmallerBatches]), None);
        assert_eq!(joined(&[Retry, SmallerBatches]).as_deref(), Some("try again"));
        assert_eq!(joined(&[Retry, UseCpu]).as_deref(), Some("try again or use the CPU"));
        assert_eq!(
            joined(&[Retry, UpdateDriver, UseCpu]).as_deref(),
            Some("try again, update the driver, or use the CPU")
        );
    }

    /// Source files of the library: everything but the command line.
    fn library(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("the sources").map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("src/cli") {
                library(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }

    /// Whether a line of code names a flag or a command of the CLI. Custom properties of CSS look like flags.
    fn names_the_cli(line: &str) -> bool {
        let code = line.trim_start();
        let flag = code.match_indices("--").any(|(at, dashes)| {
            let (before, after) = (&code[..at], &code[at + dashes.len()..]);
            after.starts_with(|c: char| c.is_ascii_lowercase())
                && !before.ends_with("var(")
                && !before.ends_with(['{', ';', '-'])
        });
        let command = ["train", "tune", "rescore", "eval", "inspect", "doctor", "bench", "study"]
            .iter()
            .any(|command| code.contains(&format!("`lorb {command}")));
        !code.starts_with("//") && (flag || command)
    }

    #[test]
    fn the_library_names_no_flags_and_no_commands() {
        assert!(names_the_cli(r#"    "out of memory; lower --batch-tokens""#));
        assert!(names_the_cli(r#"    "`lorb doctor` lists the adapters""#));
        assert!(!names_the_cli(r#"    ":root{--line:#bbb;--soft:#fff} a{color:var(--line)}""#));
        let mut files = Vec::new();
        library(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        assert!(files.len() > 100, "{} files", files.len());
        for path in files.iter().filter(|path| !path.ends_with("src/remedy.rs")) {
            let text = fs::read_to_string(path).expect("a source file");
            for (at, line) in text.lines().enumerate() {
                assert!(!names_the_cli(line), "{}:{}: {line}", path.display(), at + 1);
            }
        }
    }
}
