//! The correlation term on and off.

use super::{runs, wer_columns, wers};
use crate::study::config::Part;
use crate::study::record::{Outcome, Record};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::or_dash;
use crate::study::report::view::{View, short_base};

pub(in crate::study::report) fn correlation(view: &View<'_>, document: &mut Document) {
    let groups = view.groups(Part::Correlation);
    let trained = || groups.iter().filter(|group| group.trained());
    if trained().next().is_none() {
        return;
    }
    document.heading("The correlation term and isotropy");
    let domains = view.domains();
    let mut table = Table::new(
        "Weight of the correlation term, WER, and mean absolute correlation of [CLS]",
        &["Method", "Weight", "Runs", "Correlation of [CLS]"],
    );
    table.columns.extend(wer_columns(&domains));
    for group in trained() {
        let mut row = vec![
            group.label.split(", weight").next().unwrap_or_default().to_owned(),
            or_dash(group.cell.cor_weight, |weight| weight.to_string()),
            runs(group),
            or_dash(group.over_runs(|run| run.isotropy), |mean| {
                let half = mean.half.map(|half| format!(" ± {half:.4}")).unwrap_or_default();
                format!("{:.4}{half}", mean.mean)
            }),
        ];
        row.extend(wers(group, &domains));
        table.rows.push(row);
    }
    document.table(table);
    let mut text = "The correlation is measured after training, over the test texts of the target domain. Lower is more isotropic.".to_owned();
    let mut seen: Vec<&str> = Vec::new();
    for planned in &view.plan.cells {
        let cell = &planned.cell;
        if cell.method != "first-pass" || seen.contains(&cell.base.as_str()) {
            continue;
        }
        if let Some(Record { outcome: Outcome::Done(run), .. }) = view.record(&planned.id)
            && let Some(isotropy) = run.isotropy
        {
            seen.push(&cell.base);
            text.push_str(&format!(" The unadapted {} has {isotropy:.4}.", short_base(&cell.base)));
        }
    }
    document.text(text);
}
