//! Requests to stop: Ctrl-C, and on Unix also SIGTERM and SIGHUP.
//!
//! The first one lets the command stop cleanly. A second one ends the process immediately.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::error::CliError;
use super::terminal::{line, say};

/// A request this soon after the first one is the same: `timeout` signals a process and then its group, and a closing
/// terminal signals it through the kernel and through the shell.
const SAME_REQUEST: Duration = Duration::from_millis(200);

/// Waiting time after the end of a pipe. A signal to a process group reaches its members one after the other, and a
/// pipe ends when the first member dies. This is thousands of times as long as the kernel needs for a group.
const LATE_SIGNAL: Duration = Duration::from_millis(50);

/// How long the end of a command waits for the answer to the first request, so that the answer does not come after the
/// error.
const LATE_ANSWER: Duration = Duration::from_millis(500);

static START: OnceLock<Instant> = OnceLock::new();

/// Milliseconds from [`START`] to the first request, plus 1; 0 before it.
static ASKED_AT: AtomicU64 = AtomicU64::new(0);

/// Whether the answer to the first request was printed.
static ANSWERED: AtomicBool = AtomicBool::new(false);

/// Whether the first request ends the process.
static IMMEDIATE: AtomicBool = AtomicBool::new(false);

/// Installs the handler for a command that stops quickly.
pub fn listen() {
    listen_with("interrupting; press Ctrl-C again to end immediately");
}

/// Installs the handler; the first request prints `answer`.
pub fn listen_with(answer: &'static str) {
    if START.set(Instant::now()).is_err() {
        return;
    }
    lorb::model::set_pause(|| Box::pin(pause()));
    // Without a handler, a signal ends the process as usual.
    if let Err(error) = install(answer) {
        say!("note: Ctrl-C will stop immediately: {error}");
    }
}

/// Whether a request has arrived.
pub fn asked() -> bool {
    ASKED_AT.load(Ordering::SeqCst) != 0
}

/// The error of an interrupted command.
pub fn error() -> CliError {
    CliError::Failed("interrupted".into())
}

/// Waits until the answer to a request was printed, if there was one.
pub fn answered() {
    let end = Instant::now() + LATE_ANSWER;
    while asked() && !ANSWERED.load(Ordering::SeqCst) && Instant::now() < end {
        std::thread::sleep(LATE_ANSWER / 500);
    }
}

/// Prints the answer to the first request.
fn answer_with(answer: &str) {
    line(answer);
    ANSWERED.store(true, Ordering::SeqCst);
}

/// An error after a request.
pub fn check() -> Result<(), CliError> {
    if asked() { Err(error()) } else { Ok(()) }
}

/// The same for the library's callbacks.
pub fn go_on(_: usize) -> ControlFlow<()> {
    if asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Checks after the end of a pipe whether it ended because its writer was interrupted.
pub fn check_after_pipe() -> Result<(), CliError> {
    let end = Instant::now() + LATE_SIGNAL;
    while Instant::now() < end {
        check()?;
        std::thread::sleep(LATE_SIGNAL / 10);
    }
    check()
}

/// Lets the first request end the process until the result is dropped: for work that may be left at any point, such as
/// waiting for the network.
pub fn end_immediately() -> Result<Immediate, CliError> {
    IMMEDIATE.store(true, Ordering::SeqCst);
    let guard = Immediate;
    check()?;
    Ok(guard)
}

/// See [`end_immediately`].
pub struct Immediate;

impl Drop for Immediate {
    fn drop(&mut self) {
        IMMEDIATE.store(false, Ordering::SeqCst);
    }
}

/// What an immediate end prints.
const IMMEDIATE_END: &str = "error: interrupted\n";

/// Runs `work` until it ends or a request arrives; `None` in the latter case. The library pauses between batches.
pub async fn until_asked<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if asked() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Pends once after a request, so that [`until_asked`] can act on it.
async fn pause() {
    let mut paused = !asked();
    let once = std::future::poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    once.await;
}

/// What a request means.
enum Request {
    First,
    /// One that belongs to the first.
    Same,
    Again,
}

/// Records a request. Called in signal handlers: it uses only atomics and the clock.
fn request() -> Request {
    let now = START.get().map_or(0, |start| start.elapsed().as_millis() as u64) + 1;
    match ASKED_AT.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => Request::First,
        Err(first) if now.saturating_sub(first) < SAME_REQUEST.as_millis() as u64 => Request::Same,
        Err(_) => Request::Again,
    }
}

/// Signal handlers that record a request themselves. A thread that waits for signals would record it later than the
/// main thread sees the end of a pipe whose writer died of the same signal.
#[cfg(unix)]
fn install(answer: &'static str) -> std::io::Result<()> {
    use std::io::Read;
    use std::os::fd::IntoRawFd;
    use std::sync::atomic::AtomicI32;

    use nix::libc;
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

    static ANNOUNCE: AtomicI32 = AtomicI32::new(-1);

    extern "C" fn handle(_: libc::c_int) {
        match request() {
            Request::First if IMMEDIATE.load(Ordering::SeqCst) => {
                let message = IMMEDIATE_END.as_bytes();
                // SAFETY: write and _exit are async-signal-safe, and the message outlives the calls. A message that
                // cannot be written is lost, as everywhere.
                unsafe {
                    libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len());
                    libc::_exit(1);
                }
            }
            Request::First => {
                let byte = [0u8];
                // SAFETY: write is async-signal-safe, and the byte outlives the call. The pipe is empty, so the write
                // neither blocks nor fails, and errno is unchanged.
                unsafe { libc::write(ANNOUNCE.load(Ordering::SeqCst), byte.as_ptr().cast(), 1) };
            }
            Request::Same => {}
            // SAFETY: _exit is async-signal-safe.
            Request::Again => unsafe { libc::_exit(1) },
        }
    }

    let (mut announced, announce) = std::io::pipe()?;
    ANNOUNCE.store(announce.into_raw_fd(), Ordering::SeqCst);
    let print = move || {
        if announced.read_exact(&mut [0]).is_ok() {
            answer_with(answer);
        }
    };
    // Without the thread, only the message is missing.
    if std::thread::Builder::new().spawn(print).is_err() {
        ANSWERED.store(true, Ordering::SeqCst);
    }
    let action = SigAction::new(SigHandler::Handler(handle), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler is async-signal-safe, and nothing else installs one.
        let old = unsafe { sigaction(signal, &action) }?;
        if matches!(old.handler(), SigHandler::SigIgn) {
            // Ignored on purpose, as by nohup.
            // SAFETY: this restores what was there.
            unsafe { sigaction(signal, &old) }?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn install(answer: &'static str) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(move || match request() {
        Request::First if IMMEDIATE.load(Ordering::SeqCst) => {
            line(IMMEDIATE_END.trim_end());
            std::process::exit(1);
        }
        Request::First => answer_with(answer),
        Request::Same => {}
        Request::Again => std::process::exit(1),
    })
}
