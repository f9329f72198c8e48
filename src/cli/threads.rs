//! The threads of the CPU path.
//!
//! Containers and batch systems limit the threads of a user. rayon panics if it cannot start its own, so they are
//! started here, and there may be fewer than processors.

use std::num::NonZero;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;

use lorb::device::DeviceChoice;
use rayon::{ThreadBuilder, ThreadPoolBuilder};

use super::error::CliError;
use super::terminal::say;

/// What the system allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// As many threads as wanted.
    All,
    /// Fewer, or only the current one.
    Fewer,
}

impl Started {
    /// The device to use: a GPU's driver and runtime need threads of their own, and panic without them.
    pub fn allow(self, device: DeviceChoice) -> Result<DeviceChoice, CliError> {
        match (self, device) {
            (Self::All, _) | (_, DeviceChoice::Cpu) => Ok(device),
            (Self::Fewer, DeviceChoice::Auto) => Ok(DeviceChoice::Cpu),
            (Self::Fewer, _) => Err(CliError::Failed(format!(
                "--device {device}: the system refuses the threads that a GPU needs; raise the limit on processes, or \
                 use --device cpu"
            ))),
        }
    }
}

/// Starts the threads, once.
pub fn start() -> Result<Started, CliError> {
    static DONE: OnceLock<Result<Started, String>> = OnceLock::new();
    DONE.get_or_init(|| start_up_to(wanted())).clone().map_err(CliError::Failed)
}

/// The number of threads, as rayon chooses it.
fn wanted() -> usize {
    let set = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    let all = || thread::available_parallelism().map_or(1, NonZero::get);
    set.filter(|&count| count > 0).unwrap_or_else(all).min(rayon::max_num_threads())
}

fn start_up_to(wanted: usize) -> Result<Started, String> {
    // rayon accepts only one attempt. So the threads are started first, and wait for what it wants to run in them.
    let (sender, tasks) = mpsc::channel::<ThreadBuilder>();
    let tasks = Arc::new(Mutex::new(tasks));
    let mut started = 0;
    let mut refused = None;
    while started < wanted && refused.is_none() {
        let tasks = Arc::clone(&tasks);
        let body = move || {
            let task = tasks.lock().ok().and_then(|tasks| tasks.recv().ok());
            if let Some(task) = task {
                task.run();
            }
        };
        match thread::Builder::new().spawn(body) {
            Ok(_) => started += 1,
            Err(error) => refused = Some(error),
        }
    }
    let builder = ThreadPoolBuilder::new();
    let built = if started == 0 {
        builder.num_threads(1).use_current_thread().build_global()
    } else {
        let ended = |_| std::io::Error::other("a thread has ended");
        let give = |task| sender.send(task).map_err(ended);
        builder.num_threads(started).spawn_handler(give).build_global()
    };
    built.map_err(|error| format!("cannot start threads: {error}"))?;
    let Some(error) = refused else { return Ok(Started::All) };
    let count = started.max(1);
    say!("warning: computing with {count} of {wanted} threads: the system refused more ({error})");
    Ok(Started::Fewer)
}
