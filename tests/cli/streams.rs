//! Standard streams that are closed, full, or read by nobody.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::process::{Command, Stdio};

use crate::sandbox::{Run, Sandbox};

const RESCORE: &str = "rescore --model base --adapter adapter --beta 1 --device cpu lists.jsonl";
const TRAIN: &str = "train --model base --device cpu --train lists.jsonl --epochs 1 --output new";

/// Runs the program with bash's redirections.
fn redirected(sandbox: &Sandbox, words: &str, redirections: &str) -> Run {
    let binary = assert_cmd::cargo::cargo_bin!("lorb");
    let script = format!("exec {} {words} {redirections}", binary.display());
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(sandbox.path("")).env("HF_HUB_OFFLINE", "1");
    shell.env("HF_HOME", sandbox.path("hub")).stdin(Stdio::null());
    shell.output().unwrap().into()
}

/// Messages, warnings, progress and errors, at the start, in the middle and at the end.
#[test]
fn a_standard_error_that_cannot_be_written_changes_nothing() {
    let study = "name = \"s\"\nbases = [\"base\"]\n[target]\nname = \"t\"\ntrain = [\"lists.jsonl\"]\n\
                 dev = [\"lists.jsonl\"]\ntest = [\"lists.jsonl\"]\n[learning_rates]\nall = 1e-2\n\
                 [[grid]]\npart = \"methods\"\nmethods = [\"first-pass\"]\n";
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", study);
    sandbox.write("some.jsonl", sandbox.text("lists.jsonl") + "{\n");
    let cases = [
        (TRAIN.to_owned(), 0, false),
        (format!("{TRAIN} --dev lists.jsonl -q"), 0, true),
        (RESCORE.to_owned(), 0, true),
        (format!("{RESCORE} some.jsonl -q --skip-invalid"), 0, true),
        (format!("{RESCORE} some.jsonl"), 1, false),
        ("tune --model base --adapter adapter --device cpu --dev lists.jsonl".to_owned(), 0, true),
        ("export --web --model base -o web".to_owned(), 0, false),
        ("study study.toml -o out --device cpu".to_owned(), 0, true),
        ("eval nothing.jsonl".to_owned(), 1, false),
        ("eval --fly".to_owned(), 2, false),
    ];
    for (words, code, prints) in cases {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let full = File::options().write(true).open("/dev/full").unwrap();
        for (name, stderr) in [("no reader", Stdio::from(writer)), ("full", Stdio::from(full))] {
            for folder in ["new", "out", "web"] {
                // A folder of the last run.
                let _ = std::fs::remove_dir_all(sandbox.path(folder));
            }
            let mut command = Command::new(assert_cmd::cargo::cargo_bin!("lorb"));
            command.args(words.split(' ')).current_dir(sandbox.path("")).stderr(stderr);
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{words}: {name}");
            assert_eq!(output.stdout.is_empty(), !prints, "{words}: {name}");
        }
        for folder in ["new", "out", "web"] {
            let _ = std::fs::remove_dir_all(sandbox.path(folder));
        }
        assert_eq!(redirected(&sandbox, &words, "2>&-").code, Some(code), "{words}: closed");
    }
}

#[test]
fn a_closed_standard_output_is_an_error_but_dev_null_is_not() {
    let sandbox = Sandbox::new();
    let commands = [
        RESCORE,
        "eval lists.jsonl",
        "eval --json lists.jsonl",
        "inspect base",
        "tune --model base --adapter adapter --device cpu --dev lists.jsonl",
        "doctor --device cpu",
        "--help",
        "--version",
    ];
    for words in commands {
        let run = redirected(&sandbox, words, ">&-");
        run.failed(1, "error: standard output: is closed\n");
        // Callers open /dev/null for reading and writing too, as Rust's runtime does for closed streams.
        for null in [">/dev/null", "1<>/dev/null"] {
            assert_eq!(redirected(&sandbox, words, null).done(), "", "{words} {null}");
        }
    }
    // Nothing is lost where nothing is printed.
    let run = redirected(&sandbox, TRAIN, ">&-");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    redirected(&sandbox, &format!("{RESCORE} -o out.jsonl"), ">&-").done();
    assert_eq!(
        sandbox.text("out.jsonl").lines().count(),
        sandbox.text("lists.jsonl").lines().count()
    );
}

#[test]
fn a_closed_standard_input_is_not_an_empty_one() {
    let sandbox = Sandbox::new();
    let words = RESCORE.replace("lists.jsonl", "-");
    redirected(&sandbox, &words, "<&-").failed(1, "error: standard input: is closed\n");
    assert_eq!(redirected(&sandbox, &words, "</dev/null").done(), "");
}
