//! The lists that a command writes: to a file, a folder or standard output, in the format of the input or another one.

use std::io;
use std::path::{Path, PathBuf};

use lorb::nbest::{
    ListSink, ListWriter, NbestFormat, Note, Target, Utterance, WriteError, format_by_name,
};

use super::error::CliError;
use super::output::{NewFolder, Sink};

/// Name of the format of standard output for lists from a folder.
const STREAM_FORMAT: &str = "jsonl";

/// Where the lists are written.
enum Place {
    Stream(Stream),
    Folder(NewFolder),
}

/// One file, with the failure of the last write, which has the name of the file.
struct Stream {
    sink: Sink,
    failure: Option<CliError>,
}

impl ListSink for Stream {
    fn append(&mut self, _: &str, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_with(|out| out.write_all(bytes)).map_err(|failure| {
            self.failure = Some(failure);
            io::Error::other("cannot be written")
        })
    }
}

/// An output for lists.
pub struct ListOutput {
    place: Place,
    path: PathBuf,
    to: Option<Target>,
    writer: Option<(&'static str, Box<dyn ListWriter>)>,
}

impl ListOutput {
    /// Opens the output. `to` is the format; `None` is the format of the input, which may be known only when its first
    /// bytes have arrived. `folder`: whether the input is a folder.
    ///
    /// Lists from a folder go to standard output as JSON lines, unless `to` is another format.
    pub fn open(path: &Path, to: Option<Target>, folder: bool) -> Result<Self, CliError> {
        let stdout = path.as_os_str() == "-";
        let is_folder = match to {
            Some(target) if stdout && target.stream_writer().is_none() => {
                let name = target.name();
                let message = format!("--to {name}: is a folder; choose it with --output");
                return Err(CliError::Usage(message));
            }
            Some(target) => !stdout && target.folder_writer().is_some(),
            None => folder && !stdout,
        };
        let to = to.or_else(|| {
            let jsonl = || format_by_name(STREAM_FORMAT).map(Target::Lists);
            if folder && stdout { jsonl() } else { None }
        });
        let place = if is_folder {
            Place::Folder(NewFolder::open(path)?)
        } else {
            Place::Stream(Stream { sink: Sink::open(path)?, failure: None })
        };
        Ok(Self { place, path: path.to_owned(), to, writer: None })
    }

    /// Writes a list. `input` is the format of the input.
    pub fn write(
        &mut self,
        utterance: &Utterance,
        input: Option<&'static dyn NbestFormat>,
    ) -> Result<(), CliError> {
        self.start(input)?;
        let Some((name, writer)) = &mut self.writer else { return Ok(()) };
        let written = writer.write(utterance, self.place.sink());
        written.map_err(|error| failed(error, name, &mut self.place, &self.path))
    }

    /// Completes the output, and returns what was not written.
    pub fn finish(
        mut self,
        input: Option<&'static dyn NbestFormat>,
    ) -> Result<Vec<Note>, CliError> {
        self.start(input)?;
        let mut notes = Vec::new();
        if let Some((name, writer)) = &mut self.writer {
            let finished = writer.finish(self.place.sink());
            notes = finished.map_err(|error| failed(error, name, &mut self.place, &self.path))?;
        }
        match self.place {
            Place::Stream(stream) => stream.sink.finish()?,
            Place::Folder(folder) => folder.finish()?,
        }
        Ok(notes)
    }

    /// Selects the writer, if there is none yet and the format is known.
    fn start(&mut self, input: Option<&'static dyn NbestFormat>) -> Result<(), CliError> {
        let target = self.to.or(input.map(Target::Lists));
        let (None, Some(target)) = (&self.writer, target) else { return Ok(()) };
        let writer = match self.place {
            Place::Stream(_) => target.stream_writer(),
            Place::Folder(_) => target.folder_writer(),
        };
        let name = target.name();
        let Some(writer) = writer else {
            let message = format!("LoRB does not write {name} here; choose a format with --to");
            return Err(CliError::Usage(message));
        };
        self.writer = Some((name, writer));
        Ok(())
    }
}

impl Place {
    fn sink(&mut self) -> &mut dyn ListSink {
        match self {
            Self::Stream(stream) => stream,
            Self::Folder(folder) => folder,
        }
    }
}

fn failed(error: WriteError, format: &str, place: &mut Place, path: &Path) -> CliError {
    match (error, place) {
        (WriteError::Sink { .. }, Place::Stream(Stream { failure: Some(failure), .. })) => {
            std::mem::replace(failure, CliError::BrokenPipe)
        }
        (WriteError::Sink { path: file, error }, _) => {
            CliError::io("write", &path.join(file), &error)
        }
        (error, _) => CliError::Failed(format!(
            "cannot write {format}: {error}; choose another format with --to"
        )),
    }
}
