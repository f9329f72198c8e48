//! `lorb`, the command.

mod cli;

/// Every operation of the CPU path allocates its result; an allocator that keeps large blocks
/// spares the kernel mapping and clearing them each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
