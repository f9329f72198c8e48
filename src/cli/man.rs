//! `lorb man`: manual pages, made from the help of the commands.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::error::CliError;
use super::examples::{self, Example};
use super::output::{self, Replacement};

#[derive(Args)]
pub struct ManArgs {
    /// The command whose page to print [default: lorb itself]
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    command: Option<String>,
    /// Write all pages to this directory, such as ~/.local/share/man/man1
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub fn run(args: &ManArgs) -> Result<(), CliError> {
    let mut root = super::command().disable_help_subcommand(true);
    root.build();
    match (&args.output, &args.command) {
        (Some(directory), _) => write_all(&root, directory),
        (None, None) => print(&root),
        (None, Some(name)) => {
            let found = public(&root).find(|command| command.get_name() == name);
            let unknown = || {
                let names: Vec<_> = public(&root).map(Command::get_name).collect();
                CliError::Usage(format!("{name}: not a command; expected {}", names.join(", ")))
            };
            print(found.ok_or_else(unknown)?)
        }
    }
}

/// The commands that help texts list.
fn public(root: &Command) -> impl Iterator<Item = &Command> {
    root.get_subcommands().filter(|command| !command.is_hide_set())
}

fn print(command: &Command) -> Result<(), CliError> {
    let (_, page) = page(command)?;
    output::print_exact(&String::from_utf8_lossy(&page))
}

fn write_all(root: &Command, directory: &Path) -> Result<(), CliError> {
    fs::create_dir_all(directory).map_err(|error| CliError::io("create", directory, &error))?;
    for command in std::iter::once(root).chain(public(root)) {
        let (name, page) = page(command)?;
        let mut file = Replacement::open(&directory.join(name))?;
        file.write_with(|file| file.write_all(&page))?;
        file.finish()?;
    }
    Ok(())
}

/// The name of a command's page and the page itself, with a section of examples that keeps their lines.
fn page(command: &Command) -> Result<(String, Vec<u8>), CliError> {
    let source = concat!("lorb ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("LoRB");
    let name = man.get_filename();
    let mut page = Vec::new();
    let rendered = render(&man, command, &mut page);
    rendered.map_err(|error| CliError::at(&name, &error))?;
    Ok((name, page))
}

fn render(man: &Man, command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    section(examples::of(command.get_name())).to_writer(page)
}

fn section(examples: &[Example]) -> Roff {
    let mut roff = Roff::new();
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for (what, line) in examples {
        roff.control("PP", []);
        roff.text([roman(*what)]);
        roff.control("PP", []);
        roff.control("RS", ["4"]);
        roff.control("nf", []);
        roff.text([roman(*line)]);
        roff.control("fi", []);
        roff.control("RE", []);
    }
    roff
}
