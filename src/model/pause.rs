//! Where a browser lets others run.
//!
//! The CPU path never waits, so that on wasm a long run of batches would keep its thread from every
//! event: nobody could stop it. Each reading of a result pauses, and those are between batches and steps.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

type Pause = fn() -> Pin<Box<dyn Future<Output = ()>>>;

static PAUSE: OnceLock<Pause> = OnceLock::new();

/// Says how to pause: a future that is ready once waiting events were handled. The first call counts.
pub fn set_pause(pause: Pause) {
    let _ = PAUSE.set(pause);
}

pub(super) async fn pause() {
    if let Some(pause) = PAUSE.get() {
        pause().await;
    }
}
