//! `lorb`, the command.

mod cli;

/// Every operation of the CPU path allocates its result. This allocator keeps large blocks, so the kernel does not
/// map and clear them each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
