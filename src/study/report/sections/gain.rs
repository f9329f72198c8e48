//! Gain by the length of lists and by words per utterance.

use crate::study::config::Part;
use crate::study::record::DomainResult;
use crate::study::report::chart::{Chart, Point, Series};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::{change, count, or_dash, percent};
use crate::study::report::view::{Group, View};
use crate::study::statistics::{Bin, by_hypotheses, by_words, mean};

pub(in crate::study::report) fn gain(view: &View<'_>, document: &mut Document) {
    let mut groups = view.groups(Part::Methods);
    groups.retain(|group| group.cell.method != "first-pass");
    let target = view.config.target.name.as_str();
    let Some(any) = groups.first().and_then(|group| group.domain(target).first().copied()) else {
        return;
    };
    document.heading("Gain by list length and by words");
    let cuts = cut_table(&groups, target, any);
    if !cuts.rows.is_empty() {
        document.table(cuts);
        document.text(
            "Lists are truncated to their best hypotheses by first-pass score before selection. The weights are those tuned on whole lists.",
        );
        document.figure(
            "list-length",
            "WER of the target domain by hypotheses per list, means over seeds.",
            cut_chart(&groups, target, any),
        );
    }
    let caption = "Change of errors from the first pass by words of the reference, target domain";
    document.table(binned(caption, "Words", &groups, target, by_words));
    if by_hypotheses(any).len() > 1 {
        let caption =
            "Change of errors from the first pass by hypotheses of the list, target domain";
        document.table(binned(caption, "Hypotheses", &groups, target, by_hypotheses));
    }
}

fn rate(errors: u64, domain: &DomainResult) -> Option<f64> {
    let words: u64 = domain.words.iter().map(|&words| u64::from(words)).sum();
    (words > 0).then(|| errors as f64 / words as f64)
}

/// WER with lists truncated at index `at`, over seeds.
fn cut_wer(group: &Group<'_>, target: &str, at: usize) -> Option<f64> {
    let rates: Vec<f64> = group
        .domain(target)
        .into_iter()
        .filter_map(|domain| rate(domain.cuts.get(at)?.rescored, domain))
        .collect();
    mean(&rates).map(|mean| mean.mean)
}

fn cut_table(groups: &[Group<'_>], target: &str, any: &DomainResult) -> Table {
    let mut table = Table::new(format!("WER of {target} by hypotheses per list, %"), &["Method"]);
    table.columns.extend(any.cuts.iter().map(|cut| format!("N = {}", cut.n)));
    if any.cuts.len() < 2 {
        return table;
    }
    for group in groups {
        let mut row = vec![group.label.clone()];
        row.extend((0..any.cuts.len()).map(|at| or_dash(cut_wer(group, target, at), percent)));
        table.rows.push(row);
    }
    let mut oracle = vec!["Oracle".to_owned()];
    oracle.extend(any.cuts.iter().map(|cut| or_dash(rate(cut.oracle, any), percent)));
    table.rows.push(oracle);
    table
}

fn cut_chart(groups: &[Group<'_>], target: &str, any: &DomainResult) -> Chart {
    let x = |at: usize| f64::from(any.cuts[at].n);
    let joined = |label: &str, wer: &dyn Fn(usize) -> Option<f64>| {
        let point = |at: usize| Some(Point { x: x(at), y: 100.0 * wer(at)?, half: None });
        let points = (0..any.cuts.len()).filter_map(point).collect();
        Series { label: label.to_owned(), points, joined: true, ..Series::default() }
    };
    let mut series: Vec<Series> =
        groups.iter().map(|group| joined(&group.label, &|at| cut_wer(group, target, at))).collect();
    series.push(joined("Oracle", &|at| rate(any.cuts[at].oracle, any)));
    Chart::Lines { x: "hypotheses per list".into(), y: "WER, %".into(), logarithmic: true, series }
}

fn binned(
    caption: &str,
    kind: &str,
    groups: &[Group<'_>],
    target: &str,
    bins: fn(&DomainResult) -> Vec<Bin>,
) -> Table {
    let mut table = Table::new(caption, &[kind]);
    // Bins depend only on references and lists, which all runs share.
    let all: Vec<Vec<Vec<Bin>>> =
        groups.iter().map(|group| group.domain(target).into_iter().map(bins).collect()).collect();
    let Some(first) = all.first().and_then(|runs| runs.first()) else { return table };
    table.columns.extend(first.iter().map(|bin| bin.label.clone()));
    let mut row = |label: &str, cell: &dyn Fn(usize, &Bin) -> String| {
        let cells = first.iter().enumerate().map(|(at, bin)| cell(at, bin));
        table.rows.push([label.to_owned()].into_iter().chain(cells).collect());
    };
    let wer = |errors: u64, bin: &Bin| {
        or_dash((bin.words > 0).then(|| errors as f64 / bin.words as f64), percent)
    };
    row("Utterances", &|_, bin| count(bin.utterances as u64));
    row("First-pass WER, %", &|_, bin| wer(bin.first, bin));
    row("Oracle WER, %", &|_, bin| wer(bin.oracle, bin));
    for (group, runs) in groups.iter().zip(&all) {
        row(&group.label, &|at, bin| {
            let rescored: u64 =
                runs.iter().filter_map(|bins| bins.get(at)).map(|bin| bin.rescored).sum();
            let before = (bin.first * runs.len() as u64) as f64;
            or_dash((before > 0.0).then(|| rescored as f64 / before - 1.0), change)
        });
    }
    table
}
