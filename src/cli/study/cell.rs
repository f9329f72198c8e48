//! One cell of a study, in a process of its own: its memory is its own, and so is its end.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::time::Instant;

use clap::Args;
use lorb::adapter::{self, AdapterMeta};
use lorb::base::{Base, BertConfig, BertTokenizer};
use lorb::model::{Adapter, Encoder, MaskedHead, base_parameters};
use lorb::nbest::Utterance;
use lorb::score::{ScoredList, Weights, tune};
use lorb::study::{
    DevPoint, Domain, DomainResult, Measured, Perturbation, Perturbed, Scope, Trained, fingerprint,
    is_masked, isotropy, outcomes, subset,
};
use lorb::train::{Message, TrainInputs, Trainer};

use super::inputs::{base, dictionary, lists, test_lists};
use super::job::{Job, Word};
use super::{memory, settings};
use crate::cli::args::RunArgs;
use crate::cli::engine::Engine;
use crate::cli::error::CliError;
use crate::cli::interrupt;

/// Most texts whose `[CLS]` enter the isotropy.
const ISOTROPY_TEXTS: usize = 2000;

#[derive(Args)]
pub struct CellArgs {
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the job on standard input and tells on standard output how it goes.
pub fn run(args: &CellArgs) -> Result<(), CliError> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|error| CliError::at("job", &error))?;
    let job: Job = serde_json::from_str(&text).map_err(|error| CliError::at("job", &error))?;
    interrupt::listen();
    match measure(&job, args) {
        Ok(measured) => say(&Word::Done(Box::new(measured))),
        Err(CliError::BrokenPipe) => Err(CliError::BrokenPipe),
        Err(error) if interrupt::asked() => Err(error),
        Err(error) => say(&Word::Failed(error.message().unwrap_or_default())),
    }
}

fn say(word: &Word) -> Result<(), CliError> {
    let line = serde_json::to_string(word).map_err(|error| CliError::at("cell", &error))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| CliError::stdout(&error))
}

fn at(part: f64, what: impl Into<String>) -> Result<(), CliError> {
    if interrupt::asked() {
        return Err(CliError::Failed("interrupted".into()));
    }
    say(&Word::At(part, what.into()))
}

/// All lists of several files, as they were when the study began.
fn unchanged(job: &Job, paths: &[String], print: &str) -> Result<Vec<Utterance>, CliError> {
    same(lists(&job.folder, paths)?, paths, print)
}

/// Lists of these files, if they are those that the study began with.
fn same(found: Vec<Utterance>, paths: &[String], print: &str) -> Result<Vec<Utterance>, CliError> {
    if fingerprint(&found) == *print {
        return Ok(found);
    }
    Err(CliError::Failed(format!("{}: changed since the study began", paths.join(", "))))
}

fn measure(job: &Job, args: &CellArgs) -> Result<Measured, CliError> {
    let began = Instant::now();
    let (config, cell) = (&job.config, &job.cell);
    let base = base(&job.folder, &cell.base, true)?;
    if job.inputs.bases.iter().any(|(name, hash)| *name == cell.base && *hash != base.hash) {
        return Err(CliError::Failed(format!("{}: changed since the study began", cell.base)));
    }
    let Base { config: sizes, tokenizer, mut weights, hash } = base;
    let start = settings::adapter(cell, config, &sizes, &weights)?;
    let device = args.run.open_device()?;
    let encoder = Encoder::new(&sizes, &mut weights, &device.device)
        .map_err(|error| CliError::at(&cell.base, &error))?;
    let masked = is_masked(&cell.method).then(|| MaskedHead::new(&sizes, &mut weights, &encoder));
    let masked = masked.transpose().map_err(|error| CliError::at(&cell.base, &error))?;
    drop(weights);
    let mut measured = Measured {
        device: device.name.clone(),
        base_parameters: base_parameters(&sizes) as u64,
        base_shape: (sizes.hidden_size, sizes.num_hidden_layers),
        ..Measured::default()
    };
    let run = Run { job, sizes: &sizes, hash: &hash, tokenizer: &tokenizer, began };
    let (adapter, tuned) = match cell.lr {
        Some(_) => run.train(start, &encoder, &mut measured).map(|(a, w)| (a, Some(w)))?,
        None => (start, None),
    };
    let engine = Engine::new(&sizes, adapter, AdapterMeta::default(), encoder, tokenizer.clone());
    let mut scores = Scores { engine, masked, known: HashMap::new() };
    let weights = match tuned {
        Some(weights) => weights,
        None if scores.masked.is_some() => run.tune(&mut scores)?,
        None => Weights::default(),
    };
    (measured.beta, measured.gamma) = (weights.beta, weights.gamma);
    if measured.trained.is_none() {
        measured.seconds.preparing = began.elapsed().as_secs_f64();
    }
    let testing = Instant::now();
    run.test(scores, weights, &mut measured)?;
    measured.seconds.testing = testing.elapsed().as_secs_f64();
    measured.seconds.total = began.elapsed().as_secs_f64();
    Ok(measured)
}

struct Run<'a> {
    job: &'a Job,
    sizes: &'a BertConfig,
    hash: &'a str,
    tokenizer: &'a BertTokenizer,
    began: Instant,
}

impl Run<'_> {
    fn train(
        &self,
        start: Adapter,
        encoder: &Encoder,
        measured: &mut Measured,
    ) -> Result<(Adapter, Weights), CliError> {
        let Job { config, cell, inputs, .. } = self.job;
        let settings = settings::training(cell, config)?;
        let all = unchanged(self.job, &config.target.train, &inputs.target[0])?;
        let train = subset(&all, cell.utterances.unwrap_or(all.len()), config.subset_seed);
        drop(all);
        let dev = unchanged(self.job, &config.target.dev, &inputs.target[1])?;
        let failed = |error| CliError::at("training", &error);
        let mut trainer = Trainer::new(
            TrainInputs {
                encoder: encoder.clone(),
                base: self.sizes,
                base_hash: self.hash,
                tokenizer: self.tokenizer,
                adapter: start,
                train: &train,
                dev: &dev,
            },
            settings,
        )
        .map_err(failed)?;
        drop((train, dev));
        measured.seconds.preparing = self.began.elapsed().as_secs_f64();
        let fresh = memory::forget_peak();
        let mut trained = Trained::default();
        let (mut steps, mut pending) = (Vec::new(), 0.0);
        loop {
            let before = Instant::now();
            let message = pollster::block_on(trainer.next()).map_err(failed)?;
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
                    // The rest of a run, its tests, is counted as a tenth.
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
                Some(Message::Warning { .. } | Message::Finished { .. }) => {}
            }
        }
        measured.peak_memory = if fresh { memory::peak() } else { None };
        trained.step_seconds = median(&mut steps);
        let (adapter, tuned) = pollster::block_on(trainer.best()).map_err(failed)?;
        let beta = trainer.rescoring_beta();
        let weights = tuned.unwrap_or(Weights { beta, gamma: 0.0 });
        let files = adapter::write(&adapter, &AdapterMeta::default())
            .map_err(|error| CliError::at("adapter", &error))?;
        trained.adapter_bytes = (files.config.len() + files.weights.len()) as u64;
        measured.trained = Some(trained);
        Ok((adapter, weights))
    }

    /// The weights of an untrained score, found on the dev lists as for trained ones.
    fn tune(&self, scores: &mut Scores) -> Result<Weights, CliError> {
        let Job { config, cell, inputs, .. } = self.job;
        at(0.0, "tuning on the dev lists")?;
        let dev = unchanged(self.job, &config.target.dev, &inputs.target[1])?;
        let lm = scores.of(&dev, true)?;
        scores.known.clear();
        let lists: Vec<ScoredList> =
            dev.iter().zip(&lm).filter_map(|(u, lm)| ScoredList::new(u, lm)).collect();
        Ok(tune(&lists, cell.method == "pll-length").weights)
    }

    fn test(
        &self,
        mut scores: Scores,
        weights: Weights,
        measured: &mut Measured,
    ) -> Result<(), CliError> {
        let Job { config, cell, inputs, .. } = self.job;
        let target = Domain {
            name: config.target.name.clone(),
            test: config.target.test.clone(),
            utterances: None,
        };
        let prints = inputs.non_target.iter().map(|(_, print)| print);
        let domains = std::iter::once((&target, &inputs.target[2]));
        for (domain, print) in domains.chain(config.non_target.iter().zip(prints)) {
            let name = &domain.name;
            at(0.9, format!("testing on {name}"))?;
            let tests = test_lists(&self.job.folder, domain, config.subset_seed)?;
            let tests = same(tests, &domain.test, print)?;
            if measured.isotropy.is_none() {
                measured.isotropy = self.isotropy(&scores.engine, &tests)?;
            }
            let lm = scores.of(&tests, weights.beta != 0.0)?;
            measured.domains.push(outcomes(name, &tests, &lm, weights, true));
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
        weights: Weights,
        measured: &mut Measured,
    ) -> Result<(), CliError> {
        let Some(settings) = &self.job.config.robustness else { return Ok(()) };
        let (homophones, _) = dictionary(&self.job.folder, &settings.dictionary)?;
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
                let domain: DomainResult = outcomes(name, &lists, &lm, weights, false);
                measured.perturbed.push(Perturbed { scope, rate, replaced, of_words, domain });
            }
        }
        Ok(())
    }

    /// Over the distinct texts, or as many of them at equal distances.
    fn isotropy(&self, engine: &Engine, tests: &[Utterance]) -> Result<Option<f64>, CliError> {
        let mut texts: Vec<&str> =
            tests.iter().flat_map(|u| &u.hypotheses).map(|h| h.text.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        let count = texts.len().min(ISOTROPY_TEXTS);
        let texts: Vec<&str> = (0..count).map(|at| texts[at * texts.len() / count]).collect();
        Ok(isotropy(&engine.embed(&texts)?, self.sizes.hidden_size))
    }
}

/// Scores by text: a perturbed list shares most texts with the one it came from.
struct Scores {
    engine: Engine,
    /// Where the base's own head scores in place of the adapter's.
    masked: Option<MaskedHead>,
    known: HashMap<String, f64>,
}

impl Scores {
    /// Scores of these lists, or zeros where they are not `needed`: with beta 0 they do not matter.
    fn of(&mut self, lists: &[Utterance], needed: bool) -> Result<Vec<Vec<f64>>, CliError> {
        let hypotheses = || lists.iter().flat_map(|u| &u.hypotheses);
        if needed {
            let mut new: Vec<&str> = hypotheses()
                .map(|h| h.text.as_str())
                .filter(|text| !self.known.contains_key(*text))
                .collect();
            new.sort_unstable();
            new.dedup();
            let scores = match &self.masked {
                None => self.engine.score_texts(&new)?,
                Some(head) => self.engine.judge_texts(head, &new, until_interrupted)?,
            };
            self.known.extend(new.into_iter().map(str::to_owned).zip(scores));
        }
        let score = |text: &str| self.known.get(text).copied().unwrap_or(0.0);
        let row = |u: &Utterance| u.hypotheses.iter().map(|h| score(&h.text)).collect();
        Ok(lists.iter().map(row).collect())
    }
}

fn until_interrupted(_: f64) -> ControlFlow<()> {
    if interrupt::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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
