//! WER over learning rate and warm-up.

use crate::study::config::Part;
use crate::study::report::chart::{Chart, Series};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::{NONE, mean_percent, or_dash, percent, small};
use crate::study::report::view::{Group, View};
use crate::study::statistics::mean;

pub(in crate::study::report) fn stability(view: &View<'_>, document: &mut Document) {
    let mut groups = view.groups(Part::Stability);
    groups.retain(Group::trained);
    let same = |group: &Group<'_>| {
        group.cell.lr == groups[0].cell.lr && group.cell.warmup == groups[0].cell.warmup
    };
    if groups.iter().all(same) {
        return;
    }
    document.heading("Stability over learning rate and warm-up");
    let target = view.config.target.name.as_str();
    let mut warmups: Vec<f64> = groups.iter().filter_map(|group| group.cell.warmup).collect();
    warmups.sort_by(f64::total_cmp);
    warmups.dedup();
    let mut table = Table::new(format!("WER of {target}, %"), &["Method", "Learning rate"]);
    table.columns.extend(warmups.iter().map(|warmup| format!("warm-up {warmup}")));
    let mut spread = Table::new(
        "Range of the WER of the target domain over the grid",
        &[
            "Method",
            "Settings",
            "Lowest, %",
            "Highest, %",
            "Difference",
            "Worse than the first pass",
        ],
    );
    let first = view.any(target).and_then(crate::study::DomainResult::wer_first);
    let mut methods: Vec<&str> = Vec::new();
    for group in &groups {
        if !methods.contains(&group.cell.method.as_str()) {
            methods.push(&group.cell.method);
        }
    }
    let mut series = Vec::new();
    for name in methods {
        let label = crate::study::method::label(name);
        let members: Vec<&Group<'_>> = groups.iter().filter(|g| g.cell.method == name).collect();
        let mut rates: Vec<f64> = members.iter().filter_map(|group| group.cell.lr).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let at = |rate: f64, warmup: f64| {
            let found =
                members.iter().find(|g| g.cell.lr == Some(rate) && g.cell.warmup == Some(warmup));
            found.and_then(|group| group.wer(target))
        };
        for &rate in &rates {
            let mut row = vec![label.to_owned(), small(rate)];
            row.extend(warmups.iter().map(|&warmup| or_dash(at(rate, warmup), mean_percent)));
            table.rows.push(row);
        }
        for &warmup in &warmups {
            let of_warmup: Vec<Group<'_>> = members
                .iter()
                .filter(|group| group.cell.warmup == Some(warmup))
                .map(|group| (*group).clone())
                .collect();
            let points = super::data::points(&of_warmup, target, |group| group.cell.lr);
            let mut label = label.to_owned();
            if warmups.len() > 1 {
                label.push_str(&format!(", {warmup}"));
            }
            series.push(Series { label, points, joined: true, ..Series::default() });
        }
        let wers: Vec<f64> =
            members.iter().filter_map(|g| g.wer(target)).map(|mean| mean.mean).collect();
        if mean(&wers).is_some() {
            let (low, high) = wers
                .iter()
                .fold((f64::INFINITY, 0.0_f64), |(low, high), &wer| (low.min(wer), high.max(wer)));
            let worse = first.map(|first| wers.iter().filter(|&&wer| wer > first).count());
            spread.rows.push(vec![
                label.to_owned(),
                wers.len().to_string(),
                percent(low),
                percent(high),
                percent(high - low),
                worse.map_or(NONE.to_owned(), |worse| format!("{worse} of {}", wers.len())),
            ]);
        }
    }
    document.table(table);
    document.figure(
        "stability",
        "WER of the target domain by learning rate, with one line per method and warm-up (fraction of all steps).",
        Chart::Lines { x: "learning rate".into(), y: "WER, %".into(), logarithmic: true, series },
    );
    document.table(spread);
}
