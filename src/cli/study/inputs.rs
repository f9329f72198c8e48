//! The inputs of a study: configuration, lists, bases, dictionary.

use std::path::{Path, PathBuf};

use lorb::base::Base;
use lorb::bounds::{MAX_DICTIONARY_BYTES, MAX_STUDY_BYTES};
use lorb::digest::sha256;
use lorb::nbest::{Utterance, format_by_name};
use lorb::score::Evaluation;
use lorb::study::{
    BaseName, Domain, Homophones, Inputs, ListReading, Plan, StudyConfig, StudyError, fingerprint,
    is_masked, plan, subset,
};

use crate::cli::demo_base;
use crate::cli::error::CliError;
use crate::cli::files;
use crate::cli::input::{Reading, Utterances};
use crate::cli::source::{self, NamedBase};
use crate::cli::terminal::say;

/// The name of `lorb demo`'s base in a configuration.
const DEMO_BASE: &str = "demo";

/// Reads and checks a configuration.
pub fn config(path: &Path) -> Result<StudyConfig, CliError> {
    let text = files::read_small_text(path, MAX_STUDY_BYTES)?;
    let config: StudyConfig = toml::from_str(&text).map_err(|error| {
        let before = error.span().map_or("", |span| &text[..span.start.min(text.len())]);
        let line = before.matches('\n').count() + 1;
        CliError::Failed(format!("{}, line {line}: {}", path.display(), error.message()))
    })?;
    config.validate().map_err(|error| CliError::at(path.display(), &error))?;
    Ok(config)
}

/// A configuration and the fingerprints of its inputs.
pub struct Study {
    pub config: StudyConfig,
    /// The directory that its paths are relative to.
    pub folder: PathBuf,
    pub inputs: Inputs,
    /// Number of training lists.
    pub train_utterances: usize,
}

impl Study {
    /// Reads all inputs once, so that missing or damaged ones are reported before the first run.
    pub fn read(config: StudyConfig, path: &Path, quiet: bool) -> Result<Self, CliError> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let target = &config.target;
        let of = |key, paths| {
            checked(&folder, &format!("target.{key}"), paths, &config, &target.reading)
        };
        let (train, dev) = (of("train", &target.train)?, of("dev", &target.dev)?);
        let test = of("test", &target.test)?;
        let mut non_target = Vec::new();
        for domain in &config.non_target {
            let (name, reading) = (&domain.name, &domain.reading);
            let of = |key, paths| {
                checked(&folder, &format!("non_target.{name}.{key}"), paths, &config, reading)
            };
            let mut lists = part(of("test", &domain.test)?, domain, &config);
            if !domain.dev.is_empty() {
                lists.extend(of("dev", &domain.dev)?);
            }
            non_target.push((name.clone(), fingerprint(&lists)));
        }
        let dictionary = match &config.robustness {
            Some(robustness) => Some(dictionary(&folder, &robustness.dictionary)?.1),
            None => None,
        };
        let mut bases = Vec::new();
        for name in &config.bases {
            let read = base(&folder, name, quiet)?;
            if !read.weights.has_masked_head() {
                without_masked_head(&config, name)?;
            }
            bases.push((name.clone(), read.hash));
        }
        let target = [&train, &dev, &test].map(|lists| fingerprint(lists));
        let inputs = Inputs { target, non_target, bases, dictionary };
        Ok(Self { config, folder, inputs, train_utterances: train.len() })
    }

    /// The cells.
    pub fn plan(&self) -> Result<Plan, StudyError> {
        plan(&self.config, &self.inputs, self.train_utterances)
    }
}

/// All lists of several files.
pub fn lists(
    folder: &Path,
    paths: &[String],
    config: &StudyConfig,
    reading: &ListReading,
) -> Result<Vec<Utterance>, CliError> {
    open(folder, paths, config, reading)?.collect()
}

/// The test lists of a domain, or the configured number of them, and its dev lists, unless they have changed since the
/// study started, with the fingerprint `print`.
pub fn domain_lists(
    folder: &Path,
    domain: &Domain,
    config: &StudyConfig,
    print: &str,
) -> Result<[Vec<Utterance>; 2], CliError> {
    let of = |paths: &[String]| match paths {
        [] => Ok(Vec::new()),
        paths => lists(folder, paths, config, &domain.reading),
    };
    let mut test = part(of(&domain.test)?, domain, config);
    let count = test.len();
    test.extend(of(&domain.dev)?);
    let mut test = same(test, &[&domain.test[..], &domain.dev].concat(), print)?;
    let dev = test.split_off(count);
    Ok([test, dev])
}

/// The lists of these files, if they are unchanged since the study started.
pub fn same(
    found: Vec<Utterance>,
    paths: &[String],
    print: &str,
) -> Result<Vec<Utterance>, CliError> {
    if fingerprint(&found) == *print {
        return Ok(found);
    }
    Err(CliError::Failed(format!("{}: changed since the study started", paths.join(", "))))
}

fn part(all: Vec<Utterance>, domain: &Domain, config: &StudyConfig) -> Vec<Utterance> {
    subset(&all, domain.utterances.unwrap_or(all.len()), config.subset_seed)
}

fn open(
    folder: &Path,
    paths: &[String],
    config: &StudyConfig,
    reading: &ListReading,
) -> Result<Utterances, CliError> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| folder.join(path)).collect();
    for path in paths.iter().filter(|path| !path.is_dir()) {
        // A study reads its lists again for every cell.
        files::open_regular(path)?;
    }
    let format = reading.format.as_ref().or(config.format.as_ref());
    let format = format.and_then(|name| format_by_name(name));
    Utterances::open(&paths, &Reading { format, scores: reading.scores(), ..Reading::default() })
}

/// All lists of several files. They must have references. Prints warnings about their scores and texts, as `lorb eval` does.
fn checked(
    folder: &Path,
    key: &str,
    paths: &[String],
    config: &StudyConfig,
    reading: &ListReading,
) -> Result<Vec<Utterance>, CliError> {
    let mut input = open(folder, paths, config, reading)?;
    let lists = input.collect()?;
    if lists.iter().all(|utterance| utterance.reference.is_none()) {
        let names: Vec<_> =
            paths.iter().map(|path| folder.join(path).display().to_string()).collect();
        let names = names.join(", ");
        return Err(CliError::Failed(format!(
            "{names}: no list has a reference; a study needs references"
        )));
    }
    input.warnings().for_each(|warning| say!("warning: {key}: {warning}"));
    input.print_score_warnings(&format!("{key}: "), &input.score_warnings(None));
    let conventions =
        config.train_config().map_err(|error| CliError::at(key, &error))?.conventions();
    let mut evaluation = Evaluation::with(conventions);
    lists.iter().for_each(|utterance| evaluation.add(utterance, None));
    evaluation.findings().iter().for_each(|found| say!("warning: {key}: {found}"));
    Ok(lists)
}

/// Rejects methods that need a masked-language-model head if the base has none.
fn without_masked_head(config: &StudyConfig, base: &str) -> Result<(), CliError> {
    let first = &config.bases[..1];
    for (at, grid) in config.grid.iter().enumerate() {
        let bases = grid.bases.as_deref().unwrap_or(first);
        let asked = grid.methods.iter().find(|method| is_masked(method));
        if let Some(method) = asked.filter(|_| bases.iter().any(|name| name == base)) {
            return Err(CliError::Failed(format!(
                "grid {}: methods: {method:?} needs a base with a masked-language-model head, \
                 which {base} lacks; remove the method, or use a base with its pretraining head",
                at + 1
            )));
        }
    }
    Ok(())
}

/// A base by its name in the configuration: a directory relative to it, else anything that `--model` accepts.
pub fn base(folder: &Path, name: &str, quiet: bool) -> Result<Base, CliError> {
    let BaseName { source, layers } = BaseName::parse(name);
    let beside = folder.join(source);
    let NamedBase { base, .. } = if beside.is_dir() {
        source::load(&beside, None, quiet)?
    } else if source == DEMO_BASE {
        demo_base::minilm(None, quiet)?
    } else {
        source::load(source, None, quiet)?
    };
    match layers {
        Some(count) => base.first_layers(count).map_err(|error| CliError::at(name, &error)),
        None => Ok(base),
    }
}

/// A dictionary and its SHA-256.
pub fn dictionary(folder: &Path, path: &str) -> Result<(Homophones, String), CliError> {
    let path = folder.join(path);
    let bytes = files::read_small(&path, MAX_DICTIONARY_BYTES)?;
    let hash = sha256(&bytes);
    // Old dictionaries are in Latin-1; such words match nothing and do no harm.
    let text = String::from_utf8_lossy(&bytes);
    let homophones = Homophones::read(&text, &path.display().to_string());
    Ok((homophones.map_err(|error| CliError::at("robustness.dictionary", &error))?, hash))
}
