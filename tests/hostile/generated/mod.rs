//! Damaged files of every kind, given to the program: it must refuse them, or work on them.
//!
//! The same seed gives the same files. `LORB_HOSTILE_SEED` selects another, `LORB_HOSTILE_TIMES` multiplies their number,
//! and `LORB_HOSTILE` selects the kinds whose name contains it.

mod hub;
mod kinds;
mod seeds;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

use crate::case::ProcessLimits;
use crate::check::{one_error_line, text};
use crate::limits::{self, Allowed, Ended};
use crate::mutate::{Form, damage};
use crate::sandbox::Sandbox;
use kinds::{KINDS, METHODS, Output, PER_METHOD};

/// What each run may use.
const ALLOWED: Allowed = Allowed {
    memory: 300_000_000,
    time: Duration::from_secs(5),
    limits: ProcessLimits { open_files: None, file_size: None },
};

/// One damaged file.
struct Damaged {
    kind: String,
    index: usize,
    file: String,
    form: Form,
    command: String,
    output: Output,
}

/// How runs of a kind ended.
#[derive(Default)]
struct Counts {
    accepted: usize,
    refused: usize,
    memory: u64,
    time: Duration,
}

#[test]
fn damaged_files_are_refused_or_read() {
    let seed = number("LORB_HOSTILE_SEED").unwrap_or(15);
    let times = number("LORB_HOSTILE_TIMES").unwrap_or(1) as usize;
    let wanted = std::env::var("LORB_HOSTILE").unwrap_or_default();
    let inputs = inputs(times, &wanted);
    let prepared = seeds::prepare(METHODS);
    let counts = Mutex::new(BTreeMap::<String, Counts>::new());
    let started = Instant::now();
    let failed = super::failures(&inputs, |input| {
        let sandbox = tempfile::tempdir().unwrap();
        let other = |name: &str| METHODS.contains(&name) && !input.file.starts_with(name);
        seeds::copy(&prepared.path(""), sandbox.path(), &|name| !other(name));
        let path = sandbox.path().join(&input.file);
        let damaged = damage(&mut random(seed, input), input.form, &fs::read(&path).unwrap());
        fs::write(&path, &damaged).unwrap();
        match run(&prepared, sandbox.path(), input) {
            Ok((accepted, ended)) => {
                let mut counts = counts.lock().unwrap();
                let count = counts.entry(input.kind.clone()).or_default();
                *(if accepted { &mut count.accepted } else { &mut count.refused }) += 1;
                count.memory = count.memory.max(ended.memory);
                count.time = count.time.max(ended.time);
                Ok(())
            }
            Err(message) => {
                let kept = keep(input, &damaged);
                Err(format!("{} {}: {message} ({})", input.kind, input.index, kept.display()))
            }
        }
    });
    println!("seed {seed}: {} files in {:.0?}", inputs.len(), started.elapsed());
    println!("{:34} {:>8} {:>8} {:>7} {:>7}", "kind", "accepted", "refused", "MB", "s");
    for (kind, count) in counts.into_inner().unwrap() {
        let Counts { accepted, refused, memory, time } = count;
        let (memory, time) = (memory / 1_000_000, time.as_secs_f64());
        println!("{kind:34} {accepted:8} {refused:8} {memory:7} {time:7.2}");
    }
    assert!(
        failed.is_empty(),
        "{} of {} failed:\n{}",
        failed.len(),
        inputs.len(),
        failed.join("\n")
    );
    assert!(!wanted.is_empty() || inputs.len() >= 1000, "only {} files", inputs.len());
}

/// The number in an environment variable.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Every file to damage; of different kinds in turn.
fn inputs(times: usize, wanted: &str) -> Vec<Damaged> {
    let mut all = Vec::new();
    for kind in KINDS {
        all.extend((0..kind.count * times).map(|index| Damaged {
            kind: kind.name.into(),
            index,
            file: kind.file.into(),
            form: kind.form,
            command: kind.command.into(),
            output: kind.output,
        }));
    }
    for method in METHODS {
        for (file, form) in
            [("adapter_config.json", Form::Json), ("adapter_model.safetensors", Form::Tensors)]
        {
            all.extend((0..PER_METHOD * times).map(|index| Damaged {
                kind: format!("{method}, {}", form_name(form)),
                index,
                file: format!("{method}/{file}"),
                form,
                command: format!(
                    "rescore -q --device cpu --model base --adapter {method} --beta 0.5 lists.jsonl"
                ),
                output: Output::Lists,
            }));
        }
    }
    all.retain(|input| input.kind.contains(wanted));
    all.sort_by_key(|input| input.index);
    all
}

fn form_name(form: Form) -> &'static str {
    if form == Form::Json { "settings" } else { "weights" }
}

/// Random numbers that depend only on the seed, the kind and the index.
fn random(seed: u64, input: &Damaged) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(input.index as u64).to_le_bytes());
    for (slot, byte) in input.kind.bytes().enumerate() {
        key[16 + slot % 16] ^= byte;
    }
    ChaCha8Rng::from_seed(key)
}

/// Runs the program, and returns whether it accepted the file.
fn run(prepared: &Sandbox, folder: &Path, input: &Damaged) -> Result<(bool, Ended), String> {
    let mut command = prepared.process();
    command.current_dir(folder).args(input.command.split(' ')).stdin(Stdio::null());
    for name in ["HF_HOME", "XDG_CACHE_HOME", "HOME"] {
        command.env(name, folder.join("home"));
    }
    let ended = limits::run(command, ALLOWED, None, None)?;
    let (stdout, stderr) =
        (text("standard output", &ended.stdout)?, text("standard error", &ended.stderr)?);
    let code = ended.status.code();
    match code {
        Some(0) => {
            one_error_line(stderr, None)?;
            if input.output == Output::Lists {
                let lists =
                    if input.file.starts_with("lists") { &input.file } else { "lists.jsonl" };
                check_lists(stdout, &fs::read(folder.join(lists)).unwrap())?;
            }
        }
        Some(1 | 2) => {
            one_error_line(stderr, Some(""))?;
            if !stdout.is_empty() && input.output == Output::Text {
                return Err(format!("data in addition to an error: {stdout:.300}"));
            }
        }
        _ => return Err(format!("{}: {stderr:.600}", ended.status)),
    }
    Ok((code == Some(0), ended))
}

/// Checks rescored lists: as many as were read, and every score is a finite number.
fn check_lists(output: &str, input: &[u8]) -> Result<(), String> {
    let mut plain = Vec::new();
    let unpacked = std::io::Read::read_to_end(&mut MultiGzDecoder::new(input), &mut plain);
    let input = if unpacked.is_ok() { &plain } else { input };
    let lines = |text: &[u8]| {
        text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count()
    };
    if lines(input) != lines(output.as_bytes()) {
        return Err(format!("{} lists of {}", lines(output.as_bytes()), lines(input)));
    }
    for line in output.lines() {
        let list: Value =
            serde_json::from_str(line).map_err(|error| format!("{error} in {line:.300}"))?;
        for hypothesis in list["nbest"].as_array().ok_or("a list without `nbest`")? {
            for score in ["lm", "total"] {
                if !hypothesis[score].as_f64().is_some_and(f64::is_finite) {
                    return Err(format!("`{score}` is not a number in {line:.300}"));
                }
            }
        }
    }
    Ok(())
}

/// Keeps a file that had a finding, for the developer.
fn keep(input: &Damaged, damaged: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    fs::create_dir_all(&folder).unwrap();
    let name = Path::new(&input.file).file_name().unwrap().to_str().unwrap();
    let kind: String =
        input.kind.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    let path = folder.join(format!("{kind}-{}-{name}", input.index));
    fs::write(&path, damaged).unwrap();
    path
}
