//! What the program inherits: standard streams and signals.

use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(unix)]
use nix::libc;

use super::error::CliError;

/// Whether standard input and output were closed when the process started.
static CLOSED: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

/// Looks at the descriptors before `main`: Rust's runtime opens /dev/null for closed ones, and what is written to them
/// would be lost without an error. Afterwards they look the same as those of a caller that passes /dev/null.
#[cfg(unix)]
extern "C" fn look() {
    for (descriptor, closed) in CLOSED.iter().enumerate() {
        // SAFETY: F_GETFD only reads the descriptor's flags, and fails if it is not open.
        let flags = unsafe { libc::fcntl(descriptor as libc::c_int, libc::F_GETFD) };
        closed.store(flags == -1, Ordering::Relaxed);
    }
}

/// The loader calls the functions in this section before `main`.
#[cfg(unix)]
#[used]
// SAFETY: `look` uses nothing that the runtime initialises, and cannot unwind.
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static LOOK: extern "C" fn() = look;

/// An error if standard input was closed.
pub fn check_input() -> Result<(), CliError> {
    check(0, "standard input")
}

/// An error if standard output was closed.
pub fn check_output() -> Result<(), CliError> {
    check(1, "standard output")
}

fn check(descriptor: usize, name: &str) -> Result<(), CliError> {
    if CLOSED[descriptor].load(Ordering::Relaxed) {
        return Err(CliError::Failed(format!("{name}: is closed")));
    }
    Ok(())
}

/// Makes a write beyond the limit on file sizes fail instead of ending the process, so that it gives an error line and
/// leaves no temporary file.
pub fn ignore_file_size_signal() {
    #[cfg(unix)]
    // SAFETY: called first, while the process has only one thread; the signal has no handler.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
