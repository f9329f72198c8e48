//! Valid files of every kind, which are then damaged.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::sandbox::Sandbox;

/// A training that is interrupted, to leave a checkpoint. `--resume` and the same words continue it.
pub const TRAIN: &str = "train -q --device cpu --model base --train lists.jsonl --dev lists.jsonl --output trained --batch-tokens 40 --epochs 2 --checkpoint-every 1";

const STUDY: &str = include_str!("../../shared/study.toml");

/// A sandbox that also has lists in the other formats, a base with a vocabulary, adapters of all methods, an
/// interrupted training and a finished study.
pub fn prepare(methods: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&sandbox.read("lists.jsonl")).unwrap();
    sandbox.write("lists.jsonl.gz", packed.finish().unwrap());
    for rank in 1..=3 {
        let folder = format!("espnet/output.1/{rank}best_recog");
        sandbox.write(&format!("{folder}/text"), "u1 play some music\nu2 two too\nu3 wait\n");
        sandbox.write(
            &format!("{folder}/score"),
            format!("u1 tensor(-{rank}.5)\nu2 -{rank}\nu3 -{rank}e0\n"),
        );
    }
    sandbox.write("references", "u1 play some music\nu2 to two\nu3 weight\n");
    for file in ["config.json", "vocab.txt", "model.safetensors"] {
        sandbox.write(&format!("plain/{file}"), sandbox.read(&format!("base/{file}")));
    }
    sandbox.write(
        "plain/tokenizer_config.json",
        r#"{"do_lower_case":true,"tokenizer_class":"BertTokenizer"}"#,
    );
    for method in methods {
        // The default width is that of larger bases.
        let width = if *method == "houlsby" { "--adapter-width 3" } else { "" };
        let words = format!("--output {method} --method {method} {width}");
        sandbox.run(&TRAIN.replace("--output trained", &words)).done();
    }
    interrupted(&sandbox);
    sandbox.write("study.toml", STUDY);
    sandbox.write("words.dict", "to T UW\ntwo T UW\ntoo T UW\nwait W EY T\nweight W EY T\n");
    sandbox.run("study -q --device cpu study.toml -o study").done();
    sandbox
}

/// Kills a training after its first checkpoint, and tries again if it was faster.
fn interrupted(sandbox: &Sandbox) {
    let checkpoint = sandbox.path("trained/checkpoint.safetensors");
    for _ in 0..50 {
        let _ = fs::remove_dir_all(sandbox.path("trained"));
        let mut command: Command = sandbox.process();
        command.args(TRAIN.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        while child.try_wait().unwrap().is_none() && !checkpoint.exists() {
            std::thread::sleep(Duration::from_micros(200));
        }
        let _ = child.kill();
        child.wait().unwrap();
        if checkpoint.exists() {
            return;
        }
    }
    panic!("no training was interrupted in time");
}

/// Copies everything in the folder that is `wanted` by its name.
pub fn copy(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if !wanted(entry.file_name().to_str().unwrap()) {
            continue;
        } else if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target, wanted);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
