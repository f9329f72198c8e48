//! `lorb bench`: how fast this machine trains and rescores, compared with its peak.

use std::ffi::OsString;
use std::time::Instant;

use clap::Args;
use lorb::base::BertConfig;
use lorb::bench::{
    Bench, BenchError, BenchInputs, Compared, Direct, HostReport, KernelReport, Rates, Shape,
    Sizes, Step, Sweep, random_weights,
};

use lorb::device::{Selected, SelectedKind, handles, use_cooperative_matrices};
use lorb::methods::LoraConfig;
use lorb::model::{ModelError, Target};
use lorb::ops::Precision;
use serde::Serialize;

use super::args::{RunArgs, at_least_one, words};
use super::error::CliError;
use super::progress::Meter;
use super::terminal::line;
use super::{bench_sweep, bench_table, output, source};

/// Seed for the weights of a random base.
const SEED: u64 = 1;

#[derive(Args)]
pub struct BenchArgs {
    /// Shape of a base with random weights: all-MiniLM-L6-v2, BERT-base, or a small one for tests
    #[arg(long, default_value_t = Shape::MiniLm, value_parser = words::<Shape>(&["minilm", "bert-base", "tiny"]), conflicts_with = "model")]
    pub shape: Shape,
    /// A pretrained base instead of a random one: a directory or a Hugging Face hub id
    #[arg(long, value_name = "DIR|ID")]
    model: Option<OsString>,
    /// Branch, tag or commit on the hub [default: main]
    #[arg(long, value_name = "NAME", requires = "model")]
    revision: Option<String>,
    /// Precision of the base's linear layers on a GPU; burn's own operations are measured
    /// only with f32
    #[arg(long, default_value_t = Precision::F32, value_parser = words::<Precision>(&["f32", "f16", "int8", "mixed"]))]
    precision: Precision,
    /// Rank of the low-rank updates
    #[arg(long, value_name = "N", default_value_t = LoraConfig::default().rank)]
    pub rank: usize,
    /// Linear layers to adapt, as for `lorb train`
    #[arg(long, value_name = "NAME", value_delimiter = ',', default_value = "query,value")]
    lora_target_modules: Vec<String>,
    /// Tokens in the batch, in lists of 10 hypotheses with about 20 tokens
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = at_least_one)]
    tokens: usize,
    /// Duration of a measurement after warm-up; single operations take a tenth of it
    #[arg(long, value_name = "X", default_value_t = 3.0, value_parser = positive)]
    pub seconds: f64,
    /// Train with gradient checkpointing, as with `lorb train --recompute`. Recomputed operations are counted once
    #[arg(long)]
    recompute: bool,
    /// Also time every operation separately
    #[arg(long)]
    kernels: bool,
    /// Instead measure what a step costs the host, without the work of LoRB's kernels: the steps of a training run, and
    /// rescoring passes, with kernels that return at once
    #[arg(long, conflicts_with_all = ["kernels", "cooperative_matrix"])]
    launch_only: bool,
    /// Instead measure over many sizes, and print each result at once. floor: the least that a launch, an upload and a
    /// read cost, and the device's own rates; tiles: every variant of the matrix products; steps: training and rescoring,
    /// with the device's own times; predictions: the same by a model, for this device and others
    #[arg(long, value_name = "WHAT", value_parser = words::<Sweep>(&["floor", "tiles", "steps", "predictions"]), conflicts_with_all = ["kernels", "launch_only"])]
    pub sweep: Option<Sweep>,
    /// Sizes of a sweep: rows of the products, or tokens of a batch [default: 60 to 16384]
    #[arg(long, value_name = "N", value_delimiter = ',', requires = "sweep", value_parser = at_least_one)]
    pub sizes: Vec<usize>,
    /// Seconds after which a sweep measures nothing new, and lists the rest
    #[arg(long, value_name = "X", default_value_t = 600.0, requires = "sweep", value_parser = positive)]
    pub limit: f64,
    /// Experimental: rescore on the GPU's matrix units if wgpu supports them, in f16 with sums in f32
    #[arg(long)]
    cooperative_matrix: bool,
    /// Print one JSON object instead of tables; for a sweep, one for each result, on a line of its own
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// All measurements.
#[derive(Serialize)]
pub struct BenchReport {
    #[serde(flatten)]
    pub setup: Setup,
    pub rates: Rates,
    pub training: Compared,
    pub rescoring: Compared,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernels: Option<Vec<KernelReport>>,
}

/// What a step costs the host.
#[derive(Serialize)]
pub struct LaunchReport {
    #[serde(flatten)]
    pub setup: Setup,
    pub launch_only: HostReport,
}

/// Device, model and batch of a measurement.
#[derive(Serialize)]
pub struct Setup {
    lorb: &'static str,
    pub device: String,
    pub device_kind: &'static str,
    pub base: BaseReport,
    pub adapter: AdapterReport,
    pub batch: BatchReport,
    /// Whether training uses gradient checkpointing.
    pub recompute: bool,
}

/// Shape of the base.
#[derive(Serialize)]
pub struct BaseReport {
    pub name: String,
    pub random: bool,
    pub precision: String,
    pub layers: usize,
    pub hidden: usize,
    pub heads: usize,
    pub intermediate: usize,
    pub vocabulary: usize,
}

#[derive(Serialize)]
pub struct AdapterReport {
    pub rank: usize,
    pub targets: Vec<String>,
    pub parameters: usize,
}

#[derive(Serialize)]
pub struct BatchReport {
    pub lists: usize,
    pub hypotheses: usize,
    pub tokens: usize,
}

pub fn run(args: &BenchArgs) -> Result<(), CliError> {
    let lora = LoraConfig {
        rank: args.rank,
        targets: Target::parse_list(&args.lora_target_modules).map_err(|e| lora_fault(&e))?,
        ..LoraConfig::default()
    };
    let quiet = args.run.quiet;
    let say = |what: &str| {
        if !quiet {
            line(what);
        }
    };
    let (name, config, mut weights) = match &args.model {
        Some(model) => {
            let named = source::load(model, args.revision.as_deref(), quiet)?;
            (named.name, named.base.config, named.base.weights)
        }
        None => {
            let config = args.shape.config();
            lora.check(&config).map_err(|error| lora_fault(&error))?;
            if let Some(sweep @ (Sweep::Floor | Sweep::Tiles)) = args.sweep {
                return bench_sweep::without_base(sweep, args, &config);
            }
            let weights =
                random_weights(&config, SEED).map_err(|error| CliError::flag("--shape", &error))?;
            (args.shape.to_string(), config, weights)
        }
    };
    lora.check(&config).map_err(|error| lora_fault(&error))?;
    let base = base_report(name, args, &config);
    let selected = args.run.open_device_for(args.precision)?;
    let direct = direct(&selected);
    if args.cooperative_matrix {
        use_cooperative_matrices(&selected)
            .map_err(|error| CliError::flag("--cooperative-matrix", &error))?;
    }
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64();
    let inputs = BenchInputs {
        base: config,
        weights: &mut weights,
        lora,
        precision: args.precision,
        tokens: args.sizes.first().copied().unwrap_or(args.tokens),
        recompute: args.recompute,
        device: &selected.device,
        direct,
        seconds: args.seconds,
    };
    let mut bench = Bench::new(inputs, &clock).map_err(|error| fault(&error))?;
    drop(weights);

    let setup = setup(selected.name, selected.kind, base, args, &bench);
    if let Some(sweep) = args.sweep {
        return bench_sweep::with_base(sweep, args, &setup, &mut bench, &clock);
    }
    if args.launch_only {
        say("measuring launches");
        let launch_only = pollster::block_on(bench.launches()).map_err(|error| fault(&error))?;
        let report = LaunchReport { setup, launch_only };
        return print(args, &report, bench_table::launches);
    }
    say("measuring the device");
    let rates = pollster::block_on(bench.rates()).map_err(|error| fault(&error))?;
    say("measuring training");
    let training = pollster::block_on(bench.training(&rates)).map_err(|error| fault(&error))?;
    // The operations of training before rescoring, which merges the adapter into the base.
    let mut operations = args.kernels.then(Vec::new);
    if let Some(operations) = &mut operations {
        say("measuring the operations of training");
        kernels(&mut bench, Step::Training, &rates, operations, quiet)?;
    }
    say("measuring rescoring");
    let rescoring = pollster::block_on(bench.rescoring(&rates)).map_err(|error| fault(&error))?;
    if let Some(operations) = &mut operations {
        say("measuring the operations of rescoring");
        kernels(&mut bench, Step::Rescoring, &rates, operations, quiet)?;
    }

    let report = BenchReport { setup, rates, training, rescoring, kernels: operations };
    print(args, &report, bench_table::text)
}

/// Prints a report as JSON or as tables.
fn print<R: Serialize>(
    args: &BenchArgs,
    report: &R,
    tables: impl Fn(&R) -> String,
) -> Result<(), CliError> {
    if args.json {
        let json =
            serde_json::to_string_pretty(report).map_err(|error| CliError::at("--json", &error))?;
        return output::print_exact(&format!("{json}\n"));
    }
    output::print(&tables(report))
}

fn setup(
    device: String,
    kind: SelectedKind,
    base: BaseReport,
    args: &BenchArgs,
    bench: &Bench<'_>,
) -> Setup {
    let Sizes { tokens, sequences: hypotheses, .. } = bench.sizes();
    let lora = bench.lora();
    Setup {
        lorb: env!("CARGO_PKG_VERSION"),
        device,
        device_kind: kind_name(kind),
        base,
        adapter: AdapterReport {
            rank: lora.rank,
            targets: lora.targets.iter().map(Target::to_string).collect(),
            parameters: bench.adapter().layout.len(),
        },
        batch: BatchReport { lists: bench.lists(), hypotheses, tokens },
        recompute: args.recompute,
    }
}

/// The device without burn's runtime, if it has one.
pub fn direct(selected: &Selected) -> Option<Direct> {
    handles(selected).map(|(device, queue)| Direct::new(device, queue))
}

pub fn kind_name(kind: SelectedKind) -> &'static str {
    match kind {
        SelectedKind::Gpu => "gpu",
        SelectedKind::Cpu => "cpu",
        SelectedKind::Software => "software",
    }
}

/// Times the operations of a step, and adds them to those of the other.
fn kernels(
    bench: &mut Bench<'_>,
    step: Step,
    rates: &Rates,
    operations: &mut Vec<KernelReport>,
    quiet: bool,
) -> Result<(), CliError> {
    let mut meter = Meter::new(quiet, None);
    let mut done = 0;
    let progress = |name: &str| {
        done += 1;
        meter.update(done, || name.to_owned());
    };
    let measured = pollster::block_on(bench.kernels(step, rates, operations, progress));
    meter.finish();
    measured.map_err(|error| fault(&error))
}

fn base_report(name: String, args: &BenchArgs, config: &BertConfig) -> BaseReport {
    BaseReport {
        name,
        random: args.model.is_none(),
        precision: args.precision.to_string(),
        layers: config.num_hidden_layers,
        hidden: config.hidden_size,
        heads: config.num_attention_heads,
        intermediate: config.intermediate_size,
        vocabulary: config.vocab_size,
    }
}

pub fn fault(error: &BenchError) -> CliError {
    CliError::at("measuring", error)
}

/// An invalid setting of the adapter, by the name of its flag.
fn lora_fault(error: &ModelError) -> CliError {
    match error {
        ModelError::UnknownTarget { .. } => CliError::flag("--lora-target-modules", error),
        ModelError::Lora { setting: "r", what } => CliError::Usage(format!("--rank {what}")),
        ModelError::Lora { what, .. } => CliError::Usage(format!("--lora-target-modules {what}")),
        other => CliError::at("adapter", other),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a positive number".into())
}
