//! WER against the size of the base.

use super::data::{chart, goodness, points};
use crate::study::config::Part;
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::{bytes, count, or_dash, seconds};
use crate::study::report::view::{Group, View, short_base};

pub(in crate::study::report) fn bases(view: &View<'_>, document: &mut Document) {
    let mut groups = view.groups(Part::Bases);
    groups.retain(Group::trained);
    if groups.is_empty() || !View::several_bases(&groups) {
        return;
    }
    document.heading("WER against the size of the base");
    let domains = view.domains();
    let size = |group: &Group<'_>| group.runs.first().map(|run| run.1.base_parameters as f64);
    let mut table = Table::new(
        "WER by base",
        &["Method", "Base", "Parameters", "Runs", "Per step", "Peak memory"],
    );
    table.columns.extend(super::wer_columns(&domains));
    let mut methods: Vec<&str> = Vec::new();
    for group in &groups {
        if !methods.contains(&group.cell.method.as_str()) {
            methods.push(&group.cell.method);
        }
    }
    let mut families = Vec::new();
    for name in methods {
        let mut members: Vec<Group<'_>> =
            groups.iter().filter(|group| group.cell.method == name).cloned().collect();
        members.sort_by(|a, b| size(a).unwrap_or(0.0).total_cmp(&size(b).unwrap_or(0.0)));
        let label = crate::study::method::label(name).to_owned();
        for group in &members {
            let mut row = vec![
                label.clone(),
                short_base(&group.cell.base).to_owned(),
                or_dash(size(group), |size| count(size as u64)),
                super::runs(group),
                or_dash(group.over_trained(|t| t.step_seconds), |mean| seconds(mean.mean)),
                or_dash(group.over_runs(|run| run.peak_memory.map(|b| b as f64)), |mean| {
                    bytes(mean.mean)
                }),
            ];
            row.extend(super::wers(group, &domains));
            table.rows.push(row);
        }
        families.push((label, points(&members, &view.config.target.name, size)));
    }
    document.table(table);
    document.figure(
        "bases",
        "WER of the target domain by parameters of the base. Solid: the fit a + b ln p; dashed: a + b p.",
        chart("parameters of the base", &families),
    );
    document.table(goodness("p", &families));
}
