//! Invalid N-best files: each gives one error line with the file, the line and the cause.

use lorb::nbest::{JsonLines, NbestError};

const GOOD: &str = r#"{"id":"good","nbest":[{"text":"a"}]}"#;

/// The invalid line, and the expected error after `bad.jsonl:2: `.
const BAD: &[(&str, &str)] = &[
    (
        "{",
        "not valid JSON at column 1: EOF while parsing an object (truncated, or one object over several lines",
    ),
    (r#"{"id":"a","nbest":[{"text":"#, "not valid JSON at column 27: EOF while parsing"),
    (r#"{"id":"a","nbest":[{"text":"x"}]"#, "not valid JSON at column 32: EOF while parsing"),
    (
        r#"{"id":"a","nbest":[{"text":"x"}]} {"id":"b"}"#,
        "not valid JSON at column 35: trailing characters (write one object per line)",
    ),
    (r#"{"id":"a","nbest":[{"text":"x",}]}"#, "not valid JSON at column 32: trailing comma"),
    (
        r#"{'id':'a'}"#,
        "not valid JSON at column 2: key must be a string (JSON requires double quotes)",
    ),
    (r#"{"id":"a","nbest":[{"text":"x\q"}]}"#, "not valid JSON at column 31: invalid escape"),
    (r#"{"id":"a","nbest":[{"text":"\ud800"}]}"#, "not valid JSON at column"),
    (
        "u1 this is not json",
        "not valid JSON at column 1: expected value (N-best files have one JSON object per line; is this one?)",
    ),
    (
        "[",
        "not valid JSON at column 1: EOF while parsing a list (write one object per line, without a surrounding list)",
    ),
    ("\u{0}", "not valid JSON at column 1"),
    ("[]", "expected one object, found a list (write one object per line"),
    ("null", "expected one object, found null"),
    ("12", "expected one object, found a number"),
    (r#""text""#, "expected one object, found a string"),
    ("{}", "key \"id\" is missing"),
    (r#"{"nbest":[{"text":"x"}]}"#, "key \"id\" is missing"),
    (
        r#"{"id":7,"nbest":[{"text":"x"}]}"#,
        "key \"id\" must be a string, found a number (write the id in double quotes)",
    ),
    (r#"{"id":null,"nbest":[{"text":"x"}]}"#, "key \"id\" must be a string, found null"),
    (r#"{"id":"","nbest":[{"text":"x"}]}"#, "key \"id\" is empty"),
    (r#"{"id":" \t","nbest":[{"text":"x"}]}"#, "key \"id\" is empty"),
    (
        r#"{"id":"a","ref":["x"],"nbest":[{"text":"x"}]}"#,
        "key \"ref\" must be a string or null, found a list",
    ),
    (r#"{"id":"a"}"#, "key \"nbest\" is missing"),
    (
        r#"{"id":"a","hyps":[{"text":"x"}]}"#,
        "key \"nbest\" is missing (key \"hyps\" may be it; rename it",
    ),
    (r#"{"id":"a","nbest":null}"#, "key \"nbest\" must be a list, found null"),
    (r#"{"id":"a","nbest":{"text":"x"}}"#, "key \"nbest\" must be a list, found an object"),
    (
        r#"{"id":"a","nbest":[]}"#,
        "key \"nbest\" is an empty list (a list needs at least one hypothesis",
    ),
    (
        r#"{"id":"a","nbest":["x"]}"#,
        "hypothesis 1 must be an object, found a string (write each hypothesis as {\"text\": ..., \"score\": ...})",
    ),
    (r#"{"id":"a","nbest":[{"text":"x"},null]}"#, "hypothesis 2 must be an object, found null"),
    (r#"{"id":"a","nbest":[{"text":"x"},{"score":-1}]}"#, "hypothesis 2: key \"text\" is missing"),
    (
        r#"{"id":"a","nbest":[{"text":null}]}"#,
        "hypothesis 1: key \"text\" must be a string, found null",
    ),
    (
        r#"{"id":"a","nbest":[{"text":"x","score":"-1"}]}"#,
        "hypothesis 1: key \"score\" must be a finite number or null, found a string (scores are log-probabilities",
    ),
    (
        r#"{"id":"a","nbest":[{"text":"x","am":true}]}"#,
        "hypothesis 1: key \"am\" must be a finite number or null, found a boolean",
    ),
    (
        r#"{"id":"a","nbest":[{"text":"x","lm":[]}]}"#,
        "hypothesis 1: key \"lm\" must be a finite number or null, found a list",
    ),
    (
        r#"{"id":"a","nbest":[{"text":"x","total":{}}]}"#,
        "hypothesis 1: key \"total\" must be a finite number or null, found an object",
    ),
    (
        r#"{"id":"a","nbest":[{"text":"x","score":NaN}]}"#,
        "number at column 40 is not finite (omit an unknown score, or write null)",
    ),
    (r#"{"id":"a","nbest":[{"text":"x","score":Infinity}]}"#, "number at column 40 is not finite"),
    (r#"{"id":"a","nbest":[{"text":"x","score":-Infinity}]}"#, "number at column 41 is not finite"),
    (r#"{"id":"a","nbest":[{"text":"x","score":1e999}]}"#, "number at column 44 is not finite"),
    (
        r#"{"id":"a","id":"b","nbest":[{"text":"x"}]}"#,
        "key \"id\" occurs twice in one object (column 14)",
    ),
    (r#"{"id":"a","nbest":[{"text":"x","text":"y"}]}"#, "key \"text\" occurs twice in one object"),
    (
        r#"{"id":"a","meta":{"k":1,"k":1},"nbest":[{"text":"x"}]}"#,
        "key \"k\" occurs twice in one object",
    ),
];

/// The valid lines before and after are read; the second item is the error.
fn middle_error(middle: &[u8]) -> NbestError {
    let bytes = [GOOD.as_bytes(), b"\n", middle, b"\n", GOOD.as_bytes(), b"\n"].concat();
    let mut items: Vec<_> = JsonLines::new(&bytes[..], "bad.jsonl").collect();
    assert_eq!(items.len(), 3, "{}", String::from_utf8_lossy(middle));
    assert!(items[0].is_ok() && items[2].is_ok(), "the lines around must be read");
    items.remove(1).expect_err("the line is bad")
}

fn check(line: &[u8], cause: &str) {
    let error = middle_error(line);
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("bad.jsonl:2: {cause}")),
        "{}\n  gave {text}",
        String::from_utf8_lossy(line)
    );
    assert!(!text.contains('\n'), "one line: {text:?}");
    assert_eq!(error.line(), Some(2));
    assert!(error.is_line());
}

#[test]
fn each_bad_line_is_reported_with_its_cause() {
    for (line, cause) in BAD {
        check(line.as_bytes(), cause);
    }
}

#[test]
fn bytes_that_are_not_utf8() {
    check(b"{\"id\":\"a\xff\"}", "byte 9 of the line is not UTF-8 (convert the file to UTF-8");
    check(b"\x89PNG\r", "byte 1 of the line is not UTF-8");
    let utf16: Vec<u8> =
        std::iter::once(0xfeff_u16).chain(GOOD.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let error = JsonLines::new(&utf16[..], "bad.jsonl").next().unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad.jsonl:1: byte 1 of the line is not UTF-8 (the file looks like UTF-16; convert it to UTF-8)"
    );
}

#[test]
fn lists_of_more_than_200() {
    let list = vec![r#"{"text":"x"}"#; 201].join(",");
    check(
        format!(r#"{{"id":"a","nbest":[{list}]}}"#).as_bytes(),
        "key \"nbest\" has 201 hypotheses, more than 200 (keep the best 200)",
    );
}

#[test]
fn nesting_without_end() {
    check("[".repeat(100_000).as_bytes(), "not valid JSON at column 128: recursion limit exceeded");
}

#[test]
fn a_pretty_printed_file_is_rejected_at_its_first_line() {
    let text = "{\n  \"id\": \"a\",\n  \"nbest\": [{\"text\": \"x\"}]\n}\n";
    let error = JsonLines::new(text.as_bytes(), "bad.jsonl").next().unwrap().unwrap_err();
    assert!(
        error.to_string().starts_with("bad.jsonl:1: ")
            && error.to_string().contains("one object over several lines"),
        "{error}"
    );
}
