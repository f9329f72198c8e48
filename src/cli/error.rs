//! Errors of commands: a message of one line with what to do about it, and an exit code.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use lorb::bench::BenchError;
use lorb::device::DeviceError;
use lorb::foreign::Foreign;
use lorb::model::DeviceFault;
use lorb::ops::UnsupportedPrecision;
use lorb::remedy::Remedy;

/// A command's failure.
#[derive(Debug)]
pub enum CliError {
    /// A flag has an invalid value: exit code 2, as for clap's own errors.
    Usage(String),
    /// A command line that clap rejects: exit code 2.
    Parsing(Box<clap::Error>),
    /// Anything else: exit code 1.
    Failed(String),
    /// A run that can be resumed: exit code 1. The command is printed in full after the message.
    Resumable { message: String, command: String },
    /// The reader closed the pipe: exit code 0, no message.
    BrokenPipe,
}

impl CliError {
    /// An error with its chain of causes; `at` names the flag or file.
    pub fn at(at: impl fmt::Display, error: &(dyn Error + 'static)) -> Self {
        Self::Failed(format!("{at}: {}", chain(error)))
    }

    /// An invalid value of a flag.
    pub fn flag(flag: &str, error: &(dyn Error + 'static)) -> Self {
        Self::Usage(format!("{flag}: {}", chain(error)))
    }

    /// A failure to read or write a file.
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::Failed(format!("{}: cannot {doing}: {}", path.display(), plain(error)))
    }

    /// A failure to write to standard output.
    pub fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::Failed(format!("standard output: cannot write: {}", plain(error)))
    }

    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Parsing(_) => 2,
            Self::Failed(_) | Self::Resumable { .. } => 1,
            Self::BrokenPipe => 0,
        }
    }

    /// The message on one line, if there is one.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Usage(text) | Self::Failed(text) => Some(one_line(text)),
            Self::Resumable { message, command } => {
                Some(format!("{} {command}", one_line(message)))
            }
            Self::Parsing(error) => Some(one_line(&error.to_string())),
            Self::BrokenPipe => None,
        }
    }
}

/// The lines of a message, joined.
pub fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// An error, its causes, and remedies. A cause that an outer message already quotes is not repeated.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    match causes(error)
        .find_map(|cause| Remedy::join(remedies(cause), |remedy| Some(phrase(remedy))))
    {
        Some(advice) => format!("{text}; {advice}"),
        None => text,
    }
}

/// An error and its causes, the outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The library's remedies for an error.
fn remedies(error: &(dyn Error + 'static)) -> &'static [Remedy] {
    if let Some(fault) = error.downcast_ref::<DeviceFault>() {
        fault.remedies()
    } else if let Some(error) = error.downcast_ref::<DeviceError>() {
        error.remedies()
    } else if let Some(error) = error.downcast_ref::<UnsupportedPrecision>() {
        error.remedies()
    } else if let Some(error) = error.downcast_ref::<BenchError>() {
        error.remedies()
    } else if let Some(what) = error.downcast_ref::<Foreign>() {
        what.remedies()
    } else {
        &[]
    }
}

/// A remedy as flags and commands.
fn phrase(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::SmallerBatches => "lower --batch-tokens",
        Remedy::GradientCheckpointing => "train with --recompute",
        Remedy::FewerParameters => {
            "use a method that trains fewer parameters, such as --method lora"
        }
        Remedy::LowerPrecision => "use --precision f16 or int8",
        Remedy::ComputeInF32 => "use --precision f16, which computes in f32",
        Remedy::UseCpu => "use --device cpu",
        Remedy::Retry => "try again",
        Remedy::UpdateDriver => "update the driver",
        Remedy::NoMatrixUnits => "omit --cooperative-matrix",
        Remedy::ListAdapters => "run `lorb doctor` to list the adapters",
        Remedy::CheckKernels => "run `lorb doctor` to check every kernel",
        Remedy::FetchFromLfs => "run `git lfs pull` in its directory, or download the file itself",
        Remedy::DownloadAgain => "download it again",
        Remedy::ConvertToSafetensors => {
            "convert it to safetensors with Transformers' save_pretrained"
        }
        Remedy::SaveAsUtf8 => "save it in UTF-8",
        Remedy::Unpack => "unpack it first",
    }
}

/// The system's message without its error number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use lorb::bench::BenchError;
    use lorb::model::{FaultKind, ModelError};
    use lorb::rescorer::RescorerError;
    use lorb::train::TrainError;

    use super::*;

    fn fault(kind: FaultKind) -> DeviceFault {
        DeviceFault { kind, message: "said so".into() }
    }

    #[test]
    fn a_device_failure_has_flags_at_any_depth() {
        let model = ModelError::Device(fault(FaultKind::Limit));
        let expected =
            "a limit of the device is exceeded (said so); lower --batch-tokens or use --device cpu";
        assert_eq!(chain(&model), expected);
        assert_eq!(chain(&TrainError::Model(model.clone())), expected);
        assert_eq!(chain(&RescorerError::Model(model.clone())), expected);
        assert_eq!(chain(&RescorerError::Train(TrainError::Model(model.clone()))), expected);
        assert_eq!(chain(&BenchError::Model(model)), expected);
        let training = TrainError::Device { fault: fault(FaultKind::OutOfMemory), kept: 8 };
        assert_eq!(
            chain(&training),
            "the device is out of memory (said so); the state of step 8 is saved in memory; lower --batch-tokens, train with \
             --recompute, use --precision f16 or int8, or use --device cpu"
        );
    }

    #[test]
    fn wrong_results_and_missing_adapters_name_the_doctor() {
        let wrong = BenchError::NotFinite { what: "a training step", value: f32::NAN };
        assert_eq!(
            chain(&wrong),
            "a training step gave NaN on seeded input: the device returns wrong results; update the driver, use \
             --device cpu, or run `lorb doctor` to check every kernel"
        );
        let none = DeviceError::NoAdapter { wanted: "GPU", found: "none".into() };
        assert!(chain(&none).ends_with("(none); run `lorb doctor` to list the adapters"));
        assert_eq!(chain(&ModelError::Stopped), "stopped");
    }

    #[test]
    fn every_flag_in_a_remedy_exists() {
        use clap::CommandFactory;
        let program = crate::cli::Cli::command();
        let flags: Vec<String> = program
            .get_subcommands()
            .flat_map(|command| command.get_arguments().filter_map(clap::Arg::get_long))
            .map(|long| format!("--{long}"))
            .collect();
        for remedy in Remedy::ALL {
            for word in phrase(remedy).split_whitespace().filter(|word| word.starts_with("--")) {
                assert!(flags.iter().any(|flag| flag == word), "{word} of {remedy:?}");
            }
        }
    }
}
