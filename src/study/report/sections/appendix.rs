//! Failed runs, how numbers are computed, and the configuration.

use crate::study::record::{Outcome, Record};
use crate::study::report::document::{Document, Table};
use crate::study::report::numbers::seconds;
use crate::study::report::view::View;

pub(in crate::study::report) fn failed(view: &View<'_>, document: &mut Document) {
    let mut table = Table::new("Runs that failed", &["Run", "After", "Why"]);
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
        "WER is the word errors of all utterances, by Levenshtein distance, over the words of all references. Rescoring takes the hypothesis with the highest first-pass score + beta × model score; beta is tuned on the dev lists, at every evaluation, and the state with the lowest dev WER is kept; what is not trained has its weights tuned on the dev lists too. Test lists choose nothing.",
        "Intervals of a mean over seeds are mean ± t s / √n, with Student's t at n − 1 degrees of freedom. They tell how much a result hangs on first weights and order of training, not on the choice of test utterances. The latter is what bootstrap intervals (2000 resamples of utterances, percentiles 2.5 and 97.5) and the matched-pairs test (Gillick and Cox 1989, over utterances) tell. No correction is made for the number of comparisons.",
        "Parts of the training lists are prefixes of one random order, so a larger part holds every smaller one. All sizes make the same number of passes, hence larger ones more steps.",
        "The correlation of [CLS] is the mean absolute Pearson correlation between different dimensions of its last hidden state, over at most 2000 distinct hypotheses of the target's test lists.",
        "Every run is a process of its own. Its peak memory is the highest resident memory (VmHWM of Linux) from the beginning of training to its end; other systems do not tell, and there it is left out. It includes program and base, and not the memory of a GPU. The time of a step is the median over all steps.",
    ];
    paragraphs.into_iter().for_each(|text| document.text(text));
}

pub(in crate::study::report) fn configuration(view: &View<'_>, document: &mut Document) {
    document.heading("Configuration");
    if let Ok(json) = serde_json::to_string_pretty(view.config) {
        document.code(json);
    }
    if let Ok(Ok(json)) =
        view.config.train_config().map(|config| serde_json::to_string_pretty(&config))
    {
        document.text("Settings of training in full; learning rate, warm-up, correlation weight and seed are those of each run:");
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
