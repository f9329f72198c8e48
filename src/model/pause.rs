//! Yields to the browser's event loop.
//!
//! The CPU path never waits, so on wasm a long run of batches would block all events, and could not be stopped. Each
//! read-back yields, between batches and steps.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

type Pause = fn() -> Pin<Box<dyn Future<Output = ()>>>;

static PAUSE: OnceLock<Pause> = OnceLock::new();

/// Sets the function that yields: its future is ready once pending events were handled. Only the first call has an
/// effect.
pub fn set_pause(pause: Pause) {
    let _ = PAUSE.set(pause);
}

pub(super) async fn pause() {
    if let Some(pause) = PAUSE.get() {
        pause().await;
    }
}
