//! Runs that are interrupted, killed or started twice lose nothing. `tests/kill_many.py` does the same hundreds of times.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

const RESCORE: &str = "rescore --model base --adapter adapter --beta 1 --device cpu";
const TRAIN: &str = "train --device cpu --model base --train lists.jsonl --dev lists.jsonl --batch-tokens 40 --output";

/// Every request to stop.
const REQUESTS: [&str; 3] = ["INT", "TERM", "HUP"];

fn command(sandbox: &Sandbox, words: &str) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("lorb"));
    command
        .args(words.split_whitespace())
        .current_dir(sandbox.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn signal(name: &str, process: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), "--", process]).status().unwrap();
    assert!(sent.success());
}

/// A running command.
struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    seen: String,
}

impl Running {
    fn new(sandbox: &Sandbox, words: &str) -> Self {
        let mut child = command(sandbox, words).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, seen: String::new() }
    }

    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            assert_ne!(self.stderr.read_line(&mut self.seen).unwrap(), 0, "ended: {}", self.seen);
        }
    }

    fn signal(&self, name: &str) {
        signal(name, &self.child.id().to_string());
    }

    /// Exit code and standard error of the process.
    fn end(mut self) -> (Option<i32>, String) {
        // Standard input stays open, so the process does not end because of it.
        self.stderr.read_to_string(&mut self.seen).unwrap();
        (self.child.wait().unwrap().code(), self.seen)
    }

    /// Checks that it ends soon, with code 1 and one error line.
    fn interrupted(self, within: Duration) {
        let start = Instant::now();
        let (code, said) = self.end();
        assert!(start.elapsed() < within, "{:?}: {said}", start.elapsed());
        assert_eq!(code, Some(1), "{said}");
        assert!(said.ends_with("error: interrupted\n"), "{said}");
    }
}

/// Numbers for random moments, the same in every run.
fn moments(seed: u64) -> impl FnMut(u64) -> Duration {
    let mut state = seed;
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((state >> 33) % (1000 * below))
    }
}

fn leftovers(sandbox: &Sandbox, directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(sandbox.path(directory)) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".lorb")).collect()
}

#[test]
fn a_request_to_stop_ends_a_command_that_waits_for_input() {
    let sandbox = Sandbox::new();
    for request in REQUESTS {
        let mut running = Running::new(&sandbox, &format!("{RESCORE} - -o out"));
        running.child.stdin.as_mut().unwrap().write_all(&sandbox.read("lists.jsonl")).unwrap();
        running.wait_for("device: ");
        running.signal(request);
        running.interrupted(Duration::from_secs(3));
        assert!(!sandbox.path("out").exists() && leftovers(&sandbox, "").is_empty(), "{request}");
    }
    for words in [
        format!("{TRAIN} new -q --train -"),
        "tune --model base --adapter adapter --device cpu --dev -".to_owned(),
        "eval --model base --adapter adapter --beta 1 --device cpu -".to_owned(),
    ] {
        let before = sandbox.files();
        let running = Running::new(&sandbox, &words);
        // Only this shows that the handler is installed.
        let status = format!("/proc/{}/status", running.child.id());
        while cfg!(target_os = "linux") && !catches_interrupts(&status) {
            std::thread::sleep(Duration::from_millis(1));
        }
        running.signal("TERM");
        running.interrupted(Duration::from_secs(3));
        assert!(sandbox.files() == before, "files differ after: {words}");
    }
}

/// Whether a process has a handler for SIGHUP, the last one that is installed.
fn catches_interrupts(status: &str) -> bool {
    let text = fs::read_to_string(status).unwrap();
    let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 1 == 1
}

/// The producer of a pipe dies of the same Ctrl-C, so the input ends like a complete one.
#[test]
fn an_interrupted_pipeline_completes_no_file() {
    let sandbox = Sandbox::new();
    let binary = assert_cmd::cargo::cargo_bin!("lorb");
    for (run, copies) in [0, 1, 3, 0, 1, 3].into_iter().enumerate() {
        let lists = "lists.jsonl ".repeat(copies);
        let script = format!(
            "{{ cat /dev/null {lists}; echo ready >&2; exec sleep 60; }} | {} {RESCORE} - -o out",
            binary.display()
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(sandbox.path("")).process_group(0);
        let mut shell = shell.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(shell.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains("device: ") || !seen.contains("ready\n") {
            assert_ne!(stderr.read_line(&mut seen).unwrap(), 0, "{seen}");
        }
        std::thread::sleep(Duration::from_millis(20 * run as u64));
        signal(REQUESTS[run % 2], &format!("-{}", shell.id()));
        stderr.read_to_string(&mut seen).unwrap();
        shell.wait().unwrap();
        assert!(seen.contains("error: interrupted\n"), "{seen}");
        assert!(!sandbox.path("out").exists() && leftovers(&sandbox, "").is_empty(), "{seen}");
    }
}

/// One list of 200 long hypotheses, which takes many batches.
#[test]
fn a_request_to_stop_ends_one_long_list() {
    let Some(base) = minilm() else { return };
    let sandbox = Sandbox::new();
    let train = format!(
        "train -q --device cpu --model {base} --train lists.jsonl --output long --epochs 1 --beta 1"
    );
    sandbox.run(&train).done();
    let hypothesis = |at: usize| {
        let text = format!("{at} {}", "turn on the light ".repeat(160));
        serde_json::json!({"text": text, "score": -1.0})
    };
    let nbest: Vec<_> = (0..200).map(hypothesis).collect();
    let list = serde_json::json!({"id": "long", "ref": "turn on the light", "nbest": nbest});
    sandbox.write("long.jsonl", list.to_string() + "\n");
    for words in ["rescore long.jsonl -o out", "eval long.jsonl", "tune --dev long.jsonl"] {
        let words = format!("{words} --model {base} --adapter long --device cpu");
        let mut running = Running::new(&sandbox, &words);
        running.wait_for("device: ");
        std::thread::sleep(Duration::from_millis(500));
        running.signal("INT");
        running.wait_for("interrupting; press Ctrl-C again to end immediately\n");
        running.interrupted(Duration::from_secs(15));
        assert!(!sandbox.path("out").exists());
    }
}

fn minilm() -> Option<String> {
    match std::env::var("LORB_MINILM") {
        Ok(directory) => Some(directory),
        Err(_) if std::env::var_os("LORB_ALLOW_NO_MINILM").is_some() => {
            crate::gpu::report_not_run("LORB_MINILM is not set");
            None
        }
        Err(_) => panic!("set LORB_MINILM, or LORB_ALLOW_NO_MINILM=1"),
    }
}

/// `timeout` signals a process and then its group; a closing terminal does the same.
#[test]
fn two_signals_at_once_are_one_request() {
    let sandbox = Sandbox::new();
    let mut running = Running::new(&sandbox, &format!("{TRAIN} new --epochs 4000"));
    running.wait_for("dev WER");
    running.signal("TERM");
    running.signal("HUP");
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: interrupted at step "), "{said}");
    assert!(sandbox.path("new/checkpoint.safetensors").exists());
}

#[test]
fn an_ignored_hangup_stays_ignored() {
    let sandbox = Sandbox::new();
    let script = format!(
        "trap '' HUP; exec {} {RESCORE} - -o out",
        assert_cmd::cargo::cargo_bin!("lorb").display()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(sandbox.path(""));
    let mut child =
        shell.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut running = Running { child, stderr, seen: String::new() };
    running.wait_for("device: ");
    running.signal("HUP");
    drop(running.child.stdin.take());
    assert_eq!(running.end().0, Some(0));
    assert!(sandbox.path("out").exists());
}

/// Kills a training at random moments and resumes it until it has finished.
#[test]
fn a_killed_training_resumes_bit_for_bit() {
    let sandbox = Sandbox::new();
    let words = |output: &str| format!("{TRAIN} {output} -q --epochs 40 --checkpoint-every 3");
    let start = Instant::now();
    sandbox.run(&words("straight")).done();
    let whole = start.elapsed().as_millis() as u64;
    let mut moment = moments(1);
    for (run, request) in ["KILL", "TERM", "KILL", "INT", "KILL", "HUP"].into_iter().enumerate() {
        let output = format!("run{run}");
        let mut kills = 0;
        loop {
            let there = |file: &str| sandbox.path(&format!("{output}/{file}")).exists();
            let resume = there("checkpoint.safetensors");
            if !resume && there("adapter_model.safetensors") {
                // Killed after the end of the run, in its report.
                sandbox.run(&words(&output)).failed(1, "contains an adapter");
                break;
            }
            let words = words(&output) + if resume { " --resume" } else { "" };
            let running = Running::new(&sandbox, &words);
            if kills < 3 {
                std::thread::sleep(moment(whole));
                // It may have ended.
                let id = running.child.id().to_string();
                let _ = Command::new("kill").args([&format!("-{request}"), &id]).output();
                kills += 1;
            }
            let (code, said) = running.end();
            if code == Some(0) {
                break;
            }
            assert!(kills < 4 && code.is_none_or(|code| code == 1), "{code:?}: {said}");
        }
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            let bytes = sandbox.read(&format!("{output}/{file}"));
            assert!(bytes == sandbox.read(&format!("straight/{file}")), "{output}/{file} differs");
        }
        assert_eq!(fs::read_dir(sandbox.path(&output)).unwrap().count(), 2, "leftovers");
    }
}

/// Kills commands that replace an adapter: it is the old or the new one.
#[test]
fn a_killed_replacement_leaves_the_old_or_the_new_adapter() {
    let sandbox = Sandbox::new();
    let train =
        |alpha: u32, output: &str| format!("{TRAIN} {output} -q --epochs 1 --lora-alpha {alpha}");
    sandbox.run(&train(64, "old")).done();
    let start = Instant::now();
    sandbox.run(&train(16, "new")).done();
    let whole = start.elapsed().as_millis() as u64;
    let scores = |adapter: &str| {
        let words = format!("rescore -q --model base --adapter {adapter} --device cpu lists.jsonl");
        sandbox.run(&words).done()
    };
    let expected = ["old", "new"].map(scores);
    assert_ne!(expected[0], expected[1]);
    let mut moment = moments(2);
    for _ in 0..8 {
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            sandbox.write(&format!("place/{file}"), sandbox.read(&format!("old/{file}")));
        }
        let running = Running::new(&sandbox, &(train(16, "place") + " --overwrite"));
        std::thread::sleep(Duration::from_millis(whole / 2) + moment(whole));
        let id = running.child.id().to_string();
        let _ = Command::new("kill").args(["-KILL", &id]).output();
        running.end();
        let found = scores("place");
        assert!(expected.contains(&found), "{found}");
        // The next writer leaves only the adapter.
        let tune = "tune -q --model base --adapter place --device cpu --dev lists.jsonl";
        sandbox.run(tune).done();
        assert_eq!(leftovers(&sandbox, "place"), [] as [&str; 0]);
        fs::remove_dir_all(sandbox.path("place")).unwrap();
    }
}

/// The first of two waits for its input, so they run at the same time.
#[test]
fn the_second_of_two_writers_is_refused() {
    let sandbox = Sandbox::new();
    let lists = sandbox.read("lists.jsonl");
    sandbox.write("study.toml", "name = \"x\"\n");
    for (first, directory, own, others) in [
        (
            format!("{TRAIN} new -q --epochs 1 --train -"),
            "new",
            &[".lock"][..],
            vec![
                format!("{TRAIN} new -q --epochs 1"),
                format!("{TRAIN} new -q --epochs 1 --overwrite"),
                "export --web --model base -o new".to_owned(),
                "demo --device cpu --model base -o new".to_owned(),
            ],
        ),
        (
            "tune -q --model base --adapter adapter --device cpu --dev -".to_owned(),
            "adapter",
            &[".lock"],
            vec![
                "tune -q --model base --adapter adapter --device cpu --dev lists.jsonl".to_owned(),
                format!("{TRAIN} adapter -q --epochs 1 --overwrite"),
            ],
        ),
        (
            format!("{RESCORE} -q - -o out"),
            "",
            &[".lock", ".partial"],
            vec![format!("{RESCORE} lists.jsonl -o out")],
        ),
    ] {
        let mut running = Running::new(&sandbox, &first);
        // Until it has created all its files: what a refused command changes is seen by comparing them.
        while !own
            .iter()
            .all(|end| leftovers(&sandbox, directory).iter().any(|name| name.ends_with(end)))
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        for words in &others {
            sandbox.refuses(words, 1, "in use by another `lorb`");
        }
        running.child.stdin.take().unwrap().write_all(&lists).unwrap();
        let (code, said) = running.end();
        assert_eq!(code, Some(0), "{first}: {said}");
        assert_eq!(leftovers(&sandbox, directory), [] as [&str; 0], "{first}");
    }
}
