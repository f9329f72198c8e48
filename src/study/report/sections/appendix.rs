//! Failed runs, how numbers are computed, and the configuration.

use crate::study::record::{Outcome, Record};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::seconds;
use crate::study::report::view::View;

pub(in crate::study::report) fn failed(view: &View<'_>, document: &mut Document) {
    let mut table = Table::new("Runs that failed", &["Run", "After", "Reason"]);
    for planned in &view.plan.cells {
        if let Some(Record { outcome: Outcome::Failed { error, seconds: took }, .. }) =
            view.record(&planned.id)
        {
            table.rows.push(vec![planned.cell.describe(), seconds(*took), error.clone()]);
        }
    }
    if !table.rows.is_empty() {
        document.heading("Failed runs");
        document.table(table);
    }
}

pub(in crate::study::report) fn how(view: &View<'_>, document: &mut Document) {
    if view.records.is_empty() {
        return;
    }
    document.heading("How the numbers are computed");
    let paragraphs = [
        "WER is the number of word errors in all utterances (Levenshtein distance) divided by the number of words in all references. Rescoring selects the hypothesis with the highest first-pass score + beta × model score. Every evaluation tunes beta on the dev lists, and the run keeps the checkpoint with the lowest dev WER. Weights of untrained scores are tuned on the dev lists too. Test lists are not used to choose anything.",
        "The interval of a mean over seeds is mean ± t s / √n, with Student's t at n − 1 degrees of freedom. It shows how much a result depends on the initial weights and the training order, not on the choice of test utterances. For the latter, see the bootstrap intervals (2000 resamples of utterances, percentiles 2.5 and 97.5) and the matched-pairs test (Gillick and Cox 1989, over utterances). There is no correction for multiple comparisons.",
        "Subsets of the training lists are prefixes of one random order, so a larger subset contains every smaller one. All sizes train for the same number of epochs, so larger ones take more steps.",
        "The correlation of [CLS] is the mean absolute Pearson correlation between different dimensions of its last hidden state, over at most 2000 distinct hypotheses of the target domain's test lists.",
        "Every run is a separate process. Its peak memory is the highest resident memory (VmHWM on Linux) from the start to the end of training; other systems do not report it, and it is omitted there. It includes the program and the base, but not GPU memory. The time per step is the median over all steps.",
    ];
    paragraphs.into_iter().for_each(|text| document.text(text));
    let conventions = view.config.train_config().map(|config| config.conventions());
    if let Ok(conventions) = conventions
        && !conventions.is_default()
    {
        let (rate, units) = (conventions.unit.rate(), conventions.unit.plural());
        document.text(format!(
            "Texts are compared with these conventions: {conventions}. WER stands for {rate}, and words are {units}."
        ));
    }
}

pub(in crate::study::report) fn configuration(view: &View<'_>, document: &mut Document) {
    document.heading("Configuration");
    if let Ok(json) = serde_json::to_string_pretty(view.config) {
        document.code(json);
    }
    if let Ok(Ok(json)) =
        view.config.train_config().map(|config| serde_json::to_string_pretty(&config))
    {
        document.text("All training settings. Learning rate, warm-up, correlation weight and seed differ by run:");
        document.code(json);
    }
    let mut cells = Table::new("Runs", &["Id", "Run", "State"]);
    for planned in &view.plan.cells {
        let state = match view.record(&planned.id).map(|record| &record.outcome) {
            None => "to do",
            Some(Outcome::Done(_)) => "done",
            Some(Outcome::Failed { .. }) => "failed",
        };
        cells.rows.push(vec![planned.id.clone(), planned.cell.describe(), state.into()]);
    }
    document.table(cells);
}
