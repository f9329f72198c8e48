//! Outputs that cannot be written.

use crate::sandbox::Sandbox;

const RESCORE: &str =
    "rescore -q --model base --adapter adapter --beta 1 --device cpu lists.jsonl -o";
const TRAIN: &str = "train -q --model base --device cpu --train lists.jsonl --epochs 1 --output";

#[test]
fn existing_outputs_are_reported() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "mine");
    sandbox.refuses(&format!("{RESCORE} adapter"), 1, "adapter: is a directory; expected a file");
    sandbox.refuses(
        &format!("{RESCORE} no/out.jsonl"),
        1,
        "no/out.jsonl: cannot write: its directory does not exist",
    );
    sandbox.refuses(&format!("{RESCORE} file/out.jsonl"), 1, "file/out.jsonl: cannot write");
    sandbox.refuses(
        &format!("{TRAIN} file"),
        1,
        "--output file: file is a file; expected a directory",
    );
    sandbox.refuses(&format!("{TRAIN} file/new"), 1, "file/new: ");
    sandbox.refuses(
        &format!("{TRAIN} adapter"),
        1,
        "--output adapter: contains an adapter; choose another directory, or replace it with --overwrite",
    );
    sandbox.refuses(&format!("{TRAIN} new --log-json adapter"), 1, "adapter: cannot write");
    sandbox.refuses(
        "demo --device cpu --model base --output adapter",
        1,
        "--output adapter: contains an adapter",
    );
}

#[test]
#[cfg(target_os = "linux")]
fn unwritable_directories_are_reported() {
    let sandbox = Sandbox::new();
    sandbox.refuses(&format!("{RESCORE} /proc/out.jsonl"), 1, "/proc/out.jsonl: cannot write");
    sandbox.refuses(&format!("{TRAIN} /proc/new"), 1, "/proc/new: cannot write");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_gives_one_error() {
    let sandbox = Sandbox::new();
    sandbox.refuses(&format!("{RESCORE} /dev/full"), 1, "/dev/full: cannot write: no space left");
    sandbox.refuses(
        &format!("{TRAIN} new --log-json /dev/full"),
        1,
        "/dev/full: cannot write: no space left",
    );
    for command in ["eval lists.jsonl", "inspect base", "doctor"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command_line = std::process::Command::new(assert_cmd::cargo::cargo_bin!("lorb"));
        command_line.args(command.split(' ')).current_dir(sandbox.path("")).stdout(full);
        let output = command_line.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(message, "error: standard output: cannot write: no space left on device\n");
    }
}

/// A limit on file sizes makes writes fail half-way, like a full disk.
#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_fills_up_leaves_no_files() {
    let sandbox = Sandbox::new();
    let cases = [
        format!("{RESCORE} out.jsonl"),
        format!("{TRAIN} new"),
        format!("{TRAIN} new --dev lists.jsonl"),
        "tune -q --model base --adapter adapter --device cpu --dev lists.jsonl".to_owned(),
    ];
    for words in cases {
        let before = sandbox.files();
        let binary = assert_cmd::cargo::cargo_bin!("lorb");
        let script = format!("ulimit -f 1; exec {} {words}", binary.display());
        let shell = std::process::Command::new("sh")
            .args(["-c", &script])
            .current_dir(sandbox.path(""))
            .output();
        crate::sandbox::Run::from(shell.unwrap()).failed(1, "cannot write: file too large");
        assert!(sandbox.files() == before, "files differ after: {words}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_broken_pipe_is_not_an_error() {
    let sandbox = Sandbox::new();
    let binary = assert_cmd::cargo::cargo_bin!("lorb");
    for words in [RESCORE.trim_end_matches(" -o"), "eval lists.jsonl", "inspect base"] {
        let script = format!("{} {words} | true; echo ${{PIPESTATUS[0]}}", binary.display());
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .current_dir(sandbox.path(""))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{words}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words}");
    }
}
