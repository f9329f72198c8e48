//! The report of `lorb eval --html`: one file without scripts, fonts or images from elsewhere.

use std::fmt::Write;

use lorb::printable::{html_text, printable};
use lorb::score::{AlignedWord, Changes, Group, Report, SystemReport, align_words};

/// Rows of the table of words.
const WORDS: usize = 100;

const STYLE: &str = include_str!("eval_html.css");

/// What the report is about.
pub struct Page<'a> {
    /// The lists.
    pub files: &'a [String],
    /// The base and the adapter, if there is one.
    pub model: Option<&'a str>,
    /// See `model`.
    pub adapter: Option<&'a str>,
    /// The result.
    pub report: &'a Report,
    /// What the command printed as warnings.
    pub warnings: &'a [String],
}

/// The page. `changes` is for the systems of the report.
pub fn html(page: &Page<'_>, changes: &mut Changes) -> String {
    let mut out = String::new();
    let title = "LoRB evaluation";
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    inputs(&mut out, page);
    systems(&mut out, page.report);
    for warning in page.warnings {
        let _ = writeln!(out, "<p class=\"warning\">{}</p>", escaped(warning));
    }
    if page.report.rescored.is_some() {
        rescoring(&mut out, page.report, changes);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn inputs(out: &mut String, page: &Page<'_>) {
    out.push_str("<dl>\n");
    let files = page.files.join(", ");
    let conventions = page.report.conventions.to_string();
    let entries = [
        ("Lists", Some(files.as_str())),
        ("Base", page.model),
        ("Adapter", page.adapter),
        ("Text conventions", Some(conventions.as_str())),
    ];
    for (name, value) in entries {
        if let Some(value) = value {
            let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
        }
    }
    out.push_str("</dl>\n");
}

/// The table of `lorb eval`.
fn systems(out: &mut String, report: &Report) {
    let unit = report.conventions.unit;
    let _ = writeln!(
        out,
        "<h2>Result</h2>\n<table>\n<tr><th>system</th><th>{}</th><th>95 % interval</th><th>errors</th>\
         <th>insertions</th><th>deletions</th><th>substitutions</th><th>wrong utterances</th></tr>",
        unit.rate()
    );
    let all = [
        ("first pass", Some(&report.first_pass)),
        ("rescored", report.rescored.as_ref()),
        ("oracle", Some(&report.oracle)),
    ];
    for (name, system) in all {
        if let Some(system) = system {
            row_of_system(out, name, system, report.utterances);
        }
    }
    let units = report.first_pass.counts.reference_words;
    let _ = writeln!(
        out,
        "</table>\n<p>{} utterances with {units} {} in their references.</p>",
        report.utterances,
        unit.plural()
    );
    // The lines of the text report that are not in the table.
    let text = report.to_string();
    let rest = text.lines().filter(|line| {
        ["relative gain", "matched pairs"].iter().any(|start| line.starts_with(start))
    });
    for line in rest {
        let _ = writeln!(out, "<p>{}</p>", escaped(line));
    }
}

fn row_of_system(out: &mut String, name: &str, system: &SystemReport, utterances: u64) {
    let percent = |value: f64| format!("{:.2} %", 100.0 * value);
    let rate = system.wer.map_or_else(|| "n/a".to_owned(), percent);
    let interval = system.wer_interval.as_ref();
    let interval =
        interval.map_or_else(String::new, |i| format!("{} to {}", percent(i.low), percent(i.high)));
    let counts = &system.counts;
    let _ = writeln!(
        out,
        "<tr><th>{name}</th><td>{rate}</td><td>{interval}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td>{} of {utterances}</td></tr>",
        system.errors,
        counts.insertions,
        counts.deletions,
        counts.substitutions,
        system.wrong_utterances
    );
}

fn rescoring(out: &mut String, report: &Report, changes: &mut Changes) {
    let (better, worse, equal) = (changes.better, changes.worse, changes.equal);
    let _ = writeln!(
        out,
        "<h2>What rescoring changed</h2>\n<p>Another text for {} utterances: {better} with fewer errors, {worse} with \
         more, {equal} with as many.</p>",
        better + worse + equal
    );
    let unit = report.conventions.unit;
    let _ = writeln!(out, "<h3>By length of the reference</h3>\n<table>");
    head_of_groups(out, &format!("{} of the reference", unit.plural()), unit.rate());
    let mut from = 0;
    for (end, group) in changes.lengths() {
        let label = match end {
            Some(end) => format!("{from} to {end}"),
            None => format!("{from} or more"),
        };
        row_of_group(out, &label, group);
        from = end.map_or(from, |end| end + 1);
    }
    let _ = writeln!(out, "</table>\n<h3>By first-pass rank of the selected text</h3>\n<table>");
    head_of_groups(out, "rank", unit.rate());
    for (rank, group) in changes.ranks() {
        row_of_group(out, &rank.to_string(), group);
    }
    out.push_str("</table>\n");
    words(out, changes);
    utterances(out, changes);
}

fn head_of_groups(out: &mut String, label: &str, rate: &str) {
    let _ = writeln!(
        out,
        "<tr><th>{label}</th><th>utterances</th><th>first pass {rate}</th><th>rescored {rate}</th>\
         <th>oracle {rate}</th><th>errors, change</th></tr>"
    );
}

fn row_of_group(out: &mut String, label: &str, group: Group) {
    if group.utterances == 0 {
        return;
    }
    let rate = |errors: u64| match group.units {
        0 => "n/a".to_owned(),
        units => format!("{:.2} %", 100.0 * errors as f64 / units as f64),
    };
    let change = i128::from(group.rescored) - i128::from(group.first);
    let _ = writeln!(
        out,
        "<tr><th>{label}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"{}\">{change:+}</td></tr>",
        group.utterances,
        rate(group.first),
        rate(group.rescored),
        rate(group.oracle),
        match change.signum() {
            1 => "lost",
            -1 => "gained",
            _ => "same",
        }
    );
}

fn words(out: &mut String, changes: &Changes) {
    let words = changes.words();
    let _ = writeln!(
        out,
        "<h3>Words gained and lost</h3>\n<p>How often a word of the references became correct and how often it became \
         wrong{}.</p>\n<table>\n<tr><th>word</th><th>gained</th><th>lost</th></tr>",
        if words.len() > WORDS {
            format!(", for the {WORDS} words of {} with the most changes", words.len())
        } else {
            String::new()
        }
    );
    for (word, change) in words.into_iter().take(WORDS) {
        let _ = writeln!(
            out,
            "<tr><th>{}</th><td class=\"gained\">{}</td><td class=\"lost\">{}</td></tr>",
            escaped(word),
            change.gained,
            change.lost
        );
    }
    out.push_str("</table>\n");
}

fn utterances(out: &mut String, changes: &mut Changes) {
    let all = changes.better + changes.worse + changes.equal;
    let kept = changes.utterances();
    out.push_str("<h3>Changed utterances</h3>\n<p>Words that differ from the reference are marked");
    if (kept.len() as u64) < all {
        let _ = write!(out, "; {} of {all} are shown, the largest changes first", kept.len());
    }
    out.push_str(".</p>\n");
    for u in kept {
        let class = if u.rescored_errors < u.first_errors {
            "better"
        } else if u.rescored_errors > u.first_errors {
            "worse"
        } else {
            "equal"
        };
        let _ = writeln!(
            out,
            "<section class=\"{class}\">\n<h4>{}</h4>\n<dl>\n<dt>reference</dt><dd>{}</dd>\n\
             <dt>first pass, {} wrong</dt><dd>{}</dd>\n<dt>rescored, {} wrong, rank {}</dt><dd>{}</dd>\n</dl>\n</section>",
            escaped(&u.id),
            escaped(&u.reference),
            u.first_errors,
            marked(&u.reference, &u.first),
            u.rescored_errors,
            u.rank,
            marked(&u.reference, &u.rescored)
        );
    }
}

/// A hypothesis with its errors marked.
fn marked(reference: &str, hypothesis: &str) -> String {
    let words = align_words(reference, hypothesis).into_iter().map(|step| match step {
        AlignedWord::Equal { hypothesis, .. } => escaped(hypothesis),
        AlignedWord::Substitute { hypothesis, .. } | AlignedWord::Insert { hypothesis } => {
            format!("<mark>{}</mark>", escaped(hypothesis))
        }
        AlignedWord::Delete { reference } => format!("<del>{}</del>", escaped(reference)),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Text as HTML on one line.
fn escaped(text: &str) -> String {
    html_text(&printable(text))
}
