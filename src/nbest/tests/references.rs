//! References in a file of their own.

use super::super::{Note, OpenOptions, Opened, References, Source, Stream, Utterance, open};

const LISTS: &str = r#"{"id":"u1","ref":"old","nbest":[{"text":"a"}]}
{"id":"u2","ref":"kept","nbest":[{"text":"b"}]}
{"id":"u3","nbest":[{"text":"c"}]}
"#;

fn read(text: &'static str) -> Result<References, String> {
    References::read(Stream::new("refs", text.as_bytes())).map_err(|error| error.to_string())
}

fn opened(references: &References) -> Opened {
    let options = OpenOptions { references: Some(references.clone()), ..OpenOptions::default() };
    open(Source::stream("lists", LISTS.as_bytes()), None, options).unwrap()
}

fn texts(references: &References) -> Vec<Option<String>> {
    let lists = opened(references).lists.map(Result::unwrap);
    lists.map(|list: Utterance| list.reference).collect()
}

#[test]
fn every_format_takes_them() {
    let references = read("u3  two words \r\n\nu1 new\nu9 nine\nu8\n").unwrap();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(texts(&references), [some("new"), some("kept"), some("two words")]);
    let unused: Vec<_> = references.unused().into_iter().map(|r| (r.id, r.text)).collect();
    assert_eq!(unused, [("u8".into(), String::new()), ("u9".into(), "nine".into())]);
    let note = references.note().unwrap();
    assert_eq!(note.to_string(), r#"refs: 2 references have no list (the first: "u8")"#);
}

#[test]
fn several_sources_share_them() {
    let references = read("u1 x\nother y\n").unwrap();
    texts(&references);
    let more = Source::stream("more", &br#"{"id":"other","nbest":[{"text":"a"}]}"#[..]);
    let options = OpenOptions { references: Some(references.clone()), ..OpenOptions::default() };
    assert_eq!(open(more, None, options).unwrap().lists.count(), 1);
    assert_eq!((references.unused(), references.note()), (vec![], None));
}

#[test]
fn ids_that_never_match_are_shown_beside_those_of_the_lists() {
    let references = read("U1 x\nU2 y\n").unwrap();
    texts(&references);
    let note = references.note().unwrap();
    let Note::UnusedReferences { unmatched, count: 2, .. } = &note else { panic!("{note:?}") };
    assert_eq!(unmatched.as_deref(), Some("u1"));
    assert_eq!(
        note.to_string(),
        r#"refs: 2 references have no list (the first: "U1"), and no list has a reference (the first: "u1")"#
    );
}

#[test]
fn an_invalid_file_is_an_error() {
    let error = read("a x\na y\n").unwrap_err();
    assert!(error.starts_with("refs:2: \"a\" occurs twice in the references"), "{error}");
}
