//! Summary of runs and test lists.

use crate::study::record::{Outcome, Record};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::{count, or_dash, percent};
use crate::study::report::view::View;

pub(in crate::study::report) fn head(view: &View<'_>, document: &mut Document) {
    if let Some(description) = &view.config.description {
        document.text(description.trim());
    }
    let cells = view.plan.cells.len();
    let outcome = |done: bool| {
        let is = |record: &&Record| matches!(record.outcome, Outcome::Done(_)) == done;
        view.plan.cells.iter().filter_map(|planned| view.record(&planned.id)).filter(is).count()
    };
    let (done, failed) = (outcome(true), outcome(false));
    let mut text = format!("{done} of {cells} runs are done");
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    let mut devices: Vec<&str> = Vec::new();
    let mut seconds = 0.0;
    for planned in &view.plan.cells {
        if let Some(Record { outcome: Outcome::Done(run), .. }) = view.record(&planned.id) {
            seconds += run.seconds.total;
            if !devices.contains(&run.device.as_str()) {
                devices.push(&run.device);
            }
        }
    }
    if !devices.is_empty() {
        let devices = devices.join("; ");
        text.push_str(&format!(". They took {:.1} minutes in total, on {devices}", seconds / 60.0));
    }
    text.push('.');
    document.text(text);
}

/// The test lists, with first-pass and oracle WER.
pub(super) fn domains(view: &View<'_>) -> Table {
    let mut table = Table::new(
        "Test lists. The oracle selects the best hypothesis of every list.",
        &[
            "Domain",
            "Utterances",
            "Words",
            "Hypotheses per list",
            "First-pass WER, %",
            "Oracle WER, %",
        ],
    );
    for name in view.domains() {
        let Some(found) = view.any(name) else { continue };
        let words: u64 = found.words.iter().map(|&words| u64::from(words)).sum();
        let lists = found.hypotheses.len().max(1) as f64;
        let mean = found.hypotheses.iter().map(|&n| f64::from(n)).sum::<f64>() / lists;
        let role = if name == view.config.target.name { " (target)" } else { "" };
        table.rows.push(vec![
            format!("{name}{role}"),
            count(found.words.len() as u64),
            count(words),
            format!("{mean:.1}"),
            or_dash(found.wer_first(), percent),
            or_dash(found.wer(&found.oracle), percent),
        ]);
    }
    table
}
