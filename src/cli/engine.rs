//! What rescoring commands share: a base with one adapter merged into it, and lists in chunks.

use std::path::Path;

use lorb::adapter::{self, AdapterFiles, AdapterMeta, ReadOptions};
use lorb::bounds::{CHUNK_BYTES, CHUNK_HYPOTHESES};
use lorb::device::Selected;
use lorb::digest::sha256;
use lorb::model::{ModelError, SCORING_BATCH_TOKENS};
use lorb::nbest::Utterance;
use lorb::rescorer::{Evaluated, LoadedAdapter, Options, Rescorer, RescorerError, Trained};
use lorb::score::{PartWeights, RankedList, ScoredList, Weights};
use lorb::text::{Changes, Conventions};

use super::args::{BaseArgs, RunArgs, ScoringArgs, TextArgs, WeightArgs};
use super::error::CliError;
use super::input::Utterances;
use super::output::Directory;
use super::terminal::say;
use super::{adapter_dir, interrupt, source};

/// Name of the one adapter.
const ADAPTER: &str = "adapter";

/// A rescorer with one adapter, or with the masked-language-model head of its base.
pub struct Engine {
    rescorer: Rescorer,
    /// Whether that head scores; there is no adapter then.
    masked: bool,
    batch_tokens: usize,
    /// Conventions that replace the adapter's.
    changes: Changes,
    /// The device's name.
    device: String,
    /// Hypotheses truncated at the base's position limit so far.
    pub truncated: u64,
}

impl Engine {
    /// Loads base and adapter onto the selected device.
    pub fn open(
        base: &BaseArgs,
        adapter: &Path,
        run: &RunArgs,
        scoring: &ScoringArgs,
        texts: TextArgs,
    ) -> Result<Self, CliError> {
        // A missing or misspelt adapter is reported before the large file is read.
        let files = adapter_dir::read_files(adapter, "--adapter")?;
        let loaded = source::load(&base.model, base.revision.as_deref(), run.quiet)?.base;
        interrupt::check()?;
        let options = ReadOptions::default();
        let (adapter, meta) = adapter_dir::parse(&files, adapter, "--adapter", &loaded, options)?;
        let precision = base.precision.precision;
        let Selected { device, name, .. } = run.open_device_for(precision)?;
        let mut rescorer =
            Rescorer::with_precision(loaded, precision, &device).map_err(|error| {
                CliError::at(format_args!("--model {}", base.model.display()), &error)
            })?;
        rescorer.add_adapter(ADAPTER, adapter, meta).map_err(scoring_error)?;
        let engine = Self::new(rescorer)?;
        let changes = texts.changes();
        warn_of_changes(&engine.loaded()?.meta, changes);
        let batch_tokens = scoring.batch_tokens;
        Ok(Self { batch_tokens, changes, device: name, ..engine })
    }

    /// Loads a base with its masked-language-model head, which scores by pseudo-log-likelihood.
    pub fn open_masked(
        base: &BaseArgs,
        run: &RunArgs,
        scoring: &ScoringArgs,
        texts: TextArgs,
    ) -> Result<Self, CliError> {
        let loaded = source::load(&base.model, base.revision.as_deref(), run.quiet)?.base;
        interrupt::check()?;
        let at_model = || format!("--model {}", base.model.display());
        if !loaded.weights.has_masked_head() {
            return Err(CliError::Failed(format!(
                "{}: --pll needs a base with a masked-language-model head, and this one has none",
                at_model()
            )));
        }
        let precision = base.precision.precision;
        let Selected { device, name, .. } = run.open_device_for(precision)?;
        let rescorer = Rescorer::with_masked_head(loaded, precision, &device)
            .map_err(|error| CliError::at(at_model(), &error))?;
        Ok(Self {
            rescorer,
            masked: true,
            batch_tokens: scoring.batch_tokens,
            changes: texts.changes(),
            device: name,
            truncated: 0,
        })
    }

    /// An adapter that was trained on this rescorer, with default batches.
    pub fn trained(mut rescorer: Rescorer, trained: Trained) -> Result<Self, CliError> {
        rescorer.add_adapter(ADAPTER, trained.adapter, trained.meta).map_err(scoring_error)?;
        Self::new(rescorer)
    }

    fn new(rescorer: Rescorer) -> Result<Self, CliError> {
        // Scoring then takes no longer than with the bare base.
        let rescorer = rescorer.merged(ADAPTER).map_err(scoring_error)?;
        let (batch_tokens, changes) = (SCORING_BATCH_TOKENS, Changes::default());
        let device = String::new();
        Ok(Self { rescorer, masked: false, batch_tokens, changes, device, truncated: 0 })
    }

    /// What scores depend on, but for the texts: names with their values. Not for [`Engine::trained`].
    pub fn settings(&self) -> Result<[(&'static str, String); 5], CliError> {
        let adapter = match self.masked {
            true => "none, but --pll".to_owned(),
            false => {
                let LoadedAdapter { adapter, meta, .. } = self.loaded()?;
                let files = adapter::write(adapter, meta);
                let AdapterFiles { config, weights } =
                    files.map_err(|error| CliError::at("--adapter", &error))?;
                sha256(format!("{} {}", sha256(&config), sha256(&weights)))
            }
        };
        Ok([
            ("the version of LoRB", env!("CARGO_PKG_VERSION").to_owned()),
            ("the base", self.rescorer.hash().to_owned()),
            ("the adapter", adapter),
            ("the device", self.device.clone()),
            ("--batch-tokens", self.batch_tokens.to_string()),
        ])
    }

    fn options(&self) -> Options<'static> {
        let options = match self.masked {
            true => Options::first_pass(),
            false => Options::adapter(ADAPTER),
        };
        let options = options.batch_tokens(self.batch_tokens);
        options.conventions(self.changes).progress(&interrupt::go_on)
    }

    /// Compares texts with other conventions than the adapter's from now on.
    pub fn compare_with(&mut self, conventions: Conventions) {
        self.changes = conventions.into();
    }

    /// How texts are compared.
    pub fn conventions(&self) -> Result<Conventions, CliError> {
        self.rescorer.conventions(self.options()).map_err(scoring_error)
    }

    fn loaded(&self) -> Result<&LoadedAdapter, CliError> {
        self.rescorer.adapter(ADAPTER).map_err(scoring_error)
    }

    /// The weights of the score combination: from the flags, else those stored in the adapter.
    pub fn weights(&self, flags: &WeightArgs, adapter: &Path) -> Result<Weights, CliError> {
        flags.over(self.loaded()?.meta.weights.as_ref()).ok_or_else(|| {
            CliError::Failed(format!(
                "--adapter {}: no tuned weights; run `lorb tune`, or use --beta",
                adapter.display()
            ))
        })
    }

    /// The weights that are stored in the adapter.
    pub fn stored_weights(&self) -> Result<Option<Weights>, CliError> {
        Ok(self.loaded()?.meta.weights.clone())
    }

    /// The weights by part that are stored in the adapter.
    pub fn part_weights(&self) -> Result<PartWeights, CliError> {
        let weights = self.loaded()?.meta.weights.as_ref();
        Ok(weights.map(|weights| weights.parts.clone()).unwrap_or_default())
    }

    /// The order of every list.
    pub fn rescore(
        &mut self,
        lists: &[Utterance],
        weights: &Weights,
    ) -> Result<Vec<RankedList>, CliError> {
        let ranked = match self.masked {
            true => self.rescorer.rescore_by_pll(lists, weights, self.options()),
            false => self.rescorer.rescore(lists, self.options().weights(weights)),
        };
        let ranked = ranked.map_err(scoring_error)?;
        self.truncated += ranked.iter().map(|list| list.truncated_count() as u64).sum::<u64>();
        Ok(ranked)
    }

    /// Lists in the form that tuning accepts; those without a reference are skipped.
    pub fn scored_lists(&mut self, lists: &[Utterance]) -> Result<Vec<ScoredList>, CliError> {
        let scored = self.rescorer.scored_lists(lists, self.options());
        let (lists, truncated) = scored.map_err(scoring_error)?;
        self.truncated += truncated as u64;
        Ok(lists)
    }

    /// Evaluates the weights on lists with references.
    pub fn evaluate(
        &mut self,
        lists: &[Utterance],
        weights: &Weights,
    ) -> Result<Evaluated, CliError> {
        let evaluated = self.rescorer.evaluate(lists, self.options().weights(weights), 0);
        let evaluated = evaluated.map_err(scoring_error)?;
        self.truncated += evaluated.truncated as u64;
        Ok(evaluated)
    }

    /// Writes the adapter with new weights, and with the conventions that they were tuned with.
    pub fn store_weights(
        &mut self,
        directory: &Directory,
        weights: Weights,
    ) -> Result<(), CliError> {
        let conventions = self.conventions()?;
        self.rescorer.set_weights(ADAPTER, weights).map_err(scoring_error)?;
        self.rescorer.set_conventions(ADAPTER, conventions).map_err(scoring_error)?;
        let LoadedAdapter { adapter, meta, .. } = self.loaded()?;
        adapter_dir::write(directory, adapter, meta)
    }

    /// A line about texts that were truncated, if any were.
    pub fn truncated_note(&self) -> Option<String> {
        truncated_note(self.truncated)
    }
}

/// Warns if the conventions of a call are not those that an adapter was trained and tuned with. An adapter from
/// elsewhere, without weights and objective, was trained with none.
fn warn_of_changes(meta: &AdapterMeta, changes: Changes) {
    let (stored, now) = (meta.conventions, changes.over(meta.conventions));
    let known = meta.weights.is_some() || meta.objective.is_some();
    if known && stored != now {
        say!(
            "warning: texts are compared with {now}, but the adapter was trained or tuned with {stored}; its weights may \
             not fit, run `lorb tune` with the same flags"
        );
    }
}

fn truncated_note(count: u64) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 hypothesis was truncated at the base's position limit".to_owned()),
        _ => Some(format!("{count} hypotheses were truncated at the base's position limit")),
    }
}

fn scoring_error(error: RescorerError) -> CliError {
    match error.model() {
        Some(ModelError::Stopped) => interrupt::error(),
        _ => CliError::at("scoring", &error),
    }
}

/// The next lists to score together; empty at the end. Ctrl-C causes an error.
pub fn next_chunk(input: &mut Utterances) -> Result<Vec<Utterance>, CliError> {
    let (mut chunk, mut hypotheses, mut bytes) = (Vec::new(), 0, 0);
    while hypotheses < CHUNK_HYPOTHESES && bytes < CHUNK_BYTES {
        interrupt::check()?;
        let Some(utterance) = input.next()? else { break };
        hypotheses += utterance.hypotheses.len();
        bytes += utterance.bytes();
        chunk.push(utterance);
    }
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::truncated_note;

    #[test]
    fn the_note_counts_in_singular_and_plural() {
        assert_eq!(truncated_note(0), None);
        assert!(
            truncated_note(1).is_some_and(|note| note.starts_with("1 hypothesis was truncated"))
        );
        assert!(
            truncated_note(2).is_some_and(|note| note.starts_with("2 hypotheses were truncated"))
        );
    }
}
