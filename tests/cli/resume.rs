//! `lorb rescore --resume`: a killed run continues, and gives byte for byte the output of an undisturbed one.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

const RESCORE: &str = "rescore --model base --adapter adapter --beta 1 --device cpu";

/// Many lists, of several chunks.
fn many(sandbox: &Sandbox, copies: usize) {
    let lists = sandbox.text("lists.jsonl");
    let all: String = (0..copies)
        .flat_map(|copy| {
            // Other texts in each copy, so that scoring takes time.
            lists.lines().map(move |line| line.replace("the", &format!("the {copy}")) + "\n")
        })
        .collect();
    sandbox.write("many.jsonl", all);
}

/// Names of LoRB's own files in the sandbox.
fn leftovers(sandbox: &Sandbox) -> Vec<String> {
    let names = fs::read_dir(sandbox.path("")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".lorb")).collect()
}

/// Starts a command and kills it after `time`; whether it was still running.
fn killed(sandbox: &Sandbox, words: &str, time: Duration) -> bool {
    let mut command = sandbox.process();
    command.args(words.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    std::thread::sleep(time);
    let running = child.try_wait().unwrap().is_none();
    // SIGKILL on Unix.
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

#[test]
fn a_run_that_is_killed_ten_times_gives_the_output_of_an_undisturbed_one() {
    let sandbox = Sandbox::new();
    many(&sandbox, 1500);
    let mut state = 7_u64;
    for (format, name) in [("", "jsonl"), ("--to trn", "trn"), ("--to icefall", "icefall")] {
        let command = format!("{RESCORE} many.jsonl {format} -o");
        let start = Instant::now();
        let undisturbed = sandbox.run(&format!("{command} expected.{name} -q"));
        let time = start.elapsed();
        let notes = undisturbed.stderr.clone();
        undisturbed.done();
        let resumed = format!("{command} out.{name} --resume -q");
        let mut kills = 0;
        for _ in 0..10 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let moment = time.mul_f64(f64::from((state >> 40) as u32) / f64::from(1 << 24));
            kills += usize::from(killed(&sandbox, &resumed, moment));
        }
        assert!(kills > 0, "{name}: no run was killed");
        let last = sandbox.run(&format!("{command} out.{name} --resume"));
        for note in notes.lines() {
            assert!(last.stderr.contains(note), "{name}: {note:?} is not in {}", last.stderr);
        }
        last.done();
        let (expected, found) =
            (sandbox.read(&format!("expected.{name}")), sandbox.read(&format!("out.{name}")));
        assert!(expected == found, "{name}: the resumed output differs after {kills} kills");
        assert!(leftovers(&sandbox).is_empty(), "{:?}", leftovers(&sandbox));
    }
}

/// A run that failed after some chunks.
fn failed(sandbox: &Sandbox) -> String {
    many(sandbox, 300);
    let good = sandbox.text("many.jsonl");
    sandbox.write("many.jsonl", format!("{good}not a list\n"));
    let run = sandbox.run(&format!("{RESCORE} many.jsonl -o out.jsonl -q"));
    assert!(run.stderr.starts_with("note: "), "{}", run.stderr);
    assert!(run.stderr.contains(" lists are complete; --resume continues after them\n"));
    run.failed(1, "many.jsonl:1801: not valid JSON");
    assert!(!sandbox.path("out.jsonl").exists());
    good
}

#[test]
fn a_run_that_failed_continues_once_its_input_is_repaired() {
    let sandbox = Sandbox::new();
    let good = failed(&sandbox);
    sandbox.write("good.jsonl", &good);
    sandbox.run(&format!("{RESCORE} good.jsonl -o expected.jsonl -q")).done();
    // From a pipe, which has another name but the same lists.
    let words = format!("{RESCORE} - -o out.jsonl --resume");
    let run = sandbox.run_with(&words, good);
    assert!(run.stderr.contains("continuing after "), "{}", run.stderr);
    assert!(run.stderr.contains("\n1800 utterances rescored (7800 hypotheses"), "{}", run.stderr);
    run.done();
    assert!(sandbox.read("out.jsonl") == sandbox.read("expected.jsonl"));
    assert!(leftovers(&sandbox).is_empty());
}

#[test]
fn another_run_is_not_continued() {
    let sandbox = Sandbox::new();
    let good = failed(&sandbox);
    let kept = leftovers(&sandbox);
    let resume = "-o out.jsonl --resume -q";
    let refused = |words: &str, why: &str| {
        let expected = format!("--resume: the earlier run cannot be continued: {why}");
        sandbox.run(words).failed(1, &expected);
        assert_eq!(leftovers(&sandbox), kept, "{words}");
    };
    refused(&format!("{RESCORE} many.jsonl --gamma 1 {resume}"), "the weights differs");
    refused(&format!("{RESCORE} many.jsonl --batch-tokens 77 {resume}"), "--batch-tokens differs");
    refused(&format!("{RESCORE} many.jsonl --to trn {resume}"), "the format differs");
    sandbox.write("many.jsonl", good.replacen("turn", "burn", 1));
    refused(&format!("{RESCORE} many.jsonl {resume}"), "the first ");
    sandbox.write("many.jsonl", sandbox.read("lists.jsonl"));
    refused(&format!("{RESCORE} many.jsonl {resume}"), "the first ");
    // Without the flag, the run starts again.
    let run = sandbox.run(&format!("{RESCORE} many.jsonl -o out.jsonl -q"));
    assert!(run.stderr.contains("the incomplete output of an earlier run is discarded"));
    run.done();
    assert_eq!(sandbox.text("out.jsonl").lines().count(), 6);
    assert!(leftovers(&sandbox).is_empty());
}

#[test]
fn only_a_file_can_be_continued() {
    let sandbox = Sandbox::new();
    let only = "--resume: only an output that is a file can be continued";
    sandbox.run(&format!("{RESCORE} lists.jsonl --resume")).failed(2, only);
    sandbox.run(&format!("{RESCORE} lists.jsonl --resume --to espnet -o out")).failed(2, only);
    let run = sandbox.run(&format!("{RESCORE} lists.jsonl --resume -o out.jsonl -q"));
    assert_eq!(run.stderr, "note: there is nothing to continue; starting from the beginning\n");
    run.done();
}
