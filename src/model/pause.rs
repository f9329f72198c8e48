//! Yields to the caller between batches.
//!
//! The CPU path never waits, so a long run of batches would block a browser's event loop, and could not be stopped by
//! dropping its future. Each read-back pauses, between batches and steps.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

#[cfg(target_family = "wasm")]
type Pausing = Pin<Box<dyn Future<Output = ()>>>;
#[cfg(not(target_family = "wasm"))]
type Pausing = Pin<Box<dyn Future<Output = ()> + Send>>;

type Pause = fn() -> Pausing;

static PAUSE: OnceLock<Pause> = OnceLock::new();

/// Sets the function that pauses: its future is ready when work can continue, in a browser once pending events were
/// handled. Only the first call has an effect.
pub fn set_pause(pause: Pause) {
    let _ = PAUSE.set(pause);
}

pub(super) async fn pause() {
    if let Some(pause) = PAUSE.get() {
        pause().await;
    }
}
