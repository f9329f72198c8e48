//! Comparison of methods, in and out of domain.

use super::{head, runs, wer_columns, wers};
use crate::study::config::Part;
use crate::study::method::is_masked;
use crate::study::report::chart::{Chart, Point, Row};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::{
    NONE, bytes, change_between, or_dash, probability, seconds, share,
};
use crate::study::report::view::{Group, View};
use crate::study::statistics::{Comparison, compare};

pub(in crate::study::report) fn methods(view: &View<'_>, document: &mut Document) {
    let groups = view.groups(Part::Methods);
    if groups.is_empty() {
        document.table(head::domains(view));
        return;
    }
    let domains = view.domains();
    document.heading("Methods in and out of domain");
    document.table(side_by_side(&groups, &domains));
    if groups.iter().any(|group| is_masked(&group.cell.method)) {
        document.text(
            "PLL is the pseudo-log-likelihood of the base's own masked-language-model head, without training, with and without a weight on the number of words.",
        );
    }
    document.text(
        "LoRB is LoRA with the correlation term. Intervals are 95 % over seeds; a single run has none. Fractions are relative to all parameters of the base, without the score head. High-rank warm-up and mixed rank are counted at their initial rank.",
    );
    document.table(head::domains(view));
    document.figure(
        "methods",
        "WER of every method; whiskers are 95 % intervals over seeds.",
        dots(&groups, &domains),
    );
    let full = groups.iter().find(|group| group.cell.method == "full");
    for domain in &domains {
        document.table(changes(&groups, domain, full));
    }
    document.text(
        "Changes are relative: −10 % means 10 % fewer errors. Errors of an utterance are summed over seeds. Intervals are bootstrap intervals over utterances; p is from the matched-pairs test.",
    );
    document.table(costs(&groups));
    document.text(
        "Times cover only the training steps, not evaluations. Peak memory is the resident memory of the process during training, including base and program; each run is a separate process. It does not include GPU memory.",
    );
}

fn side_by_side(groups: &[Group<'_>], domains: &[&str]) -> Table {
    let mut table =
        Table::new("WER of the test lists", &["Method", "Runs", "Trainable, of the base"]);
    table.columns.extend(wer_columns(domains));
    for group in groups {
        let part = |run: &crate::study::Measured| {
            let trained = run.trained.as_ref()?;
            Some(trained.trainable as f64 / run.base_parameters as f64)
        };
        let trained = or_dash(group.over_runs(part), |mean| share(mean.mean));
        let mut row = vec![group.label.clone(), runs(group), trained];
        row.extend(wers(group, domains));
        table.rows.push(row);
    }
    table
}

fn dots(groups: &[Group<'_>], domains: &[&str]) -> Chart {
    let point = |group: &Group<'_>, domain: &str| {
        group.wer(domain).map(|mean| Point {
            x: 0.0,
            y: 100.0 * mean.mean,
            half: mean.half.map(|half| 100.0 * half),
        })
    };
    let row = |group: &Group<'_>| Row {
        label: group.label.clone(),
        points: domains.iter().map(|domain| point(group, domain)).collect(),
    };
    Chart::Rows {
        x: "WER, %".into(),
        kinds: domains.iter().map(|&domain| domain.to_owned()).collect(),
        rows: groups.iter().map(row).collect(),
    }
}

/// Compared with the first pass and with full fine-tuning of the same base.
fn changes(groups: &[Group<'_>], domain: &str, full: Option<&Group<'_>>) -> Table {
    let caption = format!("Change of errors, {domain}");
    let mut table = Table::new(caption, &["Method", "From the first pass", "p"]);
    if full.is_some() {
        table.columns.extend(["From full fine-tuning".into(), "p".into()]);
    }
    for group in groups.iter().filter(|group| group.cell.method != "first-pass") {
        let mut row = vec![group.label.clone()];
        row.extend(shown(against_first(group, domain)));
        if let Some(full) = full {
            let other = group.cell != full.cell && group.cell.base == full.cell.base;
            row.extend(shown(other.then(|| against(full, group, domain)).flatten()));
        }
        table.rows.push(row);
    }
    table
}

fn shown(found: Option<Comparison>) -> [String; 2] {
    let Some(Comparison { change: Some(change), interval, test }) = found else {
        return [NONE.to_owned(), NONE.to_owned()];
    };
    [change_between(change, interval), probability(test.p)]
}

pub(super) fn against_first(group: &Group<'_>, domain: &str) -> Option<Comparison> {
    let results = group.domain(domain);
    let first = results.first()?;
    let rescored: Vec<&[u32]> = results.iter().map(|result| &result.rescored[..]).collect();
    compare(&[&first.first], &rescored, &first.words)
}

/// Over the seeds that both methods have.
fn against(one: &Group<'_>, other: &Group<'_>, domain: &str) -> Option<Comparison> {
    let common: Vec<u64> = one
        .runs
        .iter()
        .map(|run| run.0)
        .filter(|seed| other.runs.iter().any(|run| run.0 == *seed))
        .collect();
    let rows = |group: &Group<'_>| -> Vec<Vec<u32>> {
        let wanted = |seed: u64| !group.trained() || common.contains(&seed);
        let mut runs: Vec<_> = group.runs.iter().filter(|run| wanted(run.0)).collect();
        runs.sort_by_key(|run| run.0);
        let find = |run: &&(u64, &crate::study::Measured)| {
            run.1.domains.iter().find(|d| d.name == domain).map(|d| d.rescored.clone())
        };
        runs.iter().filter_map(find).collect()
    };
    let (before, after) = (rows(one), rows(other));
    let before: Vec<&[u32]> = before.iter().map(Vec::as_slice).collect();
    let after: Vec<&[u32]> = after.iter().map(Vec::as_slice).collect();
    compare(&before, &after, &one.domain(domain).first()?.words)
}

fn costs(groups: &[Group<'_>]) -> Table {
    let mut table = Table::new(
        "Cost of training, means over seeds",
        &[
            "Method",
            "Adapter",
            "Training",
            "To best dev WER",
            "Steps to best",
            "Steps",
            "Per step",
            "Peak memory",
        ],
    );
    for group in groups.iter().filter(|group| group.trained()) {
        let time = |number: fn(&crate::study::Trained) -> f64| {
            or_dash(group.over_trained(number), |mean| seconds(mean.mean))
        };
        let whole = |number: fn(&crate::study::Trained) -> f64| {
            or_dash(group.over_trained(number), |mean| format!("{:.0}", mean.mean))
        };
        table.rows.push(vec![
            group.label.clone(),
            or_dash(group.over_trained(|t| t.adapter_bytes as f64), |mean| bytes(mean.mean)),
            or_dash(group.over_runs(|run| Some(run.seconds.training)), |mean| seconds(mean.mean)),
            time(|t| t.best_seconds),
            whole(|t| t.best_step as f64),
            whole(|t| t.steps as f64),
            time(|t| t.step_seconds),
            or_dash(group.over_runs(|run| run.peak_memory.map(|b| b as f64)), |mean| {
                bytes(mean.mean)
            }),
        ]);
    }
    table
}
