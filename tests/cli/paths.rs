//! Paths that are not UTF-8.

#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::sandbox::{Run, Sandbox};

/// A sandbox whose names all contain a byte that is not UTF-8.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (from, to) in
        [("base", b"base\xff"), ("adapter", b"adap\xff"), ("lists.jsonl", b"list\xff")]
    {
        let to = sandbox.path("").join(OsStr::from_bytes(to));
        std::fs::rename(sandbox.path(from), to).unwrap();
    }
    sandbox
}

/// The program, with `@` for the byte.
fn command(sandbox: &Sandbox, words: &str) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("lorb"));
    command
        .current_dir(sandbox.path(""))
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", sandbox.path("hub"));
    for word in words.split(' ') {
        let bytes: Vec<u8> = word.bytes().map(|b| if b == b'@' { 0xff } else { b }).collect();
        command.arg(OsStr::from_bytes(&bytes));
    }
    command
}

fn run(sandbox: &Sandbox, words: &str) -> Run {
    command(sandbox, words).output().unwrap().into()
}

#[test]
fn every_command_accepts_them() {
    let sandbox = sandbox();
    let device = "--device cpu";
    run(&sandbox, &format!("train {device} --model base@ --train list@ --dev list@ --epochs 1 --log-json log@ -o new@")).done();
    run(
        &sandbox,
        &format!(
            "train {device} --model base@ --train list@ --epochs 1 --init-adapter adap@ -o two@"
        ),
    )
    .done();
    let reads = [
        format!("tune {device} --model base@ --adapter new@ --dev list@"),
        format!("rescore {device} --model base@ --adapter new@ list@ -o out@"),
        format!("eval {device} --model base@ --adapter new@ list@"),
        "inspect base@".to_owned(),
        "inspect new@ --model base@".to_owned(),
        "inspect list@".to_owned(),
        "export --web --model base@ -o web@".to_owned(),
        "bench --device cpu --seconds 0.01 --tokens 64 --model base@".to_owned(),
    ];
    for words in reads {
        run(&sandbox, &words).done();
    }
    let json =
        run(&sandbox, &format!("eval --json {device} --model base@ --adapter new@ list@")).done();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["model"], "base\u{fffd}");
    assert_eq!(json["files"][0], "list\u{fffd}");
    run(&sandbox, "eval nothing@").failed(1, "nothing\u{fffd}: cannot read: no such file");
    let missing = "eval --model no@ --adapter new@ list@";
    run(&sandbox, missing).failed(1, "--model no\u{fffd}: neither a directory nor a hub id");
}

#[test]
fn a_study_in_such_a_directory_runs_its_cells() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("").join(OsStr::from_bytes(b"study\xff"));
    std::fs::create_dir(&folder).unwrap();
    for name in ["base", "lists.jsonl"] {
        std::fs::rename(sandbox.path(name), folder.join(name)).unwrap();
    }
    let config = "name = \"s\"\nbases = [\"base\"]\n[target]\nname = \"t\"\ntrain = [\"lists.jsonl\"]\n\
                  dev = [\"lists.jsonl\"]\ntest = [\"lists.jsonl\"]\n[learning_rates]\nall = 1e-2\n\
                  [training]\nepochs = 1\n[[grid]]\npart = \"methods\"\nmethods = [\"lora\"]\n";
    std::fs::write(folder.join("study.toml"), config).unwrap();
    run(&sandbox, "study study@/study.toml -o out@ --device cpu").done();
    run(&sandbox, "study study@/study.toml -o out@ --report-only").done();
}

/// Ctrl-C, and then the printed command in a shell.
#[test]
fn the_command_to_resume_works() {
    let sandbox = sandbox();
    let words = "train --device cpu --model base@ --train list@ --dev list@ -o new@ --batch-tokens 40 --epochs 300 --evals-per-epoch 1";
    let mut child =
        command(&sandbox, words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    while !seen.contains("dev WER") {
        assert_ne!(stderr.read_line(&mut seen).unwrap(), 0, "ended early: {seen}");
    }
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let rest: Vec<String> = stderr.lines().map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest:?}");
    let last = rest.last().unwrap();
    let (_, again) = last.split_once("resume with: ").unwrap_or_else(|| panic!("{last}"));
    assert!(again.contains(r"-o $'new\xff'") && again.ends_with(" --resume"), "{again}");
    let shell = Command::new("bash").args(["-c", again]).current_dir(sandbox.path("")).output();
    let run: Run = shell.unwrap().into();
    assert!(run.stderr.contains(" steps already done"), "{}", run.stderr);
    run.done();
}
