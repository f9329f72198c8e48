//! The flags of `lorb train`. Their defaults are those of the library.

use std::path::PathBuf;

use clap::Args;
use clap::builder::TypedValueParser;
use lorb::base::BertConfig;
use lorb::model::{LoraConfig, LoraVariant, Method, MethodKind, ModelError, Target};
use lorb::train::{Decay, Objective, TrainConfig, TrainError};

use super::args::{BaseArgs, ReadArgs, RunArgs, choices, words};
use super::error::CliError;

#[derive(Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub base: BaseArgs,
    #[command(flatten)]
    pub data: DataArgs,
    #[command(flatten)]
    pub method: MethodArgs,
    #[command(flatten)]
    pub schedule: ScheduleArgs,
    #[command(flatten)]
    pub keeping: KeepingArgs,
    #[command(flatten)]
    pub reading: ReadArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

#[derive(Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Lists with references to train on
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub train: Vec<PathBuf>,
    /// Lists with references on which the best adapter and beta are chosen
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub dev: Vec<PathBuf>,
    /// Directory of the adapter: adapter_config.json and adapter_model.safetensors
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// Most hypotheses of a training list; the best by first-pass score are taken
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().nbest)]
    pub nbest: usize,
}

/// What is trained, as the flag names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodName {
    /// LoRA with the correlation term: the method of the paper.
    Lorb,
    /// A method of the library.
    Plain(MethodKind),
}

impl std::str::FromStr for MethodName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        if name == "lorb" { Ok(Self::Lorb) } else { name.parse().map(Self::Plain) }
    }
}

impl std::fmt::Display for MethodName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lorb => f.write_str("lorb"),
            Self::Plain(kind) => kind.fmt(f),
        }
    }
}

/// Weight of the correlation term under `--method lorb` where no other is given.
const LORB_COR_WEIGHT: f32 = 0.05;

#[derive(Args)]
#[command(next_help_heading = "Method")]
pub struct MethodArgs {
    /// What is trained: lora; lorb (lora with the correlation term); dora
    /// (lora with the rows' lengths); adalora (lora with
    /// ranks that follow importance); rank-warmup (lora that begins with a higher rank); mixed-rank (the
    /// same, with ranks by singular value); full (the whole encoder);
    /// bitfit (its biases); prefix (keys and values before each layer's); houlsby (bottlenecks behind
    /// output layers); head (the score head alone, which all others train too) [default: lora]
    #[arg(long, value_parser = words::<MethodName>(&["lora", "lorb", "dora", "adalora", "rank-warmup", "mixed-rank", "full", "bitfit", "prefix", "houlsby", "head"]), conflicts_with = "init_adapter")]
    method: Option<MethodName>,
    /// Choose rank and layers, prefix length or bottleneck width so that at most this part of the
    /// base's parameters is trained, such as 0.08%
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with_all = ["lora_r", "lora_alpha", "lora_target_modules", "prefix_length", "adapter_width", "target_r", "init_adapter"])]
    pub budget: Option<f64>,
    /// Rank at the end under adalora, rank-warmup and mixed-rank [default: 8]; --lora-r is then the first
    /// one [default: half as much again under adalora, else four times as much]
    #[arg(long, value_name = "N")]
    pub target_r: Option<usize>,
    /// Tokens of a prefix [default: 20]
    #[arg(long, value_name = "N")]
    pub prefix_length: Option<usize>,
    /// Width of the bottlenecks [default: 64]
    #[arg(long, value_name = "N")]
    pub adapter_width: Option<usize>,
    #[command(flatten)]
    pub lora: LoraArgs,
}

/// A parser of objectives; clap lists their names and what each is.
fn objectives() -> impl TypedValueParser<Value = Objective> {
    choices(Objective::ALL.map(|objective| (objective.name(), objective.info().help)))
}

/// A part of a whole, as `0.08%` or `0.0008`.
fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim().parse::<f64>().ok().map(|number| number / unit);
    let sound = share.filter(|share| share.is_finite() && *share > 0.0);
    sound.ok_or_else(|| "expected a part of the parameters, such as 0.08%".to_owned())
}

#[derive(Args)]
#[command(next_help_heading = "LoRA")]
pub struct LoraArgs {
    /// Rank of the updates [default: 8]
    #[arg(long, value_name = "N")]
    pub lora_r: Option<usize>,
    /// The updates are scaled by alpha / r [default: 16]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub lora_alpha: Option<f32>,
    /// Part of the inputs of the updates that is dropped in training [default: 0]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub lora_dropout: Option<f32>,
    /// Linear layers to adapt, by PEFT's names: query, key, value, attention.output.dense,
    /// intermediate.dense, output.dense (both output layers), dense, all-linear, or by those of
    /// another architecture, such as q_lin [default: query,value]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub lora_target_modules: Option<Vec<String>>,
    /// Encoder layers to adapt, counted from 0 [default: all]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub lora_layers: Option<Vec<usize>>,
    /// Scale by alpha / sqrt(r) (rsLoRA)
    #[arg(long)]
    pub rslora: bool,
    /// Start from this adapter, whose settings are kept; one without a score head gets a new one
    #[arg(long, value_name = "DIR", conflicts_with_all = ["lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "lora_layers", "rslora"])]
    pub init_adapter: Option<PathBuf>,
}

#[derive(Args)]
#[command(next_help_heading = "Training")]
pub struct ScheduleArgs {
    /// What the scores are trained for
    #[arg(long, default_value_t = TrainConfig::default().objective, value_parser = objectives())]
    pub objective: Objective,
    /// Weight of the correlation term [default: 0; 0.05 with --method lorb]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub cor_weight: Option<f32>,
    /// Part of the list-wise target that is spread over all hypotheses
    #[arg(long, value_name = "P", allow_negative_numbers = true, default_value_t = TrainConfig::default().label_smoothing)]
    pub label_smoothing: f32,
    /// Weight of the model's score in training
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().beta)]
    pub beta: f64,
    /// Weight of the first pass in training [default: the one under which its scores best tell the
    /// hypotheses with the fewest errors]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub first_scale: Option<f64>,
    /// Peak learning rate
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().lr)]
    pub lr: f64,
    /// Decoupled weight decay
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().weight_decay)]
    pub weight_decay: f64,
    /// Part of the steps in which the learning rate climbs
    #[arg(long, value_name = "P", allow_negative_numbers = true, default_value_t = TrainConfig::default().warmup)]
    pub warmup: f64,
    /// Course of the learning rate after that
    #[arg(long, default_value_t = TrainConfig::default().decay, value_parser = words::<Decay>(&["linear", "cosine", "constant"]))]
    pub decay: Decay,
    /// Longest gradient that is not shortened; 0 never shortens
    #[arg(long, value_name = "X", allow_negative_numbers = true, default_value_t = TrainConfig::default().clip_norm)]
    pub clip_norm: f64,
    /// Passes over the training lists
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().epochs)]
    pub epochs: usize,
    /// Most tokens of a batch
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().batch_tokens)]
    pub batch_tokens: usize,
    /// Batches that make one step
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().accumulate)]
    pub accumulate: usize,
    /// Keep only the input of each layer and compute the layer again in the backward pass: less
    /// than half the memory, some 40 % more time, the same result
    #[arg(long)]
    pub recompute: bool,
    /// Seed of the first weights, of the order of lists and of dropout
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().seed)]
    pub seed: u64,
    /// Evaluations of the dev lists in a pass
    #[arg(long, value_name = "N", default_value_t = TrainConfig::default().evals_per_epoch)]
    pub evals_per_epoch: usize,
    /// Evaluations without a better dev WER after which the run stops [default: never]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
}

#[derive(Args)]
#[command(next_help_heading = "Files of the run")]
pub struct KeepingArgs {
    /// Steps between checkpoints, which are also written at evaluations and at Ctrl-C
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = super::args::at_least_one)]
    pub checkpoint_every: usize,
    /// Go on from the checkpoint in the output directory
    #[arg(long)]
    pub resume: bool,
    /// Replace an adapter or a checkpoint that is there
    #[arg(long, conflicts_with = "resume")]
    pub overwrite: bool,
    /// Append every message of the run to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub log_json: Option<PathBuf>,
}

impl TrainArgs {
    /// The settings of the run, checked.
    pub fn config(&self) -> Result<TrainConfig, CliError> {
        let s = &self.schedule;
        let config = TrainConfig {
            objective: s.objective,
            cor_weight: s.cor_weight.unwrap_or(if self.method.name() == MethodName::Lorb {
                LORB_COR_WEIGHT
            } else {
                TrainConfig::default().cor_weight
            }),
            label_smoothing: s.label_smoothing,
            lr: s.lr,
            weight_decay: s.weight_decay,
            epochs: s.epochs,
            batch_tokens: s.batch_tokens,
            accumulate: s.accumulate,
            recompute: s.recompute,
            warmup: s.warmup,
            decay: s.decay,
            clip_norm: s.clip_norm,
            nbest: self.data.nbest,
            seed: s.seed,
            beta: s.beta,
            first_scale: s.first_scale,
            evals_per_epoch: s.evals_per_epoch,
            patience: s.patience,
        };
        config.validate().map_err(|error| match error {
            TrainError::Setting { setting, value, expected } => {
                let flag = setting.replace('_', "-");
                CliError::Usage(format!("--{flag} {value}: expected {expected}"))
            }
            other => CliError::at("training settings", &other),
        })?;
        Ok(config)
    }
}

impl MethodArgs {
    /// The method that was asked for, or else LoRA.
    fn name(&self) -> MethodName {
        self.method.unwrap_or(MethodName::Plain(MethodKind::Lora))
    }

    /// The method and its settings for a base.
    pub fn method(&self, base: &BertConfig) -> Result<Method, CliError> {
        let kind = match self.name() {
            MethodName::Lorb => MethodKind::Lora,
            MethodName::Plain(kind) => kind,
        };
        self.check_flags(kind)?;
        let lora = self.lora.config()?;
        if let Some(share) = self.budget {
            return Method::within(kind, share, base, &lora)
                .map_err(|error| CliError::flag("--budget", &error));
        }
        // Without a rank to begin with, it follows from the one at the end, or is it.
        let target = self.target_r.unwrap_or(LoraConfig::default().rank);
        let first = self.lora.lora_r;
        let plain = matches!(kind, MethodKind::Lora | MethodKind::Dora);
        let rank = if plain { lora.rank } else { target };
        if let Some(mut lora) = kind.with_rank(lora, rank) {
            lora.rank = first.unwrap_or(lora.rank);
            return Ok(Method::Lora(lora));
        }
        Ok(match kind {
            MethodKind::Head => Method::Head,
            MethodKind::BitFit => Method::BitFit,
            MethodKind::Prefix => {
                Method::Prefix { length: self.prefix_length.unwrap_or(Method::PREFIX_LENGTH) }
            }
            MethodKind::Houlsby => {
                Method::Houlsby { width: self.adapter_width.unwrap_or(Method::HOULSBY_WIDTH) }
            }
            _ => Method::Full,
        })
    }
}

impl MethodArgs {
    /// Refuses a setting of another method, which would go unused.
    fn check_flags(&self, kind: MethodKind) -> Result<(), CliError> {
        let lora = &self.lora;
        let of_lora = kind.is_lora();
        let plain = matches!(kind, MethodKind::Lora | MethodKind::Dora);
        let given = [
            ("--lora-r", lora.lora_r.is_some(), of_lora),
            ("--lora-alpha", lora.lora_alpha.is_some(), of_lora),
            ("--lora-dropout", lora.lora_dropout.is_some(), of_lora),
            ("--lora-target-modules", lora.lora_target_modules.is_some(), of_lora),
            ("--lora-layers", lora.lora_layers.is_some(), of_lora),
            ("--rslora", lora.rslora, of_lora && kind != MethodKind::AdaLora),
            ("--target-r", self.target_r.is_some(), of_lora && !plain),
            ("--prefix-length", self.prefix_length.is_some(), kind == MethodKind::Prefix),
            ("--adapter-width", self.adapter_width.is_some(), kind == MethodKind::Houlsby),
        ];
        match given.into_iter().find(|(_, given, fits)| *given && !fits) {
            Some((flag, ..)) => {
                Err(CliError::Usage(format!("{flag} does not apply to --method {}", self.name())))
            }
            None => Ok(()),
        }
    }
}

impl LoraArgs {
    /// The adapter's settings; [`method_error`] tells what is wrong with them for a base.
    pub fn config(&self) -> Result<LoraConfig, CliError> {
        let default = LoraConfig::default();
        let targets = self.lora_target_modules.as_ref();
        let targets = targets.map(Target::parse_list).transpose().map_err(|e| method_error(&e))?;
        Ok(LoraConfig {
            rank: self.lora_r.unwrap_or(default.rank),
            alpha: self.lora_alpha.unwrap_or(default.alpha),
            dropout: self.lora_dropout.unwrap_or(default.dropout),
            targets: targets.unwrap_or(default.targets),
            rslora: self.rslora,
            layers: self.lora_layers.clone(),
            variant: LoraVariant::Plain,
        })
    }
}

/// A setting of the method that cannot be, by the name of its flag.
pub fn method_error(error: &ModelError) -> CliError {
    match error {
        ModelError::UnknownTarget { .. } => CliError::flag("--lora-target-modules", error),
        ModelError::Lora { setting, what } => {
            let flag = match *setting {
                "r" => "--lora-r",
                "target_r" => "--target-r",
                "use_rslora" => "--rslora",
                "lora_alpha" => "--lora-alpha",
                "lora_dropout" => "--lora-dropout",
                "layers_to_transform" => "--lora-layers",
                _ => "--lora-target-modules",
            };
            CliError::Usage(format!("{flag} {what}"))
        }
        ModelError::Method { setting, what, .. } => {
            let flag = if *setting == "length" { "--prefix-length" } else { "--adapter-width" };
            CliError::Usage(format!("{flag} {what}"))
        }
        other => CliError::at("adapter", other),
    }
}
