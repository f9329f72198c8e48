//! Runs a case and compares how it ended with how it must end.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::case::Case;
use crate::files;
use crate::limits::{self, Allowed, Ended};
use crate::sandbox::Sandbox;

/// Runs `case` in a new sandbox, and returns what it needed.
pub fn run(case: &Case) -> Result<Ended, String> {
    let sandbox = Sandbox::new();
    for file in &case.files {
        files::write(&sandbox.path(""), file);
    }
    let before = files::snapshot(&sandbox.path(""));
    let mut command = sandbox.process();
    command.args(case.command.split_whitespace()).args(&case.arguments);
    command.stdin(match &case.stdin {
        Some(path) => Stdio::from(File::open(sandbox.path("").join(path)).unwrap()),
        None => Stdio::null(),
    });
    let device = |path: &Path| File::options().write(true).open(path).unwrap();
    let allowed = Allowed {
        memory: case.memory_mb * 1_000_000,
        time: Duration::from_secs(case.seconds),
        limits: case.limits,
    };
    let stdout = case.stdout.as_deref().map(device);
    let stderr = case.stderr.as_deref().map(device);
    let ended = limits::run(command, allowed, stdout, stderr)?;
    compare(case, &ended)?;
    let after = files::snapshot(&sandbox.path(""));
    if let Some(left) = after.keys().find(|path| path.extension().is_some_and(|e| e == "part")) {
        return Err(format!("{} is left", left.display()));
    }
    if case.code != 0 && after != before {
        return Err("files of the sandbox differ afterwards".into());
    }
    Ok(ended)
}

fn compare(case: &Case, ended: &Ended) -> Result<(), String> {
    let stderr = text("standard error", &ended.stderr)?;
    let stdout = text("standard output", &ended.stdout)?;
    let error = case.error.as_deref().filter(|_| case.code != 0);
    // A word about what happened, for every complaint below.
    let seen = || format!("{}, {:?}", ended.status, clipped(stderr));
    if ended.status.code() != Some(case.code) {
        return Err(format!("expected exit code {}, not {}", case.code, seen()));
    }
    if stderr.contains("panicked") {
        return Err(format!("a panic: {}", seen()));
    }
    if case.stderr.is_none() {
        one_error_line(stderr, error)?;
    }
    if case.code != 0 && !stdout.is_empty() {
        return Err(format!("data in addition to an error: {:?}", clipped(stdout)));
    }
    if let Some(expected) = &case.output
        && !stdout.contains(expected)
    {
        return Err(format!("expected {expected:?} in the output {:?}", clipped(stdout)));
    }
    Ok(())
}

/// Checks that standard error has one error line, with `expected` in it, or none if nothing is expected.
pub fn one_error_line(stderr: &str, expected: Option<&str>) -> Result<(), String> {
    let errors: Vec<&str> = stderr.lines().filter(|line| line.contains("error:")).collect();
    let Some(expected) = expected else {
        return if errors.is_empty() { Ok(()) } else { Err(format!("an error: {errors:?}")) };
    };
    match errors[..] {
        [line] if !line.starts_with("error: ") => Err(format!("not an error line: {line:?}")),
        [line] if !line.contains(expected) => Err(format!("expected {expected:?} in {line:?}")),
        [line] if line.contains(|c: char| c.is_control()) => {
            Err(format!("control characters in {line:?}"))
        }
        [_] => Ok(()),
        _ => Err(format!("{} error lines: {:?}", errors.len(), clipped(stderr))),
    }
}

/// The output as text.
pub fn text<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8"))
}

/// The beginning of a long text.
fn clipped(text: &str) -> String {
    let mut start: String = text.chars().take(600).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}
