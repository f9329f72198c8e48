//! `lorb completions`: scripts that complete command lines.

use clap::Args;
use clap_complete::Shell;

use super::error::CliError;
use super::output;

#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "lorb", &mut script);
    output::print_exact(&String::from_utf8_lossy(&script))
}
