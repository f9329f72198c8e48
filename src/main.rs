//! `lorb`, the command.

// `cli/terminal.rs` and `cli/output.rs` print; the macros of std panic if that fails.
#![warn(clippy::disallowed_macros)]

mod cli;

/// Every operation of the CPU path allocates its result. This allocator keeps large blocks, so the kernel does not
/// map and clear them each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
