//! Splitting a stream of JSON into lists.

use std::io::{self, BufReader, Read};

use super::super::items::{Items, Layout};
use super::super::strict;
use super::super::{NbestError, Problem};
use super::{dribble, gzip};

/// Texts with their keys, or errors with their lines.
fn split(bytes: &[u8], layout: Layout) -> Vec<Result<String, String>> {
    let read = |mut items: Items<Box<dyn std::io::BufRead + '_>>| {
        let mut all = Vec::new();
        while let Some(item) = items.next_item() {
            all.push(match item {
                Ok(item) => {
                    let key = item.key.map(|key| format!("{key}=")).unwrap_or_default();
                    Ok(format!("{key}{}", item.text))
                }
                Err(error) => Err(error.to_string()),
            });
        }
        assert!(items.next_item().is_none(), "it ends once");
        all
    };
    let whole = read(Items::new(Box::new(bytes), "in", layout));
    assert_eq!(read(Items::new(Box::new(dribble(bytes)), "in", layout)), whole);
    let packed = gzip(bytes);
    assert_eq!(read(Items::new(Box::new(&packed[..]), "in", layout)), whole);
    whole
}

fn good(bytes: &[u8], layout: Layout) -> Vec<String> {
    split(bytes, layout).into_iter().map(Result::unwrap).collect()
}

#[test]
fn values_stand_on_lines_over_lines_or_in_a_list() {
    for text in [
        "{\"a\":1}\n{\"b\":[2]}\n",
        "\u{feff}{\"a\":1}{\"b\":[2]}",
        "[{\"a\":1},{\"b\":[2]}]",
        " [ {\"a\":1}\n , {\"b\":[2]} ] \n",
        "[{\"a\":1}]\n[]\n[{\"b\":[2]}]",
    ] {
        assert_eq!(good(text.as_bytes(), Layout::Values), ["{\"a\":1}", "{\"b\":[2]}"], "{text}");
    }
    let pretty = "{\n  \"a\" : \"x{}[]\\\"\",\r\n  \"b\" : [\n1,\n{}]\n}\n{\n}";
    let expected = ["{   \"a\" : \"x{}[]\\\"\",\r   \"b\" : [ 1, {}] }", "{ }"];
    assert_eq!(good(pretty.as_bytes(), Layout::Values), expected);
    assert_eq!(good(b"[1]\n[2,3]", Layout::Whole), ["[1]", "[2,3]"]);
    assert!(good(b" \n", Layout::Values).is_empty() && good(b"", Layout::Members).is_empty());
}

#[test]
fn members_have_keys_and_lists_may_be_under_a_key() {
    let object = "{\n \"u\\u0031\": {\"x\": 1},\n \"u2\": [2]\n}";
    assert_eq!(good(object.as_bytes(), Layout::Members), ["u1={\"x\": 1}", "u2=[2]"]);
    let answer = r#"{"id":7,"results":[{"a":1},{"b":2}],"total":"15s"} {"results":[]}"#;
    assert_eq!(good(answer.as_bytes(), Layout::Under("results")), ["{\"a\":1}", "{\"b\":2}"]);
}

#[test]
fn a_truncated_line_does_not_take_the_next_one_with_it() {
    let text = "{\"a\":\"x\n{\"b\":2}\n{\"c\":[3\n{\"d\":4}\nnonsense {\n{\"e\":5}";
    let all = good(text.as_bytes(), Layout::Values);
    assert_eq!(
        all,
        ["{\"a\":\"x", "{\"b\":2}", "{\"c\":[3 ", "{\"d\":4}", "nonsense {", "{\"e\":5}"]
    );
}

#[test]
fn a_file_that_breaks_off_or_has_no_separators_ends_the_reading() {
    for (text, layout, expected) in [
        ("[{\"a\":1},\n", Layout::Values, "in:2: not valid JSON at column 1: the file ends within"),
        (
            "[{\"a\":1}\n{\"b\":2}]",
            Layout::Values,
            "in:2: not valid JSON at column 1: expected `,`",
        ),
        ("{\"u1\":{} x", Layout::Members, "in:1: not valid JSON at column 10: expected `,`"),
        (
            "{\"u1\":{},\n  7:{}}",
            Layout::Members,
            "in:2: not valid JSON at column 3: expected a key",
        ),
        ("{\"u1\" {}}", Layout::Members, "in:1: not valid JSON at column 7: expected `:`"),
    ] {
        let all = split(text.as_bytes(), layout);
        let error = all.last().unwrap().as_ref().unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_list_beyond_the_limit_is_skipped_in_bounded_memory() {
    let long = "x".repeat(100);
    for (text, layout) in [
        (format!("[{{\"a\":1}},\n{{\"b\":\"{long}\"}},{{\"c\":3}}]"), Layout::Values),
        (format!("{{\"a\":1}}\n{{\"b\":\n\"{long}\"}}\n{{\"c\":3}}"), Layout::Values),
    ] {
        let mut items = Items::with_limit(text.as_bytes(), "in", layout, 20);
        assert_eq!(items.next_item().unwrap().unwrap().text, "{\"a\":1}");
        let error = items.next_item().unwrap().err().unwrap();
        assert!(matches!(
            error,
            NbestError::Line { line: 2, problem: Problem::LongItem { limit: 20 }, .. }
        ));
        assert_eq!(items.next_item().unwrap().unwrap().text, "{\"c\":3}");
        assert!(items.next_item().is_none());
    }
    let endless = BufReader::new(b"[{\"a\":\"".chain(io::repeat(b'x')));
    let mut items = Items::new(endless, "in", Layout::Values);
    let error = items.next_item().unwrap().err().unwrap().to_string();
    assert!(error.contains("a list has no end within"), "{error}");
    assert!(items.next_item().is_none());
}

#[test]
fn problems_are_located_in_the_file() {
    let text = "\n  {\n  \"a\": 1,\n  \"b\": NaN\n}  {\"c\":1,\"c\":2}";
    let mut items = Items::new(text.as_bytes(), "in", Layout::Values);
    let mut places = Vec::new();
    while let Some(item) = items.next_item() {
        let item = item.unwrap();
        places.push(item.locate(strict::check(item.text).unwrap_err()));
    }
    assert_eq!(places[0], (4, Problem::NotFinite { column: 8 }));
    assert_eq!(places[1], (5, Problem::DuplicateKey { key: "c".into(), column: 13 }));
}
