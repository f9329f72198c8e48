//! Streams: plain, gzip, in pieces, truncated.

use std::io::{self, BufReader, Read};

use super::super::lines::Lines;
use super::super::{JsonLines, NbestError, Problem};
use super::{GOOD, dribble, gzip, read};

fn ids(bytes: &[u8]) -> Vec<String> {
    read(bytes).into_iter().map(|u| u.unwrap().id).collect()
}

fn line(id: &str) -> String {
    format!("{{\"id\":\"{id}\",\"nbest\":[{{\"text\":\"a\"}}]}}\n")
}

#[test]
fn an_empty_stream_has_no_lines() {
    assert!(read(b"").is_empty());
    assert!(read(b"\n\n  \r\n\t\n").is_empty());
    assert!(read(&gzip(b"")).is_empty());
}

#[test]
fn blank_lines_are_skipped_but_count() {
    let text = format!("\n{}\r\n \n{}oops", line("a").trim(), line("b"));
    let all = read(text.as_bytes());
    assert_eq!(all.len(), 3);
    assert_eq!(all[2].as_ref().unwrap_err().line(), Some(5));
}

#[test]
fn a_byte_order_mark_is_skipped_only_at_the_start() {
    let text = format!("\u{feff}{}", line("a"));
    assert_eq!(ids(text.as_bytes()), ["a"]);
    assert_eq!(ids(&gzip(text.as_bytes())), ["a"]);
    assert!(read("\u{feff}".as_bytes()).is_empty());
    let text = format!("{}\u{feff}{}", line("a"), line("b"));
    assert!(read(text.as_bytes())[1].is_err());
}

#[test]
fn gzip_of_several_members_in_pieces() {
    // The second member starts in the middle of a line.
    let (first, second) = (line("a") + &line("b")[..7], line("b")[7..].to_owned() + &line("c"));
    let bytes = [gzip(first.as_bytes()), gzip(b""), gzip(second.as_bytes())].concat();
    assert_eq!(ids(&bytes), ["a", "b", "c"]);
    let dribbled: Vec<_> = JsonLines::new(dribble(&bytes), "in").map(|u| u.unwrap().id).collect();
    assert_eq!(dribbled, ["a", "b", "c"]);
}

#[test]
fn a_plain_stream_in_pieces() {
    let text = line("a") + &line("b");
    let dribbled: Vec<_> =
        JsonLines::new(dribble(text.as_bytes()), "in").map(|u| u.unwrap().id).collect();
    assert_eq!(dribbled, ["a", "b"]);
}

#[test]
fn truncated_gzip_is_one_error_at_the_end() {
    let whole = gzip((line("a") + &line("b")).as_bytes());
    let next = gzip(line("c").as_bytes());
    for cut in 2..whole.len() {
        let mut reader = JsonLines::new(&whole[..cut], "in.gz");
        let mut last = None;
        for item in reader.by_ref() {
            assert!(!matches!(last, Some(Err(_))), "something came after the error, cut at {cut}");
            last = Some(item);
        }
        let error = last.expect("an error").expect_err("truncated");
        assert!(matches!(error, NbestError::Stream { .. }), "{error}");
        assert!(error.to_string().contains("gzip data truncated after line"), "{error}");
        assert!(reader.next().is_none());
    }
    for cut in 1..next.len() {
        let bytes = [&whole, &next[..cut]].concat();
        let all = read(&bytes);
        assert!(
            all.len() >= 3 && all[..2].iter().all(Result::is_ok),
            "cut at {cut} of the second member"
        );
        assert!(matches!(all.last(), Some(Err(NbestError::Stream { .. }))));
    }
}

#[test]
fn gzip_with_a_wrong_checksum_is_damaged() {
    let mut bytes = gzip(line("a").as_bytes());
    let at = bytes.len() - 6;
    bytes[at] ^= 1;
    let error = read(&bytes).pop().unwrap().unwrap_err();
    assert!(error.to_string().contains("gzip data damaged"), "{error}");
}

#[test]
fn reading_continues_after_a_bad_line() {
    let mut bytes = line("a").into_bytes();
    bytes.extend_from_slice(b"\xff\xfe oops\n{\n[]\n");
    bytes.extend_from_slice(line("b").as_bytes());
    let all = read(&bytes);
    let good: Vec<_> = all.iter().filter_map(|r| r.as_ref().ok()).map(|u| u.id.as_str()).collect();
    let bad: Vec<_> =
        all.iter().filter_map(|r| r.as_ref().err()).map(|e| e.line().unwrap()).collect();
    assert_eq!(good, ["a", "b"]);
    assert_eq!(bad, [2, 3, 4]);
}

#[test]
fn a_line_over_the_limit_is_skipped_in_bounded_memory() {
    let text = format!("short\n{}\nshort again\n{}", "x".repeat(100), "y".repeat(21));
    for capacity in [1, 7, 1000] {
        let mut lines =
            Lines::with_limit(BufReader::with_capacity(capacity, text.as_bytes()), "in", 20);
        assert_eq!(lines.next_line().unwrap().unwrap(), (1, "short"));
        let error = lines.next_line().unwrap().unwrap_err();
        assert!(
            matches!(
                error,
                NbestError::Line { line: 2, problem: Problem::TooLong { limit: 20 }, .. }
            ),
            "{error}"
        );
        assert_eq!(lines.next_line().unwrap().unwrap(), (3, "short again"));
        assert_eq!(lines.next_line().unwrap().unwrap_err().line(), Some(4));
        assert!(lines.next_line().is_none());
    }
}

#[test]
fn a_gzip_bomb_without_line_ends_is_one_error() {
    let bytes = gzip(&vec![b' '; crate::bounds::MAX_LINE_BYTES + 1]);
    assert!(bytes.len() < 1 << 20);
    let all = read(&bytes);
    assert_eq!(all.len(), 1);
    let text = all[0].as_ref().unwrap_err().to_string();
    assert!(text.contains("in:1: the line is longer than 2097152 bytes"), "{text}");
}

/// Fails after its bytes are used up.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(io::Error::other("the disk went away")),
            count => Ok(count),
        }
    }
}

#[test]
fn a_stream_that_fails_ends_the_reading() {
    let text = format!("{GOOD}\n{}", &GOOD[..20]);
    let mut reader = JsonLines::new(BufReader::new(Failing(text.as_bytes())), "in");
    assert!(reader.next().unwrap().is_ok());
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "in: cannot be read after line 1: the disk went away");
    assert!(reader.next().is_none());
    let mut reader = JsonLines::new(BufReader::new(Failing(b"")), "in");
    assert!(reader.next().unwrap().is_err());
    assert!(reader.next().is_none());
}
