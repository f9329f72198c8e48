//! What every format of the registry must do, on its own example.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::super::{
    Hypothesis, MemoryFiles, MemoryFolder, NbestError, Note, OpenOptions, Opened, Source,
    Utterance, WRITTEN_FORMATS, WriteError, WrittenFormat, open,
};
use super::fuzz::mutate;
use super::{GOOD, gzip};

type Files = Vec<(String, Vec<u8>)>;

fn example(format: &dyn WrittenFormat) -> Files {
    format
        .example()
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect()
}

fn source(files: &Files) -> Source {
    match &files[..] {
        [(path, bytes)] if path.is_empty() => {
            Source::stream("in", std::io::Cursor::new(bytes.clone()))
        }
        files => {
            let folder = MemoryFolder::new("in");
            let add = |folder: MemoryFolder, (path, bytes): &(String, Vec<u8>)| {
                folder.with(path, bytes.as_slice())
            };
            Source::folder(files.iter().fold(folder, add))
        }
    }
}

fn detect(files: &Files) -> Result<Opened, NbestError> {
    open(source(files), None, OpenOptions::default())
}

fn read(files: &Files) -> Vec<Utterance> {
    detect(files).unwrap().lists.map(Result::unwrap).collect()
}

#[test]
fn names_are_unique_and_do_not_collide_with_auto() {
    let names: BTreeSet<&str> = WRITTEN_FORMATS.iter().map(|format| format.name()).collect();
    assert_eq!(names.len(), WRITTEN_FORMATS.len());
    assert!(!names.contains("auto"));
    for format in WRITTEN_FORMATS {
        assert!(!format.doc().is_empty() && !format.doc().ends_with('.'), "{}", format.name());
        let is_folder = !format.example()[0].0.is_empty();
        assert_eq!(format.layout().is_some(), is_folder, "{}", format.name());
    }
}

#[test]
fn each_example_is_detected_and_read() {
    for &format in WRITTEN_FORMATS {
        let files = example(format);
        let opened = detect(&files).unwrap();
        assert_eq!(opened.format.name(), format.name());
        assert!(opened.detected);
        let lists = read(&files);
        assert!(lists.len() > 1, "{format:?}: the example should hold several lists");
        assert!(lists.iter().any(|u| u.hypotheses.len() > 1), "{format:?}");
        // Named, it gives the same.
        let named = open(source(&files), Some(format), OpenOptions::default()).unwrap();
        assert!(!named.detected);
        assert_eq!(named.lists.map(Result::unwrap).collect::<Vec<_>>(), lists);
    }
}

#[test]
fn gzip_changes_nothing() {
    for &format in WRITTEN_FORMATS {
        let plain = example(format);
        let packed = plain.iter().map(|(path, bytes)| (path.clone(), gzip(bytes))).collect();
        assert_eq!(detect(&packed).unwrap().format.name(), format.name());
        assert_eq!(read(&packed), read(&plain));
    }
}

#[test]
fn the_wrong_kind_of_source_is_refused() {
    let one_kind = |format: &&&dyn WrittenFormat| {
        format.layout().is_none() || format.stream_writer().is_none()
    };
    for &format in WRITTEN_FORMATS.iter().filter(one_kind) {
        let (other, expected) = if format.layout().is_some() {
            (vec![(String::new(), GOOD.as_bytes().to_vec())], "in: is a file; the format ")
        } else {
            (vec![("a".to_owned(), GOOD.as_bytes().to_vec())], "in: is a folder; the format ")
        };
        let opened = open(source(&other), Some(format), OpenOptions::default());
        let error = opened.map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected) && error.contains(format.name()), "{error}");
    }
}

/// The files of these lists in a format, and its notes.
fn written(
    format: &dyn WrittenFormat,
    lists: &[Utterance],
) -> Result<(Files, Vec<Note>), WriteError> {
    let mut writer = format.writer();
    let mut sink = MemoryFiles::default();
    for list in lists {
        writer.write(list, &mut sink)?;
    }
    let notes = writer.finish(&mut sink)?;
    Ok((sink.files.into_iter().collect(), notes))
}

#[test]
fn each_example_is_read_and_written_without_loss() {
    let mut formats = 0;
    for &format in WRITTEN_FORMATS {
        let lists = read(&example(format));
        let (files, notes) = written(format, &lists).unwrap();
        assert_eq!(notes, [], "{format:?}: an example has only what the format has a place for");
        assert_eq!(files[0].0.is_empty(), format.layout().is_none(), "{format:?}");
        assert_eq!(detect(&files).unwrap().format.name(), format.name());
        assert_eq!(read(&files), lists, "{format:?}");
        // What was read once does not change any more.
        assert_eq!(written(format, &read(&files)).unwrap().0, files, "{format:?}");
        formats += 1;
    }
    assert!(formats > 1);
}

/// Lists with everything that a list can have.
fn rich() -> Vec<Utterance> {
    let lines = concat!(
        r#"{"id":"u1","ref":"a b","nbest":[{"text":"a b","score":-1.5,"am":-1,"lm":-3,"total":-2,"first_lm":-0.5,"#,
        r#""scores":{"ctc":-0.25},"words":2},{"text":"a","score":-2}],"speaker":"s1"}"#,
        "\n",
        r#"{"id":"u2","nbest":[{"text":""}]}"#,
        "\n"
    );
    read(&vec![(String::new(), lines.as_bytes().to_vec())])
}

#[test]
fn what_is_not_written_is_reported() {
    for &format in WRITTEN_FORMATS {
        let lists = rich();
        let Ok((files, notes)) = written(format, &lists) else {
            // It refuses what it cannot represent.
            continue;
        };
        let again = read(&files);
        let texts = |lists: &[Utterance]| -> Vec<(String, Vec<String>)> {
            let texts = |list: &Utterance| list.hypotheses.iter().map(|h| h.text.clone()).collect();
            lists.iter().map(|list| (list.id.clone(), texts(list))).collect()
        };
        assert_eq!(texts(&again), texts(&lists), "{format:?}");
        match &notes[..] {
            // Its scores become probabilities, which are rounded, and stay as keys.
            [] if format.name() == "web-speech" => {}
            [] => assert_eq!(again, lists, "{format:?}"),
            [Note::Omitted { omitted, .. }] => assert!(omitted.iter().count() > 0),
            notes => panic!("{format:?}: {notes:?}"),
        }
    }
}

#[test]
fn scores_that_are_not_finite_are_refused() {
    for &format in WRITTEN_FORMATS {
        let nan = Hypothesis::new("a", Some(f64::NAN));
        let list = Utterance::new("u", Some("a".into()), vec![nan]);
        let error = written(format, &[list]).unwrap_err().to_string();
        let expected = format!(
            "utterance \"u\": hypothesis 1: score is NaN, which {} cannot represent",
            format.name()
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn damaged_examples_never_panic_and_errors_name_the_file() {
    let mut rng = ChaCha8Rng::seed_from_u64(23);
    for &format in WRITTEN_FORMATS {
        let (mut accepted, mut refused) = (0, 0);
        for round in 0..10_000 {
            let mut files = example(format);
            for (_, bytes) in &mut files {
                mutate(&mut rng, bytes);
                if round % 4 == 0 {
                    *bytes = gzip(bytes);
                }
            }
            let opened = open(source(&files), Some(format), OpenOptions::default());
            let Ok(opened) = opened else { continue };
            for item in opened.lists {
                match item {
                    Ok(utterance) => {
                        assert!(!utterance.id.is_empty() && !utterance.hypotheses.is_empty());
                        accepted += 1;
                    }
                    Err(error) => {
                        let text = error.to_string();
                        assert!(
                            (text.starts_with("in:") || text.starts_with("in/"))
                                && !text.contains('\n'),
                            "{text}"
                        );
                        refused += 1;
                    }
                }
            }
        }
        assert!(accepted > 1000 && refused > 1000, "{format:?}: {accepted} {refused}");
    }
}

#[test]
fn what_no_format_recognises() {
    // A stream is read as JSON lines, whose errors say what is wrong with it.
    let text = vec![(String::new(), b"u1 hello\n".to_vec())];
    let opened = detect(&text).unwrap();
    assert_eq!(opened.format.name(), "jsonl");
    let error = opened.lists.map(Result::unwrap_err).next().unwrap().to_string();
    assert!(error.starts_with("in:1: not valid JSON"), "{error}");
    let folder = vec![("notes.txt".to_owned(), Vec::new()), ("sub/a".to_owned(), Vec::new())];
    let error = detect(&folder).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.starts_with("in: no N-best lists found; expected a file, or a folder"),
        "{error}"
    );
}

#[test]
fn detection_takes_nothing_from_the_stream() {
    let line = format!("{GOOD}\n");
    // Longer than what detection looks at.
    let text = line.repeat(1000).into_bytes();
    for bytes in [text.clone(), gzip(&text)] {
        assert_eq!(read(&vec![(String::new(), bytes)]).len(), 1000);
    }
    // A byte order mark and blank lines before the first list.
    let marked = [b"\xef\xbb\xbf\n \n".as_slice(), line.as_bytes()].concat();
    assert_eq!(read(&vec![(String::new(), marked)]).len(), 1);
    assert_eq!(read(&vec![(String::new(), Vec::new())]).len(), 0);
}

#[test]
fn a_failure_while_looking_is_reported_by_the_reader() {
    let packed = gzip(format!("{GOOD}\n").repeat(500).as_bytes());
    let cut = vec![(String::new(), packed[..packed.len() / 2].to_vec())];
    let failures: Vec<_> = detect(&cut).unwrap().lists.filter_map(Result::err).collect();
    assert!(matches!(failures[..], [NbestError::Stream { .. }]), "{failures:?}");
    struct Broken(usize);
    impl std::io::Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            if self.0 > 1 {
                return Err(std::io::Error::other("the disk is on fire"));
            }
            let line = format!("{GOOD}\n");
            buffer[..line.len()].copy_from_slice(line.as_bytes());
            Ok(line.len())
        }
    }
    let source = Source::stream("in", std::io::BufReader::new(Broken(0)));
    let items: Vec<_> = open(source, None, OpenOptions::default()).unwrap().lists.collect();
    assert!(items[0].is_ok());
    let error = items[1].as_ref().unwrap_err().to_string();
    assert_eq!(error, "in: cannot be read after line 1: the disk is on fire");
    assert_eq!(items.len(), 2);
}
