//! `lorb bench --sweep`: measurements over many sizes, each printed as soon as it is there.

use std::time::Instant;

use lorb::base::BertConfig;
use lorb::bench::{Bench, BenchError, Row, StepRow, Sweep, SweepInputs, floors, tiles};
use lorb::device::SelectedKind;
use serde::Serialize;

use super::bench::{BenchArgs, Setup, direct, fault, kind_name};
use super::bench_table::{head, number};
use super::error::CliError;
use super::output;

/// Kernels of a step that the table lists.
const MOST_KERNELS: usize = 8;

/// The first line of a sweep that needs no base.
#[derive(Serialize)]
#[serde(tag = "row", rename = "device")]
struct DeviceRow<'a> {
    lorb: &'static str,
    device: &'a str,
    device_kind: &'static str,
    /// Whether the device measures its own time.
    timestamps: bool,
}

/// The first line of the others.
#[derive(Serialize)]
#[serde(tag = "row", rename = "setup")]
struct SetupRow<'a> {
    #[serde(flatten)]
    setup: &'a Setup,
}

/// Floors or products: only sizes of the base are needed.
pub fn without_base(sweep: Sweep, args: &BenchArgs, base: &BertConfig) -> Result<(), CliError> {
    let selected = args.run.open_device()?;
    let Some(direct) = direct(&selected) else { return Err(fault(&BenchError::NoKernels)) };
    let mut rows = Printed::new(args.json);
    let first = DeviceRow {
        lorb: env!("CARGO_PKG_VERSION"),
        device: &selected.name,
        device_kind: kind_name(selected.kind),
        timestamps: direct.has_timestamps(),
    };
    let times = if direct.has_timestamps() { "by its timestamps" } else { "by the host's clock" };
    rows.first(&first, || format!("device    {}, timed {times}\n", selected.name))?;
    let start = Instant::now();
    let clock = || start.elapsed().as_secs_f64();
    let sizes = sizes(sweep, args);
    let inputs = SweepInputs { clock: &clock, seconds: args.seconds, sizes, limit: args.limit };
    let mut found = |row| rows.row(&row);
    let measured = pollster::block_on(async {
        match sweep {
            Sweep::Floor => floors(&direct, inputs, &mut found).await,
            _ => tiles(&direct, &selected.device, (base, args.rank), inputs, &mut found).await,
        }
    });
    rows.end(measured)
}

/// Training and rescoring, measured or predicted.
pub fn with_base(
    sweep: Sweep,
    args: &BenchArgs,
    setup: &Setup,
    bench: &mut Bench<'_>,
    clock: &dyn Fn() -> f64,
) -> Result<(), CliError> {
    if sweep == Sweep::Predictions && setup.device_kind == kind_name(SelectedKind::Cpu) {
        return Err(fault(&BenchError::NoKernels));
    }
    let mut rows = Printed::new(args.json);
    rows.first(&SetupRow { setup }, || head(setup))?;
    let sizes = sizes(sweep, args);
    let inputs = SweepInputs { clock, seconds: args.seconds, sizes, limit: args.limit };
    let mut found = |row| rows.row(&row);
    let measured = pollster::block_on(async {
        match sweep {
            Sweep::Predictions => bench.predictions(inputs, &mut found).await,
            _ => bench.steps(inputs, &mut found).await,
        }
    });
    rows.end(measured)
}

fn sizes(sweep: Sweep, args: &BenchArgs) -> &[usize] {
    if args.sizes.is_empty() { sweep.sizes() } else { &args.sizes }
}

/// Rows on standard output.
struct Printed {
    json: bool,
    /// Headings of the last row.
    headings: String,
    /// The first failure to print.
    failed: Option<CliError>,
}

impl Printed {
    fn new(json: bool) -> Self {
        Self { json, headings: String::new(), failed: None }
    }

    fn first(&self, row: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
        if self.json { output::print_exact(&line(row)?) } else { output::print(&text()) }
    }

    fn row(&mut self, row: &Row) {
        let printed = if self.json {
            line(row).and_then(|line| output::print_exact(&line))
        } else {
            let headings = headings(row);
            let new = headings != self.headings && !headings.is_empty();
            let before = if new { format!("\n{headings}\n") } else { String::new() };
            self.headings = headings;
            output::print(&format!("{before}{}\n", text(row)))
        };
        if let Err(error) = printed {
            self.failed.get_or_insert(error);
        }
    }

    fn end(self, measured: Result<(), BenchError>) -> Result<(), CliError> {
        match (self.failed, measured) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(fault(&error)),
            (None, Ok(())) => Ok(()),
        }
    }
}

/// A row as a line of JSON.
fn line(row: &impl Serialize) -> Result<String, CliError> {
    let json = serde_json::to_string(row).map_err(|error| CliError::at("--json", &error))?;
    Ok(json + "\n")
}

fn headings(row: &Row) -> String {
    match row {
        Row::Product { .. } => format!(
            "{:<20} {:<36} {:>10} {:>10} {:>9}",
            "product", "variant", "us", "device us", "GFLOP/s"
        ),
        Row::Step(_) => format!(
            "{:<18} {:>9} {:>10} {:>10} {:>8} {:>9} {:>9}",
            "step", "hyp/s", "ms", "device ms", "launches", "GFLOP", "GFLOP/s"
        ),
        Row::Prediction(_) => format!(
            "{:<18} {:>10} {:>13} {:>10} {:>10} {:>9} {:>9}",
            "predicted", "ms", "in a browser", "device ms", "host ms", "GFLOP", "GB"
        ),
        _ => String::new(),
    }
}

fn text(row: &Row) -> String {
    let device = |value: &Option<f64>| value.map_or("-".to_owned(), number);
    match row {
        Row::Launch {
            per_submit,
            new_parameters,
            microseconds,
            least_microseconds,
            device_microseconds,
        } => {
            let kind = if *new_parameters { "new" } else { "kept" };
            format!(
                "launch, {per_submit:>3} a submission, {kind:<4} parameters {:>9} us, least {} us, device {} us",
                number(*microseconds),
                number(*least_microseconds),
                device(device_microseconds)
            )
        }
        Row::Upload { bytes, microseconds, gb_s } => format!(
            "upload of {bytes:>8} bytes {:>23} us, {} GB/s",
            number(*microseconds),
            number(*gb_s)
        ),
        Row::Read { microseconds, least_microseconds } => format!(
            "read of one number {:>29} us, least {} us",
            number(*microseconds),
            number(*least_microseconds)
        ),
        Row::Peak { gflop_s, fused } => {
            let how = if *fused { "fma" } else { "product and sum" };
            format!("multiply-adds in registers {:>21} GFLOP/s, as {how}", number(*gflop_s))
        }
        Row::Copy { gb_s } => format!("copy {:>43} GB/s", number(*gb_s)),
        Row::Product {
            variant,
            rows,
            inputs,
            outputs,
            microseconds,
            device_microseconds,
            gflop_s,
            chosen,
            ..
        } => format!(
            "{:<20} {variant:<36} {:>10} {:>10} {:>9}{}",
            format!("{rows}, {inputs} -> {outputs}"),
            number(*microseconds),
            device(device_microseconds),
            number(*gflop_s),
            if *chosen { " chosen" } else { "" }
        ),
        Row::Step(step) => step_text(step),
        Row::Assumed { device, source } => format!("\n{device}. {source}"),
        Row::Prediction(predicted) => format!(
            "{:<18} {:>10} {:>13} {:>10} {:>10} {:>9} {:>9}",
            format!("{}, {}", predicted.step, predicted.tokens),
            number(predicted.milliseconds),
            device(&predicted.browser_milliseconds),
            number(predicted.device_milliseconds),
            number(predicted.host_milliseconds),
            number(predicted.gflop),
            number(predicted.gb)
        ),
        Row::LeftOut { what, why } => format!("not measured: {what}: {why}"),
    }
}

fn step_text(step: &StepRow) -> String {
    let mut text = format!(
        "{:<18} {:>9} {:>10} {:>10} {:>8.1} {:>9} {:>9}",
        format!("{}, {:.0}", step.step, step.tokens),
        number(1e3 * step.hypotheses / step.milliseconds),
        number(step.milliseconds),
        step.device_milliseconds.map_or("-".to_owned(), number),
        step.launches,
        number(step.gflop),
        number(step.gflop_s)
    );
    let mut kernels: Vec<_> = step.kernels.iter().collect();
    kernels.sort_by(|(_, one), (_, other)| other.milliseconds.total_cmp(&one.milliseconds));
    for (kernel, time) in kernels.into_iter().take(MOST_KERNELS) {
        text += &format!(
            "\n  {:<58} {:>4} launches {:>9} ms",
            kernel.rsplit("::").next().unwrap_or(kernel),
            time.launches,
            number(time.milliseconds)
        );
    }
    text
}
