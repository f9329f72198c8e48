//! Counts what the runtime asks of the graphics library, by the library's own log.
//!
//! The runtime's stream is private, but wgpu logs every call at the finest level. Formatting the log takes time, so
//! calls are counted in steps that are not timed.

use serde::Serialize;

/// Calls of wgpu per step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DeviceCalls {
    /// Dispatches: LoRB's and burn's.
    pub dispatches: f64,
    /// Bind groups that were made.
    pub bind_groups: f64,
    /// Copies of uniform parameters and uploads into the queue. A device whose memory the host shares takes some uploads
    /// without it.
    pub buffer_writes: f64,
    /// Submissions to the queue.
    pub submits: f64,
    /// Buffers that were mapped for reading: the host waits for each.
    pub reads: f64,
}

#[cfg(not(target_family = "wasm"))]
pub(super) use native::Counter;
#[cfg(target_family = "wasm")]
pub(super) use web::Counter;

#[cfg(not(target_family = "wasm"))]
mod native {
    use std::fmt::{self, Write};
    use std::sync::atomic::{AtomicU64, Ordering};

    use log::{LevelFilter, Log, Metadata, Record, set_logger, set_max_level};

    use super::DeviceCalls;

    /// Starts of the lines that wgpu's core logs for the calls, in the order of the fields of [`DeviceCalls`].
    const CALLS: [&str; 5] = [
        "ComputePass::dispatch",
        "Device::create_bind_group ->",
        "Queue::write_buffer",
        "Queue::submit",
        "Buffer::map_async",
    ];

    /// A line of `Queue::submit` itself; another line reports its return.
    const SUBMITTED: &str = "Queue::submit returned";

    /// Longer than every start.
    const LONGEST: usize = 40;

    static COUNTS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

    struct Calls;

    static LOGGER: Calls = Calls;

    impl Log for Calls {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().starts_with("wgpu_core")
        }

        fn log(&self, record: &Record<'_>) {
            if !self.enabled(record.metadata()) {
                return;
            }
            let mut start = Start::default();
            // It ends with an error when the start is full.
            let _ = start.write_fmt(*record.args());
            if let Some(call) = call(start.text()) {
                COUNTS[call].fetch_add(1, Ordering::Relaxed);
            }
        }

        fn flush(&self) {}
    }

    /// The index of the call that a line reports.
    fn call(line: &str) -> Option<usize> {
        let call = CALLS.iter().position(|call| line.starts_with(call));
        call.filter(|_| !line.starts_with(SUBMITTED))
    }

    /// The start of a formatted line.
    #[derive(Default)]
    struct Start {
        bytes: Vec<u8>,
    }

    impl Start {
        fn text(&self) -> &str {
            std::str::from_utf8(&self.bytes).unwrap_or_default()
        }
    }

    impl Write for Start {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let left = LONGEST.saturating_sub(self.bytes.len());
            self.bytes.extend(text.bytes().take(left));
            if text.len() > left { Err(fmt::Error) } else { Ok(()) }
        }
    }

    /// Counts calls while it exists. One at a time.
    pub struct Counter(());

    impl Counter {
        /// `None` if the program has another logger.
        pub fn begin() -> Option<Self> {
            // A second call fails, so compare with what is installed.
            let _ = set_logger(&LOGGER);
            let installed: *const dyn Log = log::logger();
            if !std::ptr::addr_eq(installed, &raw const LOGGER) {
                return None;
            }
            COUNTS.iter().for_each(|count| count.store(0, Ordering::Relaxed));
            set_max_level(LevelFilter::Trace);
            Some(Self(()))
        }

        /// The calls since the start, per step.
        pub fn end(self, steps: usize) -> DeviceCalls {
            let of = |call: usize| COUNTS[call].load(Ordering::Relaxed) as f64 / steps as f64;
            DeviceCalls {
                dispatches: of(0),
                bind_groups: of(1),
                buffer_writes: of(2),
                submits: of(3),
                reads: of(4),
            }
        }
    }

    impl Drop for Counter {
        fn drop(&mut self) {
            set_max_level(LevelFilter::Off);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn lines_name_their_call() {
            for (line, expected) in [
                ("ComputePass::dispatch [1, 2, 3]", Some(0)),
                ("Device::create_bind_group -> Id(1,1)", Some(1)),
                ("Device::create_bind_group_layout -> Id(1,1)", None),
                ("Queue::write_buffer", Some(2)),
                ("Queue::submit", Some(3)),
                ("Queue::submit returned submit index 3", None),
                ("Buffer::map_async Id(1,1) offset 0", Some(4)),
                ("", None),
            ] {
                let mut start = Start::default();
                let _ = start.write_fmt(format_args!("{line}{:?}", [0; 99]));
                assert_eq!(call(start.text()), expected, "{line}");
            }
        }
    }
}

#[cfg(target_family = "wasm")]
mod web {
    use super::DeviceCalls;

    /// A browser has no such log.
    pub struct Counter(());

    impl Counter {
        pub fn begin() -> Option<Self> {
            None
        }

        pub fn end(self, _steps: usize) -> DeviceCalls {
            unreachable!("it is never begun")
        }
    }
}
