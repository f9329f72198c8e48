//! The tables of `lorb bench`.

use std::fmt::Write;

use lorb::bench::{Compared, DeviceCalls, HostWork, KernelReport, Measured, Rates, Timed};

use super::bench::{BenchReport, LaunchReport, Setup};

/// All tables.
pub fn text(report: &BenchReport) -> String {
    let mut text = head(&report.setup);
    text.push_str(&rates(&report.rates));
    text.push_str(&steps(report));
    if let Some(kernels) = &report.kernels {
        text.push_str(&operations(kernels));
    }
    text.push_str(
        "\ncounted: floating-point operations of products, and bytes of every tensor read or written once, per \
         operation; of peak, of copy: fraction of the device's highest rate of \
         multiply-adds (on the CPU path, of products) and of copies\n",
    );
    text
}

/// A line of the head.
fn put(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<9} {value}");
}

pub fn head(setup: &Setup) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| put(&mut text, name, value);
    let base = &setup.base;
    line("device", &setup.device);
    line(
        "base",
        &format!(
            "{}{}: {} layers of {}, {} heads, {} intermediate, {} word pieces; linear layers in {}",
            base.name,
            if base.random { " (random weights)" } else { "" },
            base.layers,
            base.hidden,
            base.heads,
            base.intermediate,
            base.vocabulary,
            base.precision
        ),
    );
    let adapter = &setup.adapter;
    let (rank, targets) = (adapter.rank, adapter.targets.join(", "));
    line("adapter", &format!("rank {rank} on {targets}: {} parameters", adapter.parameters));
    let batch = &setup.batch;
    line(
        "batch",
        &format!("{} lists, {} hypotheses, {} tokens", batch.lists, batch.hypotheses, batch.tokens),
    );
    text
}

fn rates(rates: &Rates) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| put(&mut text, name, value);
    line("copy", &format!("{} GB/s", number(rates.copy_gb_s)));
    line("peak", &format!("{} GFLOP/s", number(rates.peak_gflop_s)));
    let burn = rates.product_composed.map(|burn| format!(", burn's {}", number(burn)));
    let lorb = number(rates.product_lorb);
    line("products", &format!("LoRB's {lorb} GFLOP/s{}", burn.unwrap_or_default()));
    text
}

fn steps(report: &BenchReport) -> String {
    let mut text = format!(
        "\n{:<19} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>10} {:>7}\n",
        "", "ms", "hyp/s", "tokens/s", "GFLOP/s", "of peak", "GB/s", "of copy", "dispatches", "MiB"
    );
    let training = training(&report.setup);
    let steps = [(training, &report.training), ("rescoring", &report.rescoring)];
    for (name, step) in steps {
        let own = if step.composed.is_some() { ", LoRB" } else { "" };
        row(&mut text, &format!("{name}{own}"), &step.lorb);
        if let Some(composed) = &step.composed {
            row(&mut text, &format!("{name}, burn"), composed);
        }
    }
    text.push('\n');
    for (name, Compared { flops, bytes, composed_over_lorb, .. }) in steps {
        let (gflop, gb) = (*flops as f64 / 1e9, *bytes as f64 / 1e9);
        let _ = write!(text, "{name}: {gflop:.3} GFLOP and {gb:.3} GB counted");
        if let Some(ratio) = composed_over_lorb {
            let _ = write!(text, "; {ratio:.2} times as fast as burn's own operations");
        }
        text.push('\n');
    }
    text
}

fn training(setup: &Setup) -> &'static str {
    if setup.recompute { "recomputing" } else { "training" }
}

/// The table of the host's work.
pub fn launches(report: &LaunchReport) -> String {
    let mut text = head(&report.setup);
    let _ = writeln!(
        text,
        "\n{:<12} {:>8} {:>9} {:>8} {:>8} {:>9} {:>8} {:>7} {:>8} {:>8} {:>6}",
        "host",
        "ms",
        "least, ms",
        "launches",
        "of burn",
        "us/launch",
        "uploads",
        "writes",
        "bindings",
        "submits",
        "reads"
    );
    let host = &report.launch_only;
    for (name, work) in [(training(&report.setup), &host.training), ("rescoring", &host.rescoring)]
    {
        let HostWork { seconds, least_seconds, launches, other_launches, uploads, calls, .. } =
            work;
        let call = |of: fn(&DeviceCalls) -> f64| {
            calls.as_ref().map_or("-".to_owned(), |calls| format!("{:.1}", of(calls)))
        };
        let _ = writeln!(
            text,
            "{name:<12} {:>8.3} {:>9.3} {:>8.1} {other_launches:>8.1} {:>9.1} {uploads:>8.1} {:>7} {:>8} {:>8} {:>6}",
            1e3 * seconds,
            1e3 * least_seconds,
            launches + other_launches,
            work.microseconds_per_launch,
            call(|calls| calls.buffer_writes),
            call(|calls| calls.bind_groups),
            call(|calls| calls.submits),
            call(|calls| calls.reads),
        );
    }
    text.push_str(
        "\nof a step of a training run, or a rescoring pass; LoRB's kernels return at once, those of burn (of burn) run; \
         uploads: index and parameter tensors; writes: uniform parameters and uploads in the queue; bindings: bind \
         groups; reads: buffers that the host waits for\n",
    );
    text
}

fn row(text: &mut String, name: &str, measured: &Measured) {
    let Measured { timed, hypotheses_s, tokens_s, dispatches, device_bytes } = measured;
    let memory =
        device_bytes.map_or("-".into(), |bytes| format!("{:.0}", bytes as f64 / 1048576.0));
    let _ = writeln!(
        text,
        "{name:<19} {} {:>9} {:>9} {} {dispatches:>10} {memory:>7}",
        milliseconds(timed),
        number(*hypotheses_s),
        number(*tokens_s),
        shares(timed),
    );
}

fn operations(kernels: &[KernelReport]) -> String {
    let compared = kernels.iter().any(|kernel| kernel.composed.is_some());
    let mut text = format!(
        "\n{:<68} {:>5} {:>5} {:>9} {:>9} {:>8} {:>8} {:>8}{}\n",
        "operation",
        "train",
        "score",
        "ms",
        "GFLOP/s",
        "of peak",
        "GB/s",
        "of copy",
        if compared { format!(" {:>9} {:>6}", "burn, ms", "ratio") } else { String::new() }
    );
    for kernel in kernels {
        let KernelReport { name, in_training, in_rescoring, lorb, .. } = kernel;
        let _ = write!(
            text,
            "{name:<68} {in_training:>5} {in_rescoring:>5} {} {}",
            milliseconds(lorb),
            shares(lorb)
        );
        if let (Some(composed), Some(ratio)) = (&kernel.composed, kernel.composed_over_lorb) {
            let _ = write!(text, " {} {ratio:>6.2}", milliseconds(composed));
        }
        text.push('\n');
    }
    let sum = |count: fn(&KernelReport) -> usize| -> f64 {
        kernels.iter().map(|kernel| count(kernel) as f64 * 1e3 * kernel.lorb.seconds).sum()
    };
    let (training, rescoring) = (sum(|k| k.in_training), sum(|k| k.in_rescoring));
    let _ = writeln!(
        text,
        "\nsum of these times: {training:.2} ms per training step, {rescoring:.2} ms per rescoring pass"
    );
    text
}

fn milliseconds(timed: &Timed) -> String {
    format!("{:>9.3}", 1e3 * timed.seconds)
}

fn shares(timed: &Timed) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    format!(
        "{:>9} {:>8} {:>8} {:>8}",
        number(timed.gflop_s),
        percent(timed.share_of_peak),
        number(timed.gb_s),
        percent(timed.share_of_copy)
    )
}

/// At least three digits, with as few decimals as possible.
pub fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_three_digits() {
        let cases = [(1234.5, "1234"), (99.94, "99.9"), (9.994, "9.99"), (0.0, "0.00")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }
}
