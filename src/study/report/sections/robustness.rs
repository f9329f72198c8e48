//! Robustness to homophones.

use crate::study::config::Part;
use crate::study::perturb::Scope;
use crate::study::record::{DomainResult, Perturbed};
use crate::study::report::chart::{Chart, Point, Series};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::{NONE, change, or_dash, percent};
use crate::study::report::view::{Group, View};
use crate::study::statistics::{Mean, mean};

pub(in crate::study::report) fn robustness(view: &View<'_>, document: &mut Document) {
    let Some(settings) = &view.config.robustness else { return };
    let mut groups: Vec<Group<'_>> = Vec::new();
    for part in [Part::Methods, Part::Data, Part::Bases, Part::Stability, Part::Correlation] {
        for group in view.groups(part) {
            let known = groups.iter().any(|other| other.cell == group.cell);
            if !known && group.runs.iter().all(|run| !run.1.perturbed.is_empty()) {
                groups.push(group);
            }
        }
    }
    if groups.is_empty() {
        return;
    }
    document.heading("Robustness to homophones");
    document.text(
        "Words of the test hypotheses that have a homophone in the pronouncing dictionary are replaced by one with the given probability, either in the hypothesis with the best first-pass score or in all. First-pass scores and references are unchanged; adapters and weights are those of the clean lists. A word that is replaced at one probability is replaced at every higher one.",
    );
    document.text(
        "NPRR = (WER of the rescored output of perturbed lists − WER of the rescored output of clean lists) / WER of the rescored output of clean lists. This is LoRB's own definition; the paper that introduced the measure (arXiv 2401.10447) may define it differently. The first pass is included for comparison, with the WER of its best hypothesis.",
    );
    let target = view.config.target.name.as_str();
    for scope in [Scope::OneBest, Scope::All] {
        let (what, file) = match scope {
            Scope::OneBest => ("the best first-pass hypothesis", "homophones-one"),
            Scope::All => ("all hypotheses", "homophones-all"),
        };
        for domain in view.domains() {
            let caption = format!("{domain}: homophones in {what}");
            document.table(table(&caption, &groups, domain, scope, &settings.rates));
        }
        document.figure(
            file,
            format!("WER of {target} with homophones in {what}, means over seeds."),
            chart(&groups, target, scope, &settings.rates),
        );
    }
}

fn find<'a>(list: &'a [Perturbed], domain: &str, scope: Scope, rate: f64) -> Option<&'a Perturbed> {
    list.iter().find(|p| p.domain.name == domain && p.scope == scope && p.rate == rate)
}

/// Perturbed WER and NPRR over seeds; `errors` selects the system.
fn figures(
    group: &Group<'_>,
    domain: &str,
    scope: Scope,
    rate: f64,
    wer: fn(&DomainResult) -> Option<f64>,
) -> Option<(Mean, Option<Mean>)> {
    let (mut rates, mut changes) = (Vec::new(), Vec::new());
    for (_, run) in &group.runs {
        let clean = wer(run.domains.iter().find(|d| d.name == domain)?)?;
        let perturbed = wer(&find(&run.perturbed, domain, scope, rate)?.domain)?;
        rates.push(perturbed);
        if clean > 0.0 {
            changes.push((perturbed - clean) / clean);
        }
    }
    Some((mean(&rates)?, mean(&changes)))
}

fn table(caption: &str, groups: &[Group<'_>], domain: &str, scope: Scope, rates: &[f64]) -> Table {
    let mut table = Table::new(caption, &["Method", "WER, clean, %"]);
    for &rate in rates {
        let replaced = groups[0].runs[0].1.perturbed.as_slice();
        let share = find(replaced, domain, scope, rate)
            .filter(|p| p.of_words > 0)
            .map(|p| format!(" ({} % of words)", percent(p.replaced as f64 / p.of_words as f64)));
        table.columns.push(format!("WER at {rate}{}", share.unwrap_or_default()));
        table.columns.push(format!("NPRR at {rate}"));
    }
    let mut add = |label: &str, group: &Group<'_>, wer: fn(&DomainResult) -> Option<f64>| {
        let clean: Vec<f64> = group.domain(domain).into_iter().filter_map(wer).collect();
        let mut row = vec![label.to_owned(), or_dash(mean(&clean), |mean| percent(mean.mean))];
        for &rate in rates {
            match figures(group, domain, scope, rate, wer) {
                Some((wer, nprr)) => {
                    row.push(percent(wer.mean));
                    row.push(or_dash(nprr, |nprr| {
                        let half = nprr.half.map(|half| format!(" ± {:.1}", 100.0 * half));
                        change(nprr.mean) + &half.unwrap_or_default()
                    }));
                }
                None => row.extend([NONE.to_owned(), NONE.to_owned()]),
            }
        }
        table.rows.push(row);
    };
    add("First pass", &groups[0], DomainResult::wer_first);
    for group in groups.iter().filter(|group| group.cell.method != "first-pass") {
        add(&group.label, group, DomainResult::wer_rescored);
    }
    table
}

fn chart(groups: &[Group<'_>], domain: &str, scope: Scope, rates: &[f64]) -> Chart {
    let series = |label: &str, group: &Group<'_>, wer: fn(&DomainResult) -> Option<f64>| {
        let clean: Vec<f64> = group.domain(domain).into_iter().filter_map(wer).collect();
        let start = mean(&clean).map(|mean| Point { x: 0.0, y: 100.0 * mean.mean, half: None });
        let mut points: Vec<Point> = start.into_iter().collect();
        points.extend(rates.iter().filter_map(|&rate| {
            let (wer, _) = figures(group, domain, scope, rate, wer)?;
            Some(Point { x: rate, y: 100.0 * wer.mean, half: None })
        }));
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Series { label: label.to_owned(), points, joined: true, ..Series::default() }
    };
    let mut all = vec![series("First pass", &groups[0], DomainResult::wer_first)];
    for group in groups.iter().filter(|group| group.cell.method != "first-pass") {
        all.push(series(&group.label, group, DomainResult::wer_rescored));
    }
    Chart::Lines {
        x: "probability of replacement".into(),
        y: "WER, %".into(),
        logarithmic: false,
        series: all,
    }
}
