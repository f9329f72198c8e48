//! The report of `eval --html`.

use crate::sandbox::Sandbox;

const EVAL: &str = "eval lists.jsonl --model base --adapter adapter --device cpu -q";

#[test]
fn the_report_is_one_file_without_requests() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&format!("{EVAL} --beta 30 --html report.html"));
    let text = run.done();
    let page = sandbox.text("report.html");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for part in ["Words gained and lost", "Changed utterances", "By length", "By first-pass rank"] {
        assert!(page.contains(part), "{part}");
    }
    for outside in ["http:", "https:", "<script", "<link", "<img", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The same rates as in the text report.
    for line in text.lines().filter(|line| line.contains("%WER")) {
        let rate = line.split_whitespace().skip_while(|word| *word != "%WER").nth(1).unwrap();
        assert!(page.contains(&format!("<td>{rate} %</td>")), "{rate}: {page}");
    }
}

#[test]
fn texts_are_escaped() {
    let sandbox = Sandbox::new();
    let list = r#"{"id":"<b>&\u001b","ref":"<i>x</i>","nbest":[{"text":"\"<script>'","score":-1},{"text":"y","score":-9}]}"#;
    sandbox.write("lists.jsonl", list);
    sandbox.run(&format!("{EVAL} --beta 1e4 --html report.html")).done();
    sandbox.run(&format!("{EVAL} --beta -1e4 --html other.html")).done();
    let pages = sandbox.text("report.html") + &sandbox.text("other.html");
    assert!(pages.contains("&lt;i&gt;x&lt;/i&gt;") && pages.contains("&quot;&lt;script&gt;&#39;"));
    assert!(!pages.contains("<script") && !pages.contains("<i>") && !pages.contains('\u{1b}'));
}

#[test]
fn an_input_is_not_replaced() {
    let sandbox = Sandbox::new();
    let before = sandbox.files();
    sandbox
        .run(&format!("{EVAL} --beta 1 --html lists.jsonl"))
        .failed(1, "--html lists.jsonl: is the same file as FILE");
    sandbox
        .run(&format!("{EVAL} --beta 1 --html missing/report.html"))
        .failed(1, "missing/report.html");
    for flag in ["--references", "--manifest"] {
        let file = "base/config.json";
        let same = format!("--html {file}: is the same file as {flag}");
        sandbox.run(&format!("eval lists.jsonl {flag} {file} --html {file}")).failed(1, &same);
    }
    assert_eq!(sandbox.files(), before);
}
