//! Ctrl-C: the first one stops the command cleanly, the second one ends it immediately.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Installs the handler for a command that stops quickly.
pub fn listen() {
    listen_with("");
}

/// Installs the handler; the first Ctrl-C prints `answer` if it is not empty.
pub fn listen_with(answer: &'static str) {
    let handler = move || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(1);
        }
        if !answer.is_empty() {
            eprintln!("{answer}");
        }
    };
    // Fails if a handler is already set or signals are unavailable; Ctrl-C then ends the
    // process as usual.
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("note: Ctrl-C will stop immediately: {error}");
    }
}

/// Whether Ctrl-C was pressed.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
