//! Streams and lists at the limits of [`bounds`](crate::bounds), and beyond.

use std::io::{self, BufReader, Read};

use super::super::gzip::Members;
use super::super::{HeldLists, JsonLines, NbestError, Problem, write_jsonl};
use super::{GOOD, gzip, one, read};
use crate::bounds::{
    MAX_BLANK_BYTES, MAX_ID_BYTES, MAX_LINE_BYTES, MAX_SKIPPED_LINE_BYTES, MAX_TEXT_BYTES,
    MAX_TEXT_WORDS, MAX_UNKNOWN_KEYS,
};

/// Bytes that never end, and how many of them were read.
struct Endless<'a> {
    unit: &'a [u8],
    read: u64,
}

impl Read for &mut Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unit = self.unit;
        for (at, byte) in buffer.iter_mut().enumerate() {
            *byte = unit[(self.read as usize + at) % unit.len()];
        }
        self.read += buffer.len() as u64;
        Ok(buffer.len())
    }
}

fn endless(unit: &[u8]) -> Endless<'_> {
    Endless { unit, read: 0 }
}

#[test]
fn a_line_without_an_end_is_an_error_at_once_and_ends_the_reading_if_it_is_skipped() {
    let mut stream = endless(b"y");
    let mut lines = JsonLines::new(BufReader::new(&mut stream), "in");
    let error = lines.next().unwrap().unwrap_err();
    assert!(error.is_line() && error.to_string().starts_with("in:1: the line is longer than"));
    let error = lines.next().unwrap().unwrap_err();
    assert!(
        !error.is_line() && error.to_string().contains("the line has no end within"),
        "{error}"
    );
    assert!(lines.next().is_none());
    drop(lines);
    assert!(stream.read < 2 * MAX_SKIPPED_LINE_BYTES, "{}", stream.read);

    let mut stream = endless(b"y");
    let mut lines = JsonLines::new(BufReader::new(&mut stream), "in");
    assert!(lines.next().unwrap().is_err());
    drop(lines);
    assert!(stream.read < 2 * MAX_LINE_BYTES as u64, "{}", stream.read);
}

#[test]
fn blank_lines_without_end_are_an_error() {
    for unit in [&b"\n"[..], b" \n", b"\t \r\n", "\u{2003}\n".as_bytes()] {
        let mut stream = endless(unit);
        let all: Vec<_> = JsonLines::new(BufReader::new(&mut stream), "in").collect();
        let [Err(error @ NbestError::Stream { .. })] = &all[..] else { panic!("{all:?}") };
        assert!(error.to_string().contains("bytes of blank lines"), "{error}");
        assert!(stream.read < 2 * MAX_BLANK_BYTES, "{}", stream.read);
    }
    // Between lists, not in all.
    let blank = "\n".repeat(MAX_BLANK_BYTES as usize * 2 / 3);
    assert_eq!(read(format!("{blank}{GOOD}\n{blank}{GOOD}\n").as_bytes()).len(), 2);
}

#[test]
fn a_gzip_stream_that_expands_too_far_ends_the_reading() {
    let expand = |bytes: &[u8]| {
        let mut expanded = Vec::new();
        let ended = Members::with_free(bytes, 1 << 20).read_to_end(&mut expanded);
        (expanded.len(), ended.map_err(|error| error.to_string()).err())
    };
    let free = gzip(&vec![b'a'; 1 << 20]);
    assert_eq!(expand(&free), (1 << 20, None));
    for bomb in [gzip(&vec![b'a'; 4 << 20]), [&free[..], &free].concat()] {
        let (length, error) = expand(&bomb);
        assert!(error.is_some_and(|error| error.contains("more than 100 times its size")));
        assert!(length < (1 << 20) + (100 << 10), "{length}");
    }
    // Lists that are not repeated.
    let lists: String = (0..40_000)
        .map(|at: u32| format!("{{\"id\":\"{}\"}}\n", at.wrapping_mul(2_654_435_761)))
        .collect();
    let mut expanded = Vec::new();
    Members::with_free(&gzip(lists.as_bytes())[..], 0).read_to_end(&mut expanded).unwrap();
    assert!(expanded == lists.as_bytes());
}

#[test]
fn zeros_behind_gzip_data_are_padding_and_other_bytes_are_damage() {
    let whole = gzip(format!("{GOOD}\n").as_bytes());
    for padding in [1, 511, 100_000] {
        let all = read(&[&whole[..], &vec![0; padding]].concat());
        assert!(matches!(all[..], [Ok(_)]), "{padding}: {all:?}");
    }
    for rest in [&b"x"[..], b"\0\0x", &[&[0; 100][..], &whole[..]].concat(), &[0; 2 << 20]] {
        let all = read(&[&whole[..], rest].concat());
        assert!(matches!(all[..], [Ok(_), Err(NbestError::Stream { .. })]), "{all:?}");
    }
}

fn refusal(line: &str) -> Problem {
    match read(line.as_bytes()).remove(0) {
        Err(NbestError::Line { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn texts_ids_and_unknown_keys_have_limits() {
    let list = |id: &str, reference: &str, text: &str| {
        format!(
            r#"{{"id":"{id}","ref":"{reference}","nbest":[{{"text":"a"}},{{"text":"{text}"}}]}}"#
        )
    };
    let (long, words) = ("x".repeat(MAX_TEXT_BYTES), "a ".repeat(MAX_TEXT_WORDS));
    let id = "i".repeat(MAX_ID_BYTES);
    assert_eq!(one(&list(&id, &long, &words)).id, id);
    assert_eq!(one(&list(&id, &words, &long)).id, id);

    let bytes = MAX_TEXT_BYTES + 1;
    let place = |name: &str| name.to_owned();
    assert_eq!(
        refusal(&list("a", "", &format!("{long}x"))),
        Problem::LongText { place: place("hypothesis 2: key \"text\""), bytes }
    );
    assert_eq!(
        refusal(&list("a", &format!("{long}x"), "")),
        Problem::LongText { place: place("key \"ref\""), bytes }
    );
    assert_eq!(
        refusal(&list("a", &format!("{words}a"), "")),
        Problem::ManyWords { place: place("key \"ref\""), words: MAX_TEXT_WORDS + 1 }
    );
    assert_eq!(
        refusal(&list(&format!("{id}i"), "", "")),
        Problem::LongId { bytes: MAX_ID_BYTES + 1 }
    );

    let keys = |count: usize| (0..count).map(|at| format!(r#","k{at}":0"#)).collect::<String>();
    let outer = |count| format!(r#"{{"id":"a","nbest":[{{"text":"a"}}]{}}}"#, keys(count));
    let inner = |count| format!(r#"{{"id":"a","nbest":[{{"text":"a"{}}}]}}"#, keys(count));
    assert_eq!(one(&outer(MAX_UNKNOWN_KEYS)).extra.len(), MAX_UNKNOWN_KEYS);
    assert_eq!(one(&inner(MAX_UNKNOWN_KEYS)).hypotheses[0].extra.len(), MAX_UNKNOWN_KEYS);
    assert_eq!(
        refusal(&outer(MAX_UNKNOWN_KEYS + 1)),
        Problem::ManyKeys { place: place("the list") }
    );
    assert_eq!(
        refusal(&inner(MAX_UNKNOWN_KEYS + 1)),
        Problem::ManyKeys { place: place("hypothesis 1") }
    );
}

#[test]
fn unknown_values_keep_their_digits_order_and_escapes() {
    let line = concat!(
        r#"{"id":"a","nbest":[{"text":"x","post":0.1000000000000000055511}],"n":12345678901234567890123,"#,
        r#""z":{"b":1.50,"a":[1e5,-0,"\u00e9 \" "]},"s":"\u0041","t":true}"#
    );
    let mut out = Vec::new();
    write_jsonl(&mut out, &one(line)).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), format!("{line}\n"));
}

#[test]
fn unknown_values_are_checked_like_known_ones() {
    let with =
        |value: &str| refusal(&format!(r#"{{"id":"a","nbest":[{{"text":"x"}}],"k":{value}}}"#));
    for value in ["1e999", "[-1e999]", r#"{"x":[1e400]}"#] {
        assert!(matches!(with(value), Problem::NotFinite { .. }), "{value}");
    }
    for value in ["\"\\ud800\"", "[\"\\ud800\"]", "01", "[1,]", "nul", "\"\t\"", "{\"a\"}"] {
        assert!(matches!(with(value), Problem::Syntax { .. }), "{value}");
    }
    for value in [r#"{"a":1,"a":2}"#, r#"[{"b":{"c":1,"\u0063":2}}]"#] {
        assert!(matches!(with(value), Problem::DuplicateKey { .. }), "{value}");
    }
    let deep = "[".repeat(1000) + &"]".repeat(1000);
    assert!(
        matches!(with(&deep), Problem::Syntax { message, .. } if message == "recursion limit exceeded")
    );
    assert!(matches!(
        refusal(r#"{"id":"a","k":1,"nbest":[{"text":"x"}],"\u006b":2}"#),
        Problem::DuplicateKey { .. }
    ));
}

#[test]
fn a_large_unknown_value_needs_the_memory_of_its_text() {
    let zeros = vec!["0"; 500_000].join(",");
    let list = one(&format!(r#"{{"id":"a","nbest":[{{"text":"x"}}],"k":[{zeros}]}}"#));
    assert!(list.bytes() < 1_100_000, "{}", list.bytes());
    let mut without = list.clone();
    without.forget_unknown();
    assert!(without.bytes() < 1000, "{}", without.bytes());
    let mut held = HeldLists::new();
    held.push(list).unwrap();
    assert_eq!(held.into_lists().len(), 1);
}

#[test]
fn lists_that_are_needed_together_have_a_limit() {
    let bytes = one(GOOD).bytes() as u64;
    let mut held = HeldLists::with_limit(3 * bytes);
    (0..3).for_each(|_| held.push(one(GOOD)).unwrap());
    let refused = held.push(one(GOOD)).unwrap_err().to_string();
    assert!(
        refused.starts_with("utterance \"u1\": the lists up to this one need more"),
        "{refused}"
    );
    assert_eq!(held.into_lists().len(), 3);
}
