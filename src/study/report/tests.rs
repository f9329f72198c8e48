//! Tests of reports, with synthetic results.

use super::document;
use crate::study::tests::{config, done, inputs};
use crate::study::{Outcome, Record, plan};

fn all() -> (crate::study::Plan, Vec<Record>) {
    let plan = plan(&config(), &inputs(), 100).unwrap();
    let records = plan.cells.iter().map(|planned| done(&planned.id, &planned.cell)).collect();
    (plan, records)
}

const PARTS: [&str; 8] = [
    "Methods in and out of domain",
    "Time and memory",
    "WER against the size of the training data",
    "WER against the size of the base",
    "Stability over learning rate and warm-up",
    "The correlation term and isotropy",
    "Gain by list length and by words",
    "Robustness to homophones",
];

#[test]
fn a_complete_study_has_every_section_and_needs_no_network() {
    let (plan, mut records) = all();
    let last = records.len() - 1;
    records[last].outcome = Outcome::Failed { error: "out of <memory>".into(), seconds: 2.0 };
    let document = document(&config(), &plan, &records);
    let html = document.html();
    for part in PARTS.into_iter().chain(["Failed runs", "Configuration"]) {
        assert!(html.contains(&format!(">{part}</h2>")), "{part}");
    }
    assert!(!html.contains("http") && !html.contains("url(") && !html.contains("<script"));
    assert!(html.contains("A study of &lt;b&gt; &amp; &quot;co&quot;") && !html.contains("<b>"));
    assert!(html.contains("out of &lt;memory&gt;"));
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    let figures = document.figures();
    assert_eq!(html.matches("<svg").count(), figures.len());
    let mut names: Vec<&str> = figures.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), figures.len(), "duplicate figure names");
    for (name, svg) in &figures {
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
    }
    let markdown = document.markdown();
    assert!(figures.iter().all(|(name, _)| markdown.contains(&format!("](figures/{name})"))));
}

#[test]
fn tables_have_one_cell_per_column_and_markdown_escapes_pipes() {
    let (plan, records) = all();
    let document = document(&config(), &plan, &records);
    for block in &document.blocks {
        if let super::Block::Table(table) = block {
            for row in &table.rows {
                assert_eq!(row.len(), table.columns.len(), "{}: {row:?}", table.caption);
            }
        }
    }
    // The pipe in the domain's name does not end a cell.
    let summary = document.summary();
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let first = summary.lines().next().unwrap();
    assert!(first.contains("WER mail\\|box, %"), "{first}");
    assert!(summary.lines().all(|line| cells(line) == cells(first)), "{summary}");
}

#[test]
fn names_and_errors_are_text_in_every_form_of_the_report() {
    let (_, mut records) = all();
    let name = "<img src=x onerror=alert(1)> &amp; \x1b[31m [a](b) \u{202e}$x$";
    let mut config = config();
    config.name = name.into();
    config.target.name = name.into();
    let plan = plan(&config, &inputs(), 100).unwrap();
    for (record, planned) in records.iter_mut().zip(&plan.cells) {
        *record = done(&planned.id, &planned.cell);
        record.outcome = Outcome::Failed { error: name.into(), seconds: 2.0 };
    }
    let document = document(&config, &plan, &records);
    let (markdown, html) = (document.markdown(), document.html());
    // The configuration in the appendix is preformatted.
    let (before, _) = markdown.split_once("```").unwrap();
    assert!(
        !before.contains('<') && !before.contains("[a]") && !before.contains("$x$"),
        "{before}"
    );
    assert!(
        before.contains(r"&lt;img src=x onerror=alert(1)&gt; &amp;amp; \\u{1b}\[31m \[a\](b)"),
        "{before}"
    );
    assert!(!html.contains("<img"));
    for text in [markdown, html, document.summary()] {
        assert!(!text.contains(['\x1b', '\u{202e}']), "{text}");
    }
}

#[test]
fn numbers_match_the_runs() {
    let (plan, records) = all();
    let document = document(&config(), &plan, &records);
    let row = |caption: &str, label: &str| -> Vec<String> {
        let find = |block: &super::Block| match block {
            super::Block::Table(table) if table.caption.starts_with(caption) => {
                table.rows.iter().find(|row| row[0] == label).cloned()
            }
            _ => None,
        };
        document.blocks.iter().find_map(find).unwrap_or_else(|| panic!("{caption}: {label}"))
    };
    // Errors of the first pass: 1 + 2 + 4 + 6 + 10 + 3 = 26 of 55 words. LoRA takes away 2 of every
    // third utterance: seed 0 has 1 + 2, seed 1 has 4 fewer, seed 2 has 4 fewer.
    let lora = row("WER of the test lists", "LoRA");
    let rates = [23.0, 22.0, 22.0].map(|errors: f64| errors / 55.0);
    let mean = rates.iter().sum::<f64>() / 3.0;
    assert!(lora[3].starts_with(&format!("{:.2} ± ", 100.0 * mean)), "{lora:?}");
    assert_eq!(&lora[1..3], ["3", "0.080 %"]);
    let change = row("Change of errors", "LoRA");
    assert!(change[1].starts_with("−14.1 % ("), "{change:?}");
    assert!(change[3].starts_with("+0.0 % ("), "{change:?}");
    let same = row("To the same dev WER", "LoRA");
    assert_eq!(&same[1..6], ["3", "22.00", "3.00 s", "9.00 s", "3.00 times"]);
    let spread = row("Range of the WER", "Full fine-tuning");
    assert_eq!((spread[1].as_str(), spread[5].as_str()), ("4", "0 of 4"));
    let nprr = row("calls: homophones in all", "First pass");
    // Clean 26 of 55 words, perturbed 36 of 72.
    assert_eq!((nprr[2].as_str(), nprr[3].as_str()), ("50.00", "+5.8 %"));
}

#[test]
fn sections_without_results_are_omitted() {
    let (plan, records) = all();
    let none = document(&config(), &plan, &[]);
    let html = none.html();
    assert!(PARTS.iter().all(|part| !html.contains(part)));
    assert!(html.contains("0 of") && html.contains("Configuration"));
    let first: Vec<Record> =
        records.into_iter().filter(|record| record.cell.method == "first-pass").collect();
    let html = document(&config(), &plan, &first).html();
    assert!(html.contains(PARTS[0]) && !html.contains(PARTS[1]) && !html.contains(PARTS[6]));
    assert!(!html.contains("NaN"));
}
