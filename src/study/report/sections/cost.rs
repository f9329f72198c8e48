//! Time and memory of low-rank methods against full fine-tuning, to the same dev WER.

use crate::study::config::Part;
use crate::study::record::{Measured, Trained};
use crate::study::report::chart::{Chart, Point, Series};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::{NONE, bytes, or_dash, percent, seconds};
use crate::study::report::view::{Group, View};
use crate::study::statistics::mean;

pub(in crate::study::report) fn cost(view: &View<'_>, document: &mut Document) {
    let mut groups = view.groups(Part::Methods);
    groups.retain(Group::trained);
    if groups.is_empty() {
        return;
    }
    document.heading("Time and memory");
    let full: Vec<Group<'_>> =
        groups.iter().filter(|group| group.cell.method == "full").cloned().collect();
    let mut table = Table::new(
        "To the same dev WER as full fine-tuning",
        &[
            "Method",
            "Seeds",
            "Dev WER, %",
            "Time",
            "Time, full",
            "Full / method",
            "Peak memory",
            "Memory, full",
        ],
    );
    for group in &groups {
        let Some(full) = full.iter().find(|full| {
            full.cell != group.cell
                && full.cell.base == group.cell.base
                && full.cell.utterances == group.cell.utterances
        }) else {
            continue;
        };
        table.rows.extend(row(group, full));
    }
    if !table.rows.is_empty() {
        document.table(table);
        document.text(
            "For each seed, the dev WER is the lowest one that both methods reach: the higher of their two minima. Time is the time of the training steps until the first evaluation at or below that WER, so its resolution is the distance between evaluations. Evaluations cost both methods the same and are not counted.",
        );
    }
    document.figure("time", "Dev WER over seconds of training, means over seeds.", course(&groups));
    document.table(parts(&groups));
}

fn row(group: &Group<'_>, full: &Group<'_>) -> Option<Vec<String>> {
    let mut rows: Vec<(f64, f64, f64)> = Vec::new();
    for (seed, run) in &group.runs {
        let Some((_, other)) = full.runs.iter().find(|(other, _)| other == seed) else { continue };
        rows.extend(to_same(run.trained.as_ref()?, other.trained.as_ref()?));
    }
    let of =
        |number: fn(&(f64, f64, f64)) -> f64| mean(&rows.iter().map(number).collect::<Vec<_>>());
    let (wer, own, its) = (of(|row| row.0)?, of(|row| row.1)?, of(|row| row.2)?);
    let times =
        if own.mean > 0.0 { format!("{:.2} times", its.mean / own.mean) } else { NONE.to_owned() };
    let memory = |group: &Group<'_>| {
        or_dash(group.over_runs(|run| run.peak_memory.map(|b| b as f64)), |mean| bytes(mean.mean))
    };
    Some(vec![
        group.label.clone(),
        rows.len().to_string(),
        percent(wer.mean),
        seconds(own.mean),
        seconds(its.mean),
        times,
        memory(group),
        memory(full),
    ])
}

/// The dev WER that both reach, and the seconds that each took to reach it.
pub(super) fn to_same(one: &Trained, other: &Trained) -> Option<(f64, f64, f64)> {
    let wer = one.best_wer()?.max(other.best_wer()?);
    Some((wer, one.seconds_to(wer)?, other.seconds_to(wer)?))
}

/// Means over seeds at each evaluation; all seeds have the same number of steps.
fn course(groups: &[Group<'_>]) -> Chart {
    let series = groups.iter().map(|group| {
        let runs: Vec<&Trained> =
            group.runs.iter().filter_map(|run| run.1.trained.as_ref()).collect();
        let evaluations = runs.iter().map(|run| run.dev.len()).min().unwrap_or(0);
        let at = |at: usize| {
            let of = |number: fn(&crate::study::DevPoint) -> f64| {
                runs.iter().map(|run| number(&run.dev[at])).sum::<f64>() / runs.len() as f64
            };
            Point { x: of(|point| point.seconds), y: 100.0 * of(|point| point.wer), half: None }
        };
        let points = (0..evaluations).map(at).collect();
        Series { label: group.label.clone(), points, joined: true, ..Series::default() }
    });
    Chart::Lines {
        x: "seconds of training".into(),
        y: "dev WER, %".into(),
        logarithmic: true,
        series: series.collect(),
    }
}

fn parts(groups: &[Group<'_>]) -> Table {
    let mut table = Table::new(
        "Time of a run by phase, means over seeds",
        &["Method", "Preparing", "Training", "Evaluating", "Testing", "Total"],
    );
    for group in groups {
        let time = |number: fn(&Measured) -> f64| {
            or_dash(group.over_runs(|run| Some(number(run))), |mean| seconds(mean.mean))
        };
        table.rows.push(vec![
            group.label.clone(),
            time(|run| run.seconds.preparing),
            time(|run| run.seconds.training),
            time(|run| run.seconds.evaluating),
            time(|run| run.seconds.testing),
            time(|run| run.seconds.total),
        ]);
    }
    table
}
