//! Runs one cell of a study in a separate process, so that its memory is freed and a crash does not end the study.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use lorb::adapter::{self, AdapterMeta};
use lorb::model::{Adapter, base_parameters};
use lorb::nbest::Utterance;
use lorb::ops::Precision;
use lorb::rescorer::{Options, Rescorer, RescorerError, Trained as RunResult};
use lorb::score::{ScoredList, Weights, all_compared, tune};
use lorb::study::{
    DevPoint, Domain, DomainResult, Measured, Perturbation, Perturbed, Scope, StudyConfig, Trained,
    is_masked, isotropy, outcomes, subset,
};
use lorb::text::Conventions;
use lorb::train::Message;

use super::inputs::{base, dictionary, domain_lists, lists, same};
use super::job::{CellMessage, Job};
use super::{memory, settings};
use crate::cli::args::RunArgs;
use crate::cli::error::CliError;
use crate::cli::interrupt;

/// Name of the cell's adapter.
const ADAPTER: &str = "cell";

/// Maximum number of texts whose `[CLS]` is used for the isotropy.
const ISOTROPY_TEXTS: usize = 2000;

#[derive(Args)]
pub struct CellArgs {
    /// Directory that the paths of the configuration are relative to. It is not part of the job, because JSON cannot
    /// represent every path
    #[arg(long, value_name = "DIR", allow_hyphen_values = true)]
    folder: OsString,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the job from standard input and reports progress on standard output.
pub fn run(args: &CellArgs) -> Result<(), CliError> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|error| CliError::at("job", &error))?;
    let job: Job = serde_json::from_str(&text).map_err(|error| CliError::at("job", &error))?;
    interrupt::listen();
    match measure(&job, args) {
        Ok(measured) => send(&CellMessage::Done(Box::new(measured))),
        Err(CliError::BrokenPipe) => Err(CliError::BrokenPipe),
        Err(error) if interrupt::asked() => Err(error),
        Err(error) => send(&CellMessage::Failed(error.message().unwrap_or_default())),
    }
}

fn send(message: &CellMessage) -> Result<(), CliError> {
    let line = serde_json::to_string(message).map_err(|error| CliError::at("cell", &error))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| CliError::stdout(&error))
}

fn at(part: f64, what: impl Into<String>) -> Result<(), CliError> {
    interrupt::check()?;
    send(&CellMessage::At(part, what.into()))
}

/// The target's lists in several files, unchanged since the study started.
fn unchanged(
    folder: &Path,
    config: &StudyConfig,
    paths: &[String],
    print: &str,
) -> Result<Vec<Utterance>, CliError> {
    same(lists(folder, paths, config, &config.target.reading)?, paths, print)
}

fn measure(job: &Job, args: &CellArgs) -> Result<Measured, CliError> {
    let began = Instant::now();
    let (config, cell) = (&job.config, &job.cell);
    let folder = Path::new(&args.folder);
    let base = base(folder, &cell.base, true)?;
    if job.inputs.bases.iter().any(|(name, hash)| *name == cell.base && *hash != base.hash) {
        return Err(CliError::Failed(format!("{}: changed since the study started", cell.base)));
    }
    let start = settings::adapter(cell, config, &base.config, &base.weights)?;
    let device = args.run.open_device()?;
    let masked = is_masked(&cell.method);
    let new = if masked { Rescorer::with_masked_head } else { Rescorer::with_precision };
    let mut rescorer = new(base, Precision::F32, &device.device)
        .map_err(|error| CliError::at(&cell.base, &error))?;
    let sizes = rescorer.base();
    let mut measured = Measured {
        device: device.name.clone(),
        base_parameters: base_parameters(sizes) as u64,
        base_shape: (sizes.hidden_size, sizes.num_hidden_layers),
        ..Measured::default()
    };
    let conventions = settings::training(cell, config)?.conventions();
    let run = CellRun { job, folder, began, conventions };
    let (adapter, tuned) = match cell.lr {
        Some(_) => run.train(start, &rescorer, &mut measured).map(|(a, w)| (a, Some(w)))?,
        None => (start, None),
    };
    rescorer.add_adapter(ADAPTER, adapter, AdapterMeta::default()).map_err(scoring_error)?;
    let rescorer = rescorer.merged(ADAPTER).map_err(scoring_error)?;
    let mut scores = Scores { rescorer, masked, known: HashMap::new() };
    let weights = match tuned {
        Some(weights) => weights,
        None if masked => run.tune(&mut scores)?,
        None => Weights::default(),
    };
    (measured.beta, measured.gamma) = (weights.beta, weights.gamma);
    if measured.trained.is_none() {
        measured.seconds.preparing = began.elapsed().as_secs_f64();
    }
    let testing = Instant::now();
    run.test(scores, &weights, &mut measured)?;
    measured.seconds.testing = testing.elapsed().as_secs_f64();
    measured.seconds.total = began.elapsed().as_secs_f64();
    Ok(measured)
}

struct CellRun<'a> {
    job: &'a Job,
    folder: &'a Path,
    began: Instant,
    conventions: Conventions,
}

impl CellRun<'_> {
    fn train(
        &self,
        start: Adapter,
        rescorer: &Rescorer,
        measured: &mut Measured,
    ) -> Result<(Adapter, Weights), CliError> {
        let Job { config, cell, inputs, .. } = self.job;
        let settings = settings::training(cell, config)?;
        let all = unchanged(self.folder, config, &config.target.train, &inputs.target[0])?;
        let train = subset(&all, cell.utterances.unwrap_or(all.len()), config.subset_seed);
        drop(all);
        let dev = unchanged(self.folder, config, &config.target.dev, &inputs.target[1])?;
        let run = rescorer.run(start, &train, &dev, settings, None);
        let mut run = run.map_err(|error| CliError::at("training", &error))?;
        let failed = |error| CliError::at("training", &error);
        drop((train, dev));
        measured.seconds.preparing = self.began.elapsed().as_secs_f64();
        let fresh = memory::forget_peak();
        let mut trained = Trained::default();
        let (mut steps, mut pending) = (Vec::new(), 0.0);
        loop {
            let before = Instant::now();
            let message = pollster::block_on(run.trainer.next()).map_err(failed)?;
            let took = before.elapsed().as_secs_f64();
            match message {
                None => break,
                Some(Message::Started { trainable, dev_utterances, .. }) => {
                    trained.trainable = trainable as u64;
                    at(0.0, format!("{dev_utterances} dev utterances"))?;
                }
                Some(Message::Batch { .. }) => pending += took,
                Some(Message::Step { step, steps: all, loss, .. }) => {
                    let seconds = took + std::mem::take(&mut pending);
                    measured.seconds.training += seconds;
                    steps.push(seconds);
                    trained.steps = step;
                    // Testing counts as a tenth of the run.
                    at(0.9 * step as f64 / all as f64, format!("loss {loss:.3}"))?;
                }
                Some(Message::Evaluated { step, wer, wer_first, wer_oracle, best, .. }) => {
                    measured.seconds.evaluating += took;
                    let seconds = measured.seconds.training;
                    trained.dev.push(DevPoint { step, seconds, wer });
                    (trained.dev_first, trained.dev_oracle) = (wer_first, wer_oracle);
                    if best {
                        (trained.best_step, trained.best_seconds) = (step, seconds);
                    }
                }
                Some(_) => {}
            }
        }
        measured.peak_memory = if fresh { memory::peak() } else { None };
        trained.step_seconds = median(&mut steps);
        let RunResult { adapter, weights, .. } = run.best().map_err(failed)?;
        let files = adapter::write(&adapter, &AdapterMeta::default())
            .map_err(|error| CliError::at("adapter", &error))?;
        trained.adapter_bytes = (files.config.len() + files.weights.len()) as u64;
        measured.trained = Some(trained);
        Ok((adapter, weights))
    }

    /// The weights of an untrained score, tuned on the dev lists as for trained ones.
    fn tune(&self, scores: &mut Scores) -> Result<Weights, CliError> {
        let Job { config, inputs, .. } = self.job;
        at(0.0, "tuning on the dev lists")?;
        let dev = unchanged(self.folder, config, &config.target.dev, &inputs.target[1])?;
        self.tune_on(&dev, scores)
    }

    fn tune_on(&self, dev: &[Utterance], scores: &mut Scores) -> Result<Weights, CliError> {
        let dev = all_compared(dev, &self.conventions);
        let lm = scores.of(&dev, true)?;
        scores.known.clear();
        let unit = self.conventions.unit;
        let lists: Vec<ScoredList> =
            dev.iter().zip(&lm).filter_map(|(u, lm)| ScoredList::new(u, lm, unit)).collect();
        Ok(tune(&lists, self.job.cell.method == "pll-length").weights)
    }

    fn test(
        &self,
        mut scores: Scores,
        weights: &Weights,
        measured: &mut Measured,
    ) -> Result<(), CliError> {
        let Job { config, cell, inputs, .. } = self.job;
        let target = Domain {
            name: config.target.name.clone(),
            test: config.target.test.clone(),
            dev: Vec::new(),
            utterances: None,
            reading: config.target.reading.clone(),
        };
        let prints = inputs.non_target.iter().map(|(_, print)| print);
        let domains = std::iter::once((&target, &inputs.target[2]));
        for (domain, print) in domains.chain(config.non_target.iter().zip(prints)) {
            let name = &domain.name;
            at(0.9, format!("testing on {name}"))?;
            let [tests, dev] = domain_lists(self.folder, domain, config, print)?;
            let tests = all_compared(&tests, &self.conventions);
            let scored = cell.lr.is_some() || scores.masked;
            let own = if dev.is_empty() || !scored {
                None
            } else {
                Some(self.tune_on(&dev, &mut scores)?)
            };
            let weights = own.as_ref().unwrap_or(weights);
            if measured.isotropy.is_none() {
                measured.isotropy = isotropy_of(&scores.rescorer, &tests)?;
            }
            let lm = scores.of(&tests, weights.beta != 0.0)?;
            measured.domains.push(outcomes(
                name,
                &tests,
                &lm,
                weights,
                self.conventions.unit,
                true,
            ));
            if cell.perturbed {
                self.perturb(name, &tests, &mut scores, weights, measured)?;
            }
            scores.known.clear();
        }
        Ok(())
    }

    fn perturb(
        &self,
        name: &str,
        tests: &[Utterance],
        scores: &mut Scores,
        weights: &Weights,
        measured: &mut Measured,
    ) -> Result<(), CliError> {
        let Some(settings) = &self.job.config.robustness else { return Ok(()) };
        let (homophones, _) = dictionary(self.folder, &settings.dictionary)?;
        for scope in [Scope::OneBest, Scope::All] {
            for &rate in &settings.rates {
                at(0.95, format!("homophones in {name}"))?;
                let perturbation =
                    Perturbation { homophones: &homophones, scope, rate, seed: settings.seed };
                let (mut lists, mut replaced, mut of_words) = (Vec::new(), 0, 0);
                for utterance in tests {
                    let (list, changed, words) = perturbation.apply(utterance);
                    lists.push(list);
                    replaced += changed;
                    of_words += words;
                }
                let lm = scores.of(&lists, weights.beta != 0.0)?;
                let unit = self.conventions.unit;
                let domain: DomainResult = outcomes(name, &lists, &lm, weights, unit, false);
                measured.perturbed.push(Perturbed { scope, rate, replaced, of_words, domain });
            }
        }
        Ok(())
    }
}

/// Isotropy over the distinct texts, or over [`ISOTROPY_TEXTS`] of them, evenly spaced.
fn isotropy_of(rescorer: &Rescorer, tests: &[Utterance]) -> Result<Option<f64>, CliError> {
    let mut texts: Vec<&str> =
        tests.iter().flat_map(|u| &u.hypotheses).map(|h| h.text.as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    let count = texts.len().min(ISOTROPY_TEXTS);
    let texts: Vec<&str> = (0..count).map(|at| texts[at * texts.len() / count]).collect();
    let embedded = rescorer.embed(&texts, Options::adapter(ADAPTER));
    let embedded = embedded.map_err(|error| CliError::at("embedding", &error))?;
    Ok(isotropy(&embedded, rescorer.base().hidden_size))
}

fn scoring_error(error: RescorerError) -> CliError {
    CliError::at("scoring", &error)
}

/// Scores by text: a perturbed list shares most texts with the original.
struct Scores {
    rescorer: Rescorer,
    /// Whether the base's masked-language-model head scores instead of the adapter's score head.
    masked: bool,
    known: HashMap<String, f64>,
}

impl Scores {
    /// Scores of these lists, or zeros if they are not `needed`: with beta 0 they have no effect.
    fn of(&mut self, lists: &[Utterance], needed: bool) -> Result<Vec<Vec<f64>>, CliError> {
        let hypotheses = || lists.iter().flat_map(|u| &u.hypotheses);
        if needed {
            let mut new: Vec<&str> = hypotheses()
                .map(|h| h.text.as_str())
                .filter(|text| !self.known.contains_key(*text))
                .collect();
            new.sort_unstable();
            new.dedup();
            let (rescorer, options) = (&self.rescorer, Options::adapter(ADAPTER));
            let scores = if self.masked {
                let judged = rescorer.pseudo_log_likelihood(&new, options, until_interrupted);
                judged.map(|judged| judged.pll)
            } else {
                rescorer.score_texts(&new, options)
            };
            let scores = scores.map_err(scoring_error)?;
            self.known.extend(new.into_iter().map(str::to_owned).zip(scores));
        }
        let score = |text: &str| self.known.get(text).copied().unwrap_or(0.0);
        let row = |u: &Utterance| u.hypotheses.iter().map(|h| score(&h.text)).collect();
        Ok(lists.iter().map(row).collect())
    }
}

fn until_interrupted(done: usize, _: usize) -> ControlFlow<()> {
    interrupt::go_on(done)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 0 => 0.5 * (values[middle - 1] + values[middle]),
        _ => values[middle],
    }
}
