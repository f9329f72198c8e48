//! Hostile files given to the program: each must end in time, in little memory, and with one error line.
//!
//! The cases are data: `tests/hostile/KIND/CASE.toml`. README.md in this folder describes the format.
#![cfg(unix)]

mod case;
mod check;
mod files;
mod generated;
#[allow(dead_code, reason = "shared with the tests of the command line")]
#[path = "../cli/hub_server.rs"]
mod hub_server;
mod limits;
#[allow(dead_code, reason = "each test uses a part")]
#[path = "../mutate/mod.rs"]
mod mutate;
#[allow(dead_code, reason = "shared with the tests of the command line")]
#[path = "../cli/sandbox.rs"]
mod sandbox;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::Case;

/// Runs `work` on every item, as many at a time as there are cores, and returns what went wrong.
fn failures<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<(), String> + Sync) -> Vec<String> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = catch_unwind(AssertUnwindSafe(|| work(item)))
                        .unwrap_or_else(|_| Err("the test panicked, see above".into()));
                    if let Err(message) = done {
                        failed.lock().unwrap().push(message);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

#[test]
fn every_case_ends_as_it_must() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let wanted = std::env::var("LORB_HOSTILE").unwrap_or_default();
    let mut cases = Case::read_all(&folder);
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    cases.retain(|case| case.name.contains(&wanted));
    assert!(!cases.is_empty(), "no case whose name contains {wanted:?}");
    let failed = failures(&cases, |case| {
        let ended = check::run(case).map_err(|message| format!("{}: {message}", case.name))?;
        let (memory, time) = (ended.memory / 1_000_000, ended.time.as_secs_f64());
        println!("{:60} {memory:4} MB {time:6.2} s", case.name);
        Ok(())
    });
    assert!(
        failed.is_empty(),
        "{} of {} failed:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n")
    );
}
