//! Ctrl-C: the first asks the running command to stop in good order, the second ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Starts to listen, for a command that stops soon.
pub fn listen() {
    listen_with("");
}

/// Starts to listen; the first Ctrl-C shows `answer`, if it says anything.
pub fn listen_with(answer: &'static str) {
    let handler = move || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(1);
        }
        if !answer.is_empty() {
            eprintln!("{answer}");
        }
    };
    // Fails where a handler is set already or signals are not to be had; Ctrl-C then ends the
    // process as it does without one.
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("note: Ctrl-C will stop at once: {error}");
    }
}

/// Whether Ctrl-C was pressed.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
