//! Outputs: permissions, links, names, inputs, leftovers, and one writer at a time.

use std::fs;

use crate::sandbox::Sandbox;

const RESCORE: &str =
    "rescore -q --model base --adapter adapter --beta 1 --device cpu lists.jsonl -o";
const TRAIN: &str = "train -q --model base --device cpu --train lists.jsonl --epochs 1 --output";
const TUNE: &str = "tune -q --model base --adapter adapter --device cpu --dev lists.jsonl";

/// Names in a directory, sorted.
fn names(sandbox: &Sandbox, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path(directory)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
#[cfg(unix)]
fn a_replaced_file_keeps_its_permissions_and_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let sandbox = Sandbox::new();
    let mode = |name: &str| fs::metadata(sandbox.path(name)).unwrap().permissions().mode() & 0o777;
    let protect = |name: &str, mode| {
        fs::set_permissions(sandbox.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    sandbox.run(&format!("{RESCORE} expected")).done();
    for private in [0o600, 0o640] {
        sandbox.write("out.jsonl", "old");
        protect("out.jsonl", private);
        sandbox.run(&format!("{RESCORE} out.jsonl")).done();
        assert_eq!(mode("out.jsonl"), private);
        assert_eq!(sandbox.read("out.jsonl"), sandbox.read("expected"));
    }
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    symlink("elsewhere/target.jsonl", sandbox.path("link")).unwrap();
    symlink("link", sandbox.path("again")).unwrap();
    // First the target does not exist, then it does.
    for _ in 0..2 {
        sandbox.run(&format!("{RESCORE} again")).done();
        assert!(fs::symlink_metadata(sandbox.path("again")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(sandbox.path("link")).unwrap().is_symlink());
        assert_eq!(sandbox.read("elsewhere/target.jsonl"), sandbox.read("expected"));
        assert_eq!(names(&sandbox, "elsewhere"), ["target.jsonl"]);
    }
    symlink("loop", sandbox.path("loop")).unwrap();
    sandbox.run(&format!("{RESCORE} loop")).failed(1, "loop: cannot write: ");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        protect(&format!("adapter/{file}"), 0o600);
    }
    sandbox.run(TUNE).done();
    sandbox.run(&format!("{TRAIN} adapter --overwrite")).done();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        assert_eq!(mode(&format!("adapter/{file}")), 0o600, "{file}");
    }
}

/// The model does not exist, so the error about the output shows that it comes before the work.
#[test]
fn impossible_names_are_reported_before_the_work() {
    let sandbox = Sandbox::new();
    let early = RESCORE.replace("--model base", "--model nowhere");
    sandbox.refuses(&format!("{early} new/"), 1, "new/: is the name of a directory");
    let long = "x".repeat(256);
    if cfg!(unix) {
        sandbox.refuses(&format!("{early} {long}"), 1, "cannot write: file name too long");
    }
    sandbox.refuses(&format!("{early} ."), 1, ".: is a directory");
    sandbox.refuses(&format!("{early} no/out"), 1, "no/out: cannot write: its directory");
    let longest = "x".repeat(255);
    sandbox.run(&format!("{RESCORE} {longest}")).done();
    assert!(sandbox.path(&longest).exists());
}

#[test]
fn an_output_that_would_replace_an_input_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("decoded/logdir/output.1/1best_recog/text", "u1 TURN ON\n");
    sandbox.write("decoded/logdir/output.1/1best_recog/score", "u1 tensor(-4.0)\n");
    sandbox.write("refs", "u1 TURN ON\n");
    sandbox.write("study.toml", "name = 'x'\n");
    fs::hard_link(sandbox.path("lists.jsonl"), sandbox.path("hard")).unwrap();
    let mut cases = vec![
        (format!("{RESCORE} lists.jsonl"), "--output lists.jsonl: is the same file as INPUT"),
        (format!("{RESCORE} hard"), "--output hard: is the same file as INPUT lists.jsonl"),
        (format!("{RESCORE} base/../lists.jsonl"), "is the same file as INPUT"),
        (format!("{RESCORE} base/config.json"), "is the same file as --model"),
        (format!("{RESCORE} adapter/adapter_config.json"), "is the same file as --adapter"),
        (
            format!("{RESCORE} decoded/logdir/output.1/1best_recog/text decoded"),
            "is the same file as INPUT decoded",
        ),
        (format!("{RESCORE} refs decoded --references refs"), "is the same file as --references"),
        (format!("{TRAIN} base"), "--output base: is the directory of --model"),
        (format!("{TRAIN} base/../base"), "is the directory of --model"),
        (format!("{TRAIN} new --log-json lists.jsonl"), "is the same file as --train"),
        (
            format!("{TRAIN} new --dev hard --log-json hard"),
            "--log-json hard: is the same file as --train lists.jsonl",
        ),
        (format!("{TRAIN} new --log-json refs --references refs"), "is the same file as --ref"),
        (
            format!("{TRAIN} new --log-json new/adapter_config.json"),
            "is the same file as --output new/adapter_config.json",
        ),
        (
            format!("{TRAIN} adapter --overwrite --dev adapter/adapter_config.json"),
            "is the same file as --dev",
        ),
        (
            format!("{TUNE} --dev adapter/adapter_config.json"),
            "--adapter adapter/adapter_config.json: is the same file as --dev",
        ),
        ("export --web -q --model base -o base".to_owned(), "is the directory of --model"),
        ("export --web -q --model base -o base --overwrite".to_owned(), "is the directory of"),
        ("demo --device cpu --model base -o base".to_owned(), "is the directory of --model"),
    ];
    if cfg!(unix) {
        #[cfg(unix)]
        std::os::unix::fs::symlink("lists.jsonl", sandbox.path("soft")).unwrap();
        cases.push((format!("{RESCORE} soft"), "--output soft: is the same file as INPUT"));
    }
    for (words, expected) in cases {
        sandbox.refuses(&words, 1, expected);
    }
    // Another file in the directory of an input is none.
    sandbox.run(&format!("{RESCORE} base/rescored.jsonl")).done();
}

#[test]
#[cfg(unix)]
fn redirected_output_that_is_the_input_is_refused() {
    let sandbox = Sandbox::new();
    let binary = assert_cmd::cargo::cargo_bin!("lorb");
    let before = sandbox.files();
    let words = RESCORE.trim_end_matches(" -o");
    for script in [
        format!("{} {words} >> lists.jsonl", binary.display()),
        format!(
            "{} {} < lists.jsonl",
            binary.display(),
            RESCORE.replace("lists.jsonl -o", "-o lists.jsonl")
        ),
    ] {
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", &script]).current_dir(sandbox.path("")).output().unwrap();
        crate::sandbox::Run::from(output).failed(1, "is the same file as INPUT");
        assert!(sandbox.files() == before, "files differ after: {script}");
    }
}

#[test]
fn an_existing_base_is_replaced_only_with_overwrite() {
    let sandbox = Sandbox::new();
    let export = "export --web -q --model base -o small";
    sandbox.run(export).done();
    let first = sandbox.read("small/model.safetensors");
    sandbox.refuses(export, 1, "--output small: contains config.json; choose another directory");
    sandbox.run(&format!("{export} --precision int8 --overwrite")).done();
    assert_ne!(sandbox.read("small/model.safetensors"), first);
    sandbox.write("small/tokenizer_config.json", "{}");
    sandbox.refuses(&format!("{export} --overwrite"), 1, "contains tokenizer_config.json, which");
}

#[test]
fn leftovers_of_killed_runs_are_removed_by_the_next() {
    let sandbox = Sandbox::new();
    let leave = |directory: &str| {
        for name in [".lorb-abc123.part", ".lorb-out.lock", ".lorb-next.part/set.json"] {
            sandbox.write(&format!("{directory}/{name}"), "");
        }
    };
    fs::create_dir(sandbox.path("results")).unwrap();
    sandbox.write("results/.lorb-abc123.part", "half");
    sandbox.write("results/.lorb-other.lock", "");
    sandbox.write("results/.lorb-mine", "kept");
    sandbox.run(&format!("{RESCORE} results/out")).done();
    assert_eq!(names(&sandbox, "results"), [".lorb-mine", "out"]);
    leave("new");
    sandbox.run(&format!("{TRAIN} new")).done();
    leave("adapter");
    sandbox.run(TUNE).done();
    let adapter = ["adapter_config.json", "adapter_model.safetensors"];
    assert_eq!(names(&sandbox, "new"), adapter);
    assert_eq!(names(&sandbox, "adapter"), adapter);
}

/// A pair whose second file another run replaced, and one that was interrupted in the middle.
#[test]
fn adapters_are_old_or_new_but_never_mixed() {
    let sandbox = Sandbox::new();
    sandbox.run(&format!("{TRAIN} old --lora-r 4 --lora-alpha 64")).done();
    sandbox.run(&format!("{TRAIN} new --lora-r 4 --lora-alpha 16")).done();
    let scores = |adapter: &str| {
        sandbox.run(&format!(
            "rescore -q --model base --adapter {adapter} --beta 1 --device cpu lists.jsonl"
        ))
    };
    let (old, new) = (scores("old").done(), scores("new").done());
    assert_ne!(old, new);
    let copy = |from: &str, to: &str| sandbox.write(to, sandbox.read(from));
    copy("new/adapter_config.json", "mixed/adapter_config.json");
    copy("old/adapter_model.safetensors", "mixed/adapter_model.safetensors");
    scores("mixed").failed(1, "do not belong together");
    // Interrupted before and after the first of its two renames.
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        copy(&format!("new/{file}"), &format!("mixed/.lorb-next/{file}"));
    }
    assert_eq!(scores("mixed").done(), new);
    copy("new/adapter_model.safetensors", "mixed/adapter_model.safetensors");
    fs::remove_file(sandbox.path("mixed/adapter_config.json")).unwrap();
    fs::remove_file(sandbox.path("mixed/.lorb-next/adapter_model.safetensors")).unwrap();
    assert_eq!(scores("mixed").done(), new);
    sandbox.run(&format!("{TRAIN} mixed")).failed(1, "contains an adapter");
    assert_eq!(names(&sandbox, "mixed"), ["adapter_config.json", "adapter_model.safetensors"]);
    assert_eq!(scores("mixed").done(), new);
}
