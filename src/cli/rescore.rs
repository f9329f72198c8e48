//! `lorb rescore`: reads lists and writes them re-ranked.

use std::path::{Path, PathBuf};

use clap::Args;
use lorb::nbest::{Target, Utterance};
use lorb::score::Weights;

use super::args::{
    BaseArgs, ReadArgs, RunArgs, ScoringArgs, TextArgs, WeightArgs, choices, targets,
};
use super::command_line::again;
use super::engine::{Engine, next_chunk};
use super::error::CliError;
use super::input::{Reading, Utterances};
use super::list_output::ListOutput;
use super::output::{Files, Left};
use super::progress::Meter;
use super::rescore_state::{ListDigest, Pace, Settings, State, refused};
use super::terminal::say;
use super::{adapter_dir, interrupt, source};

#[derive(Args)]
pub struct RescoreArgs {
    /// N-best lists, in any format that LoRB reads, plain or gzip; use - for standard input
    #[arg(value_name = "INPUT", default_value = "-")]
    input: Vec<PathBuf>,
    /// Output file, or a new folder for a format of several files, created only when it is complete; use - for
    /// standard output
    #[arg(long, short, value_name = "PATH", default_value = "-")]
    output: PathBuf,
    /// Format of the output [default: the format of the first INPUT; JSON lines for a folder and standard output]
    #[arg(long, value_name = "FORMAT", value_parser = choices::<String>(targets()))]
    to: Option<String>,
    /// Continue a run that was interrupted or killed, after the lists that are complete in its output file; give the
    /// same inputs and options
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    base: BaseArgs,
    /// Adapter directory
    #[arg(long, value_name = "DIR", required_unless_present = "pll")]
    adapter: Option<PathBuf>,
    /// Score with the pseudo-log-likelihood of the base's masked-language-model head, without an adapter. With --beta 0,
    /// lists keep their order, and `lm` has the scores, which `lorb train --objective md` learns
    #[arg(long, conflicts_with = "adapter", requires = "beta")]
    pll: bool,
    #[command(flatten)]
    weights: WeightArgs,
    #[command(flatten)]
    reading: ReadArgs,
    #[command(flatten)]
    texts: TextArgs,
    #[command(flatten)]
    scoring: ScoringArgs,
    #[command(flatten)]
    run: RunArgs,
}

pub fn run(args: &RescoreArgs) -> Result<(), CliError> {
    interrupt::listen();
    let files = Files::default()
        .reads("INPUT", &args.input)
        .reads_with(&args.reading)
        .reads_in("--model", Path::new(&args.base.model), &source::FILES)
        .writes("--output", &args.output);
    let files = match &args.adapter {
        Some(adapter) => files.reads_in("--adapter", adapter, &adapter_dir::FILES),
        None => files,
    };
    files.check()?;
    let reading = Reading { one_by_one: true, ..args.reading.reading()? };
    let input = Utterances::open(&args.input, &reading)?;
    let to = args.to.as_deref().and_then(Target::by_name);
    let folder = input.begins_with_folder();
    let (mut output, left) = ListOutput::open_resumable(&args.output, to, folder)?;
    if args.resume && output.file().is_none() {
        let message =
            "--resume: only an output that is a file can be continued; choose one with --output";
        return Err(CliError::Usage(message.into()));
    }
    let RescoreArgs { base, run, scoring, texts, weights: flags, .. } = args;
    let (engine, weights) = match &args.adapter {
        Some(adapter) => {
            let engine = Engine::open(base, adapter, run, scoring, *texts)?;
            let weights = engine.weights(flags, adapter)?;
            (engine, weights)
        }
        None => {
            let Some(weights) = flags.over(None) else { unreachable!("--pll needs --beta") };
            (Engine::open_masked(base, run, scoring, *texts)?, weights)
        }
    };
    let settings = match output.file() {
        Some(_) => settings(args, &engine, &weights)?,
        None => Settings::default(),
    };
    let state = State { settings, ..State::default() };
    let mut run = Run { args, input, output, engine, weights, state, lists: ListDigest::default() };
    run.begin(left)?;
    let began = run.state.hypotheses;
    let mut meter = Meter::new(args.run.quiet, run.input.total_bytes());
    let rescored = run.lists(&mut meter);
    if let Err(error) = rescored {
        return Err(run.kept(error));
    }
    run.finish(meter, began)
}

/// What the result depends on, but for the lists.
fn settings(args: &RescoreArgs, engine: &Engine, weights: &Weights) -> Result<Settings, CliError> {
    let options = [
        ("--precision", args.base.precision.precision.to_string()),
        ("the weights", format!("{weights:?}")),
        ("what the scores are", format!("{:?}", args.reading.scores())),
        ("the conventions of texts", engine.conventions()?.to_string()),
    ];
    let all = engine.settings()?.into_iter().chain(options);
    Ok(all.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A run.
struct Run<'a> {
    args: &'a RescoreArgs,
    input: Utterances,
    output: ListOutput,
    engine: Engine,
    weights: Weights,
    /// The state after the last chunk.
    state: State,
    lists: ListDigest,
}

impl Run<'_> {
    /// Continues what an earlier run left of the output, or discards it.
    fn begin(&mut self, left: Option<Left>) -> Result<(), CliError> {
        let Some(file) = self.output.file() else { return Ok(()) };
        let Some(left) = left else {
            if self.args.resume {
                say!("note: there is nothing to continue; starting from the beginning");
            }
            return file.discard();
        };
        if !self.args.resume {
            say!(
                "note: the incomplete output of an earlier run is discarded; --resume continues such a run"
            );
            return file.discard();
        }
        let state = State::read(&left.state, left.bytes, &self.state.settings)?;
        for _ in 0..state.lists {
            interrupt::check()?;
            let Some(list) = self.input.next()? else { break };
            self.lists.add(&list)?;
            self.output.pass(list, self.input.first_format())?;
        }
        state.check_lists(&self.lists)?;
        if self.format() != state.format {
            return Err(refused("the format differs"));
        }
        self.output.file().map_or(Ok(()), |file| file.keep(state.bytes))?;
        self.engine.truncated = state.truncated;
        self.state = state;
        if !self.args.run.quiet {
            say!("continuing after {} lists", self.state.lists);
        }
        Ok(())
    }

    fn format(&self) -> String {
        self.output.format(self.input.first_format()).unwrap_or_default().to_owned()
    }

    /// Rescores all lists.
    fn lists(&mut self, meter: &mut Meter) -> Result<(), CliError> {
        let began = self.state.lists;
        let mut pace = Pace::default();
        loop {
            let chunk = next_chunk(&mut self.input)?;
            if chunk.is_empty() {
                return interrupt::check();
            }
            self.chunk(chunk)?;
            if pace.due() {
                self.save()?;
            }
            let done = self.state.lists;
            let rate = (done - began) as f64 / meter.seconds();
            meter.update(self.input.bytes_read(), || format!("{done} utterances, {rate:.0}/s"));
        }
    }

    /// Rescores and writes a chunk.
    fn chunk(&mut self, chunk: Vec<Utterance>) -> Result<(), CliError> {
        let ranked = self.engine.rescore(&chunk, &self.weights)?;
        let from = self.input.first_format();
        let same_format =
            self.args.to.as_deref().is_none_or(|to| from.is_some_and(|f| f.name() == to));
        let resumable = self.output.file().is_some();
        // Changed only when the chunk is complete.
        let mut state = self.state.clone();
        state.lists += chunk.len() as u64;
        for (utterance, ranked) in chunk.into_iter().zip(&ranked) {
            if resumable {
                self.lists.add(&utterance)?;
            }
            let first = &utterance.hypotheses[0].text;
            state.changed += u64::from(*first != ranked.hypotheses[0].text);
            let mut utterance = ranked.apply(utterance);
            if same_format {
                utterance = self.args.reading.scores().as_given(utterance);
            }
            self.output.write(&utterance, from)?;
            state.hypotheses += utterance.hypotheses.len() as u64;
        }
        if let Some(file) = self.output.file() {
            state.bytes = file.written();
            state.sha256 = self.lists.value();
        }
        (state.truncated, state.format) = (self.engine.truncated, self.format());
        self.state = state;
        Ok(())
    }

    /// Stores the state after the last chunk.
    fn save(&mut self) -> Result<(), CliError> {
        let Some(file) = self.output.file() else { return Ok(()) };
        let json = serde_json::to_vec(&self.state);
        file.save(&json.map_err(|error| CliError::Failed(error.to_string()))?)
    }

    /// Keeps what is complete after an error, and says how to continue.
    fn kept(&mut self, error: CliError) -> CliError {
        let lists = self.state.lists;
        if lists == 0 || self.output.file().is_none() || self.save().is_err() {
            return error;
        }
        if interrupt::asked() {
            let message = format!("interrupted; {lists} lists are complete, continue with:");
            return CliError::Resumable { message, command: again(&[], &["--resume"]) };
        }
        say!("note: {lists} lists are complete; --resume continues after them");
        error
    }

    /// Completes the output and reports.
    fn finish(self, meter: Meter, began: u64) -> Result<(), CliError> {
        let Self { args, mut input, output, engine, weights, state, .. } = self;
        let notes = output.finish(input.first_format())?;
        let seconds = meter.seconds();
        meter.finish();
        input.unused_references();
        for warning in input.warnings().chain(engine.truncated_note()) {
            say!("warning: {warning}");
        }
        input.print_score_warnings("", &input.score_warnings(Some(&weights)));
        for note in notes {
            say!("note: {note}");
        }
        if !args.run.quiet {
            let State { lists, hypotheses, changed, .. } = state;
            let rate = (hypotheses - began) as f64 / seconds;
            say!(
                "{lists} utterances rescored ({hypotheses} hypotheses, {rate:.0}/s); {changed} have a new first hypothesis"
            );
        }
        Ok(())
    }
}
