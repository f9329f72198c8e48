//! WER against the number of training utterances.

use crate::study::config::Part;
use crate::study::report::chart::{Chart, Point, Series};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::{count, mean_percent, or_dash, percent};
use crate::study::report::view::{Group, View};
use crate::study::statistics::{Fit, Fits, fits};

pub(in crate::study::report) fn data(view: &View<'_>, document: &mut Document) {
    let mut groups = view.groups(Part::Data);
    groups.retain(Group::trained);
    if groups.iter().all(|group| group.cell.utterances == groups[0].cell.utterances) {
        return;
    }
    document.heading("WER against the size of the training data");
    let domains = view.domains();
    let mut table = Table::new("WER by training utterances", &["Method", "Utterances", "Runs"]);
    table.columns.extend(super::wer_columns(&domains));
    let families = families(&groups);
    for (name, members) in &families {
        for group in members {
            let utterances = group.cell.utterances.unwrap_or(0) as u64;
            let mut row = vec![name.clone(), count(utterances), super::runs(group)];
            row.extend(domains.iter().map(|domain| or_dash(group.wer(domain), mean_percent)));
            table.rows.push(row);
        }
    }
    document.table(table);
    let target = view.config.target.name.as_str();
    let first = view.any(target).and_then(crate::study::DomainResult::wer_first);
    let families: Vec<(String, Vec<Point>)> = families
        .iter()
        .map(|(name, members)| {
            (name.clone(), points(members, target, |g| g.cell.utterances.map(|n| n as f64)))
        })
        .collect();
    document.figure(
        "data",
        "WER of the target domain by training utterances. Solid: the fit a + b ln n; dashed: a + b n. Whiskers are 95 % intervals over seeds.",
        chart("training utterances", &families),
    );
    document.table(goodness("n", &families));
    let mut text = "The curves are fitted to the means over seeds. The leave-one-out error is the root mean square over points, each predicted from the others; it needs at least four points. With few points, only a large difference in error distinguishes the curves.".to_owned();
    if let Some(first) = first {
        text.push_str(&format!(" The first pass has {} %.", percent(first)));
    }
    document.text(text);
}

/// Groups that differ only in the axis variable.
fn families<'a>(groups: &[Group<'a>]) -> Vec<(String, Vec<Group<'a>>)> {
    let mut families: Vec<(String, Vec<Group<'a>>)> = Vec::new();
    for group in groups {
        let rest =
            |group: &Group<'_>| crate::study::Cell { utterances: None, ..group.cell.clone() };
        match families.iter_mut().find(|(_, members)| rest(&members[0]) == rest(group)) {
            Some((_, members)) => members.push(group.clone()),
            None => {
                let name = group
                    .label
                    .split(", ")
                    .filter(|part| !part.ends_with(" utterances"))
                    .collect::<Vec<_>>()
                    .join(", ");
                families.push((name, vec![group.clone()]));
            }
        }
    }
    for (_, members) in &mut families {
        members.sort_by_key(|group| group.cell.utterances);
    }
    families
}

/// WER in percent by x.
pub(super) fn points(
    groups: &[Group<'_>],
    domain: &str,
    x: impl Fn(&Group<'_>) -> Option<f64>,
) -> Vec<Point> {
    let point = |group: &Group<'_>| {
        let (x, wer) = (x(group)?, group.wer(domain)?);
        Some(Point { x, y: 100.0 * wer.mean, half: wer.half.map(|half| 100.0 * half) })
    };
    let mut points: Vec<Point> = groups.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

fn fitted(points: &[Point]) -> Option<Fits> {
    fits(&points.iter().map(|point| (point.x, point.y)).collect::<Vec<_>>())
}

/// Points with their fits.
pub(super) fn chart(x: &str, families: &[(String, Vec<Point>)]) -> Chart {
    let series = families.iter().map(|(name, points)| {
        let found = fitted(points);
        let curve = |fit: &Fit| {
            let (low, high) = (points[0].x, points[points.len() - 1].x);
            let at = |step: u32| {
                let x = low * libm::pow(high / low, f64::from(step) / 40.0);
                (x, fit.at(x))
            };
            (0..=40).map(at).collect::<Vec<_>>()
        };
        Series {
            label: name.clone(),
            points: points.clone(),
            joined: found.is_none(),
            curve: found.map(|fits| curve(&fits.logarithmic)).unwrap_or_default(),
            dashed: found.map(|fits| curve(&fits.linear)).unwrap_or_default(),
        }
    });
    Chart::Lines { x: x.into(), y: "WER, %".into(), logarithmic: true, series: series.collect() }
}

/// Quality of the fits.
pub(super) fn goodness(x: &str, families: &[(String, Vec<Point>)]) -> Table {
    let mut table = Table::new(
        "Fits of the WER (percent)",
        &[
            "Method",
            "Points",
            "Logarithmic",
            "R²",
            "Leave-one-out error",
            "Linear",
            "R²",
            "Leave-one-out error",
        ],
    );
    for (name, points) in families {
        let Some(Fits { logarithmic, linear, points }) = fitted(points) else { continue };
        let shown = |fit: &Fit, by: &str| {
            let (sign, size) = if fit.b < 0.0 { ("−", -fit.b) } else { ("+", fit.b) };
            let size = if size < 1e-2 { format!("{size:.2e}") } else { format!("{size:.3}") };
            [
                format!("{:.2} {sign} {size} {by}", fit.a),
                format!("{:.3}", fit.r_squared),
                or_dash(fit.left_out, |error| format!("{error:.2}")),
            ]
        };
        let mut row = vec![name.clone(), points.to_string()];
        row.extend(shown(&logarithmic, &format!("ln {x}")));
        row.extend(shown(&linear, x));
        table.rows.push(row);
    }
    table
}
