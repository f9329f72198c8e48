//! Random lists, written in each format and read again.

use std::io::Cursor;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::super::{
    Field, Hypothesis, ListWriter, MemoryFiles, MemoryFolder, Note, OpenOptions, Parts, Source,
    Utterance, WRITTEN_FORMATS, WrittenFormat, open,
};

const WORDS: [&str; 8] =
    ["turn", "on", "it's", "straße", "你好", "\"quoted\"", "back\\slash", "a-1"];

fn below(rng: &mut ChaCha8Rng, limit: u32) -> usize {
    (rng.next_u32() % limit) as usize
}

fn text(rng: &mut ChaCha8Rng) -> String {
    let count = below(rng, 6);
    (0..count).map(|_| WORDS[below(rng, 8)]).collect::<Vec<_>>().join(" ")
}

fn number(rng: &mut ChaCha8Rng) -> f64 {
    match below(rng, 4) {
        0 => -f64::from(rng.next_u32()) / 7.0,
        1 => f64::from(rng.next_u32() % 100) - 50.0,
        2 => -1e-300,
        _ => 0.0,
    }
}

/// A list with what every format has a place for, or, if `rich`, with everything.
fn list(rng: &mut ChaCha8Rng, at: usize, rich: bool) -> Utterance {
    let hypothesis = |rng: &mut ChaCha8Rng| {
        let mut hypothesis = Hypothesis::new(text(rng), Some(number(rng)));
        if rich {
            hypothesis.score = hypothesis.score.filter(|_| below(rng, 3) > 0);
            let names = ["am", "lm", "graph", "ctc"];
            let given = names.into_iter().filter(|_| below(rng, 2) == 0).collect::<Vec<_>>();
            hypothesis.parts = given.into_iter().map(|name| (name, number(rng))).collect::<Parts>();
            if below(rng, 2) == 0 {
                (hypothesis.lm, hypothesis.total) = (Some(number(rng)), Some(number(rng)));
            }
        }
        hypothesis
    };
    let hypotheses = (0..3).map(|_| hypothesis(rng)).collect();
    let reference = (!rich || below(rng, 2) == 0).then(|| text(rng));
    Utterance::new(format!("utt-{at}"), reference, hypotheses)
}

fn written(
    mut writer: Box<dyn ListWriter>,
    lists: &[Utterance],
) -> Result<(Source, Vec<Note>), String> {
    let mut sink = MemoryFiles::default();
    for list in lists {
        writer.write(list, &mut sink).map_err(|error| error.to_string())?;
    }
    let notes = writer.finish(&mut sink).map_err(|error| error.to_string())?;
    let mut files = sink.files;
    let source = match files.remove("") {
        Some(bytes) => Source::stream("in", Cursor::new(bytes)),
        None => {
            let folder = MemoryFolder::new("in");
            Source::folder(
                files.into_iter().fold(folder, |folder, (path, bytes)| folder.with(path, bytes)),
            )
        }
    };
    Ok((source, notes))
}

fn read(source: Source, format: &'static dyn WrittenFormat) -> Vec<Utterance> {
    let opened = open(source, None, OpenOptions::default()).unwrap();
    assert_eq!(opened.format.name(), format.name(), "detected");
    opened.lists.map(Result::unwrap).collect()
}

#[test]
fn scores_and_texts_survive_every_format_that_accepts_them() {
    let mut rng = ChaCha8Rng::seed_from_u64(61);
    for &format in WRITTEN_FORMATS {
        let mut accepted = 0;
        for round in 0..300 {
            let lists: Vec<_> = (0..3).map(|at| list(&mut rng, at, round % 2 == 1)).collect();
            let writer = format.writer();
            let Ok((source, notes)) = written(writer, &lists) else { continue };
            accepted += 1;
            let again = read(source, format);
            assert_eq!(again.len(), lists.len(), "{format:?}");
            let omitted = |field: Field| {
                notes.iter().any(|note| match note {
                    Note::Omitted { omitted, .. } => {
                        omitted.iter().any(|(other, _)| other == field)
                    }
                    _ => false,
                })
            };
            for (list, again) in lists.iter().zip(&again) {
                assert_eq!(list.id, again.id, "{format:?}");
                assert_eq!(list.hypotheses.len(), again.hypotheses.len(), "{format:?}");
                if !omitted(Field::Reference) {
                    assert_eq!(list.reference, again.reference, "{format:?}");
                }
                for (old, new) in list.hypotheses.iter().zip(&again.hypotheses) {
                    assert_eq!(old.text, new.text, "{format:?}");
                    if !omitted(Field::Part) {
                        assert_eq!(old.parts, new.parts, "{format:?}");
                    }
                    // A format may derive a score from the parts, but never changes one.
                    if let Some(score) = old.score.filter(|_| !omitted(Field::Score)) {
                        assert_eq!(new.score, Some(score), "{format:?}");
                    }
                    if !omitted(Field::Lm) && !omitted(Field::Score) {
                        assert_eq!(old.lm, new.lm, "{format:?}");
                    }
                    if !omitted(Field::Total) && !omitted(Field::Score) && new.lm.is_some() {
                        assert_eq!(old.total, new.total, "{format:?}");
                    }
                }
            }
        }
        assert!(accepted > 20, "{format:?}: {accepted}");
    }
}
