//! NeMo's beams and icefall's transcripts.

use super::super::{
    MemoryFolder, NbestError, OpenOptions, Source, Stream, Utterance, format_by_name, open,
};

fn nemo(rows: &'static str, manifest: Option<&'static str>) -> Result<Vec<Utterance>, NbestError> {
    let manifest = manifest.map(|text| Stream::new("manifest", text.as_bytes()));
    let options = OpenOptions { manifest, ..OpenOptions::default() };
    open(Source::stream("rows", rows.as_bytes()), format_by_name("nemo"), options)?.lists.collect()
}

const MANIFEST: &str = concat!(
    r#"{"audio_filepath": "a.wav", "duration": 1.50, "text": "x y", "offset": 0}"#,
    "\n",
    r#"{"audio_filepath": "b.wav", "duration": 2}"#,
    "\n"
);

#[test]
fn rows_belong_to_the_lines_of_the_manifest() {
    let lists = nemo("x y\t-1.5\nx\t-2\n\t-0.25\nz\ttensor(-3.)\n", Some(MANIFEST)).unwrap();
    assert_eq!((lists[0].id.as_str(), lists[0].reference.as_deref()), ("a.wav", Some("x y")));
    assert_eq!(lists[0].extra.get("duration"), Some("1.50"), "numbers keep their digits");
    assert_eq!(lists[1].reference, None);
    let scores: Vec<_> = lists.iter().flat_map(|l| &l.hypotheses).map(|h| h.score).collect();
    assert_eq!(scores, [Some(-1.5), Some(-2.0), Some(-0.25), Some(-3.0)]);
    assert_eq!(lists[1].hypotheses[0].text, "");
}

#[test]
fn the_number_of_rows_is_never_guessed() {
    for (rows, manifest, cause) in [
        ("a\t-1\nb\t-2\nc\t-3\n", Some(MANIFEST), "rows: 3 rows do not divide by the 2 lines"),
        ("", Some(MANIFEST), "rows: 0 rows do not divide"),
        ("a\t-1\n", Some(""), "rows: 1 rows do not divide by the 0 lines"),
        ("a\t-1\n", None, "rows: the utterances are not known: there is no manifest"),
        ("a -1\nb\t-1\n", Some(MANIFEST), "rows:1: the line is not a text, a tab and a score"),
        ("a\tx\nb\t-1\n", Some(MANIFEST), "rows:1: score of \"a\" is not a finite number"),
        ("a\t-1\n", Some("{}\n"), "manifest:1: key \"audio_filepath\" is missing"),
        ("a\t-1\n", Some("[]\n"), "manifest:1: the line is not an object"),
        (
            "a\t-1\n",
            Some("{\"audio_filepath\": 1}\n"),
            "manifest:1: the line is not an object with strings",
        ),
    ] {
        let error = nemo(rows, manifest).unwrap_err().to_string();
        assert!(error.starts_with(cause), "{error}");
    }
    let folder = MemoryFolder::new("in")
        .with("a.tsv", &b"a\t-1\n"[..])
        .with("b.tsv", &b"a\t-1\n"[..])
        .with("manifest.json", MANIFEST.as_bytes());
    let opened = open(Source::folder(folder), format_by_name("nemo"), OpenOptions::default());
    let error = opened.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with("in: has several files that end with .tsv"), "{error}");
}

#[test]
fn an_invalid_row_does_not_shift_the_others() {
    let manifest = Some(Stream::new("manifest", MANIFEST.as_bytes()));
    let options = OpenOptions { manifest, ..OpenOptions::default() };
    let rows = Source::stream("rows", &b"a\t-1\nbad\nc\t-3\nd\t-4\n"[..]);
    let lists = open(rows, format_by_name("nemo"), options).unwrap().lists;
    let lists: Vec<_> = lists.flatten().collect();
    let counts: Vec<_> = lists.iter().map(|list| list.hypotheses.len()).collect();
    assert_eq!(counts, [1, 2]);
}

fn icefall(text: &'static str) -> Vec<Result<Utterance, NbestError>> {
    open(Source::stream("in", text.as_bytes()), format_by_name("icefall"), OpenOptions::default())
        .unwrap()
        .lists
        .collect()
}

#[test]
fn python_lists_and_plain_texts_are_read() {
    let text = concat!(
        "u:1:\tref=['A', \"ISN'T\", 'q\"\\'', 'caf\\xe9', '\\u4f60', 'b\\\\s']\n",
        "u:1:\thyp=[]\n",
        "u2:\tref=HELLO WORLD\n",
        "u2:\thyp=\n",
        "u3:\thyp=['A']\n",
        "u3:\ttimestamp_hyp=[0.120, 0.5]\n",
        "u3:\tref=['B']\n",
        "u3:\thyp=['B']\n",
    );
    let lists: Vec<_> = icefall(text).into_iter().map(Result::unwrap).collect();
    let found: Vec<_> = lists
        .iter()
        .map(|list| (list.id.as_str(), list.reference.as_deref(), list.hypotheses[0].text.as_str()))
        .collect();
    let expected = [
        ("u:1", Some("A ISN'T q\"' café 你 b\\s"), ""),
        ("u2", Some("HELLO WORLD"), ""),
        ("u3", None, "A"),
        // A second reference begins another list.
        ("u3", Some("B"), "B"),
    ];
    assert_eq!(found, expected);
    assert_eq!(lists[2].hypotheses[0].extra.get("timestamp_hyp"), Some("[0.120,0.5]"));
}

#[test]
fn bad_lines_are_errors_that_lose_no_other_list() {
    let text = concat!(
        "a:\tref=['x']\na:\thyp=['x']\n",
        "b:\tref=['x'\n",
        "b:\thyp=['y']\n",
        "no line\n",
        "c:\tref=['z']\n",
        "d:\thyp=['z']\n",
    );
    let (mut ids, mut errors) = (Vec::new(), Vec::new());
    for item in icefall(text) {
        match item {
            Ok(list) => ids.push(list.id),
            Err(error) => errors.push(error.to_string()),
        }
    }
    assert_eq!(ids, ["a", "b", "d"]);
    let expected = [
        "in:3: the line is not a list of strings as Python prints it",
        "in:5: the line is not an id",
        "in:6: \"c\" has no hypothesis",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for (error, start) in errors.iter().zip(expected) {
        assert!(error.starts_with(start), "{error}");
    }
}
