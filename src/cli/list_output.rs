//! The lists that a command writes: to a file, a folder or standard output, in the format of the input or another one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lorb::nbest::{
    ListSink, ListWriter, NbestFormat, Note, Target, Utterance, WriteError, written_format,
};

use super::error::CliError;
use super::output::{Left, NewFolder, Resumable, Sink};
use super::terminal::say;

/// Name of the format of standard output for lists from a folder.
const STREAM_FORMAT: &str = "jsonl";

/// Where the lists are written.
enum Place {
    Stream(Stream),
    Folder(NewFolder),
}

/// One file, with the failure of the last write, which has the name of the file.
struct Stream {
    out: Out,
    failure: Option<CliError>,
}

enum Out {
    Sink(Sink),
    /// A file that a later run can continue.
    Resumable(Box<Resumable>),
}

impl ListSink for Stream {
    fn append(&mut self, _: &str, bytes: &[u8]) -> io::Result<()> {
        let written = match &mut self.out {
            Out::Sink(sink) => sink.write_with(|out| out.write_all(bytes)),
            Out::Resumable(file) => file.write_with(|out| out.write_all(bytes)),
        };
        written.map_err(|failure| {
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
            let jsonl = || Target::by_name(STREAM_FORMAT);
            if folder && stdout { jsonl() } else { None }
        });
        let place = if is_folder {
            Place::Folder(NewFolder::open(path)?)
        } else {
            Place::Stream(Stream { out: Out::Sink(Sink::open(path)?), failure: None })
        };
        Ok(Self { place, path: path.to_owned(), to, writer: None })
    }

    /// The same for a long run: an output that is a file can be continued by a later run. Returns what an earlier run
    /// left of it; the caller decides with [`ListOutput::file`].
    pub fn open_resumable(
        path: &Path,
        to: Option<Target>,
        folder: bool,
    ) -> Result<(Self, Option<Left>), CliError> {
        let is_file = path.as_os_str() != "-"
            && fs::metadata(path).map_or(true, |found| found.is_file())
            && to.map_or(!folder, |target| target.folder_writer().is_none());
        if !is_file {
            return Ok((Self::open(path, to, folder)?, None));
        }
        let (file, left) = Resumable::open(path)?;
        let out = Out::Resumable(Box::new(file));
        let place = Place::Stream(Stream { out, failure: None });
        Ok((Self { place, path: path.to_owned(), to, writer: None }, left))
    }

    /// The file, if a later run can continue it.
    pub fn file(&mut self) -> Option<&mut Resumable> {
        match &mut self.place {
            Place::Stream(Stream { out: Out::Resumable(file), .. }) => Some(file),
            _ => None,
        }
    }

    /// Brings the writer to the state after this list, which is complete in the file.
    pub fn pass(
        &mut self,
        mut utterance: Utterance,
        input: Option<&'static dyn NbestFormat>,
    ) -> Result<(), CliError> {
        self.start(input)?;
        let Some((name, writer)) = &mut self.writer else { return Ok(()) };
        for hypothesis in &mut utterance.hypotheses {
            // As after rescoring, which is all that matters to what a writer counts.
            (hypothesis.lm, hypothesis.total) = (Some(0.0), Some(0.0));
        }
        let passed = writer.write(&utterance, &mut Nowhere);
        passed.map_err(|error| failed(error, name, &mut self.place, &self.path))
    }

    /// The name of the format, once it is known.
    pub fn format(&self, input: Option<&'static dyn NbestFormat>) -> Option<&'static str> {
        self.to.or_else(|| input.and_then(Target::of)).map(Target::name)
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
            Place::Stream(Stream { out: Out::Sink(sink), .. }) => sink.finish()?,
            Place::Stream(Stream { out: Out::Resumable(file), .. }) => file.finish()?,
            Place::Folder(folder) => folder.finish()?,
        }
        Ok(notes)
    }

    /// Selects the writer, if there is none yet and the format is known.
    fn start(&mut self, input: Option<&'static dyn NbestFormat>) -> Result<(), CliError> {
        let target = self.to.or_else(|| input.and_then(Target::of));
        let (None, Some(target)) = (&self.writer, target) else { return Ok(()) };
        let writer = match self.place {
            Place::Stream(_) => target.stream_writer(),
            Place::Folder(_) => target.folder_writer(),
        };
        let name = target.name();
        if let Some(writer) = writer {
            self.writer = Some((name, writer));
            return Ok(());
        }
        let lines =
            written_format(STREAM_FORMAT).filter(|_| matches!(self.place, Place::Stream(_)));
        let Some(lines) = lines.map(|format| format.writer()) else {
            let message =
                format!("LoRB does not write {name} as a folder; choose a format with --to");
            return Err(CliError::Usage(message));
        };
        say!("note: LoRB does not write {name}; writing JSON lines");
        self.writer = Some((STREAM_FORMAT, lines));
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

/// Drops everything.
struct Nowhere;

impl ListSink for Nowhere {
    fn append(&mut self, _: &str, _: &[u8]) -> io::Result<()> {
        Ok(())
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
