//! Runs the fuzz targets on damaged valid inputs, a bounded number of them, without a fuzzer.
//!
//! The same seed gives the same inputs. `LORB_HOSTILE_SEED` selects another, `LORB_FUZZ_SECONDS` runs each target for that
//! time, and `LORB_FUZZ` only the targets whose name contains it.

#[allow(dead_code, reason = "each test uses a part")]
#[path = "../mutate/mod.rs"]
mod mutate;
mod seeds;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use mutate::{below, damage};
use targets::{TARGETS, Target};

/// Damaged inputs of a target in a normal run of the tests.
const INPUTS: usize = 5000;
/// The time that reading one input may take. Ordinary ones take less than a millisecond.
const SLOW: Duration = Duration::from_secs(5);

#[test]
fn readers_refuse_damaged_bytes_without_a_panic() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("LORB_HOSTILE_SEED").unwrap_or(15);
    let time = number("LORB_FUZZ_SECONDS").map(Duration::from_secs);
    let wanted = std::env::var("LORB_FUZZ").unwrap_or_default();
    let mut findings = Vec::new();
    let chosen = TARGETS.iter().filter(|target| target.name.contains(&wanted));
    let mut count = 0;
    for target in chosen {
        count += 1;
        fuzz(target, seed, time, &mut findings);
    }
    assert!(count > 0, "no target whose name contains {wanted:?}");
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

fn fuzz(target: &Target, seed: u64, time: Option<Duration>, findings: &mut Vec<String>) {
    let seeds = (target.seeds)();
    // What is damaged must have been valid, or nothing is tested.
    for whole in &seeds {
        (target.run)(whole);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (started, mut done, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while time.map_or(done < INPUTS, |time| started.elapsed() < time) {
        let whole = &seeds[below(&mut random, seeds.len())];
        let damaged = damage(&mut random, target.form, whole);
        let begun = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(&damaged)));
        let taken = begun.elapsed();
        slowest = slowest.max(taken);
        done += 1;
        if ended.is_err() || taken > SLOW {
            let what = if ended.is_err() { "panics" } else { "is slow" };
            let kept = keep(target, done, &damaged);
            findings.push(format!("{} {what}: {}", target.name, kept.display()));
            if findings.len() > 20 {
                return;
            }
        }
    }
    println!("{:16} {done:8} inputs, the slowest {slowest:.1?}", target.name);
}

/// Keeps an input that had a finding, for the developer.
fn keep(target: &Target, index: usize, damaged: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{}-{index}", target.name));
    std::fs::write(&path, damaged).unwrap();
    path
}
