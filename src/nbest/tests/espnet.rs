//! ESPnet's per-rank files.

use super::super::{
    Hypothesis, ListReader, MemoryFolder, NbestError, Note, OpenOptions, References, Source,
    Stream, Utterance, format_by_name, open,
};
use super::gzip;

/// A rank, its `text` and its `score`.
type Rank<'a> = (usize, &'a [u8], Option<&'a [u8]>);

/// A folder with a shard for each entry, in this order. Errors call its first text
/// `in/output.0/1best_recog/text`.
fn folder(ranks: &[Rank<'_>]) -> MemoryFolder {
    let mut folder = MemoryFolder::new("in");
    for (shard, (rank, text, score)) in ranks.iter().enumerate() {
        let path = format!("output.{shard}/{rank}best_recog");
        folder = folder.with(format!("{path}/text"), *text);
        if let Some(score) = score {
            folder = folder.with(format!("{path}/score"), *score);
        }
    }
    folder
}

fn reader(
    folder: MemoryFolder,
    references: Option<&'static str>,
) -> Result<Box<dyn ListReader>, NbestError> {
    let references = match references {
        Some(text) => Some(References::read(Stream::new("refs", text.as_bytes()))?),
        None => None,
    };
    let espnet = format_by_name("espnet");
    Ok(open(Source::folder(folder), espnet, OpenOptions { references, ..OpenOptions::default() })?
        .lists)
}

fn strict(
    ranks: &[Rank<'_>],
    references: Option<&'static str>,
) -> Result<Vec<Utterance>, NbestError> {
    reader(folder(ranks), references)?.collect()
}

fn refusal(ranks: &[Rank<'_>], references: Option<&'static str>) -> String {
    strict(ranks, references).unwrap_err().to_string()
}

#[test]
fn merges_ranks_shards_and_references() {
    let ranks: [Rank<'_>; 4] = [
        (10, b"u1 A B D\n", Some(b"u1 tensor(-9.0)\n")),
        (1, b"u1 A B C\nu2\n", Some(b"u1 tensor(-4.0636)\nu2 tensor(-1.2e+01)\n")),
        (2, b"u2 X\tY\n", Some(b"u2 -13\n")),
        (1, "\nu3   É  f \n".as_bytes(), None),
    ];
    let mut reader = reader(folder(&ranks), Some("u1 A B C\nu3\n")).unwrap();
    let utterances: Vec<Utterance> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(reader.take_notes(), []);
    let ids: Vec<_> = utterances.iter().map(|u| (u.id.as_str(), u.reference.as_deref())).collect();
    assert_eq!(ids, [("u1", Some("A B C")), ("u2", None), ("u3", Some(""))]);
    let lists: Vec<_> = utterances.into_iter().map(|u| u.hypotheses).collect();
    assert_eq!(
        lists[0],
        [Hypothesis::new("A B C", Some(-4.0636)), Hypothesis::new("A B D", Some(-9.0))]
    );
    assert_eq!(lists[1], [Hypothesis::new("", Some(-12.0)), Hypothesis::new("X\tY", Some(-13.0))]);
    assert_eq!(lists[2], [Hypothesis::new("É  f", None)]);
}

#[test]
fn shards_and_ranks_are_in_the_order_of_their_numbers() {
    // By name, 10 would come before 2.
    let mut folder = MemoryFolder::new("in");
    for path in ["output.10/1", "output.2/10", "output.2/2", "1"] {
        folder =
            folder.with(format!("logdir/{path}best_recog/text"), format!("{path} a\n").as_bytes());
    }
    let lists = reader(folder, None).unwrap();
    let ids: Vec<String> = lists.map(|list| list.unwrap().id).collect();
    assert_eq!(ids, ["1", "output.2/2", "output.2/10", "output.10/1"]);
}

#[test]
fn a_text_without_a_score_has_none() {
    let lists = strict(&[(1, b"u1 a\nu2 b\n", Some(b"u2 tensor(-1.)\n"))], None).unwrap();
    let scores: Vec<_> = lists.iter().map(|u| u.hypotheses[0].score).collect();
    assert_eq!(scores, [None, Some(-1.0)]);
}

#[test]
fn references_beside_the_lists_are_used_unless_they_repeat_the_best_hypotheses() {
    let with = |text: &str| {
        let folder = folder(&[(1, b"u a b\nv c\n", None)]).with("text", text.as_bytes());
        let mut reader = reader(folder, None).unwrap();
        let lists: Vec<_> = reader.by_ref().map(|list| list.unwrap().reference).collect();
        let unused: Vec<String> =
            reader.take_unused_references().into_iter().map(|reference| reference.text).collect();
        let notes = reader.take_notes();
        assert_eq!(reader.take_notes(), [], "each note is returned once");
        (lists, notes, unused)
    };
    let name = || "in/text".to_owned();
    let (references, notes, unused) = with("u a x\nv c\nw d\n");
    assert_eq!(references, [Some("a x".to_owned()), Some("c".to_owned())]);
    assert_eq!(unused, ["d"]);
    let unused =
        Note::UnusedReferences { name: name(), count: 1, first: "w".into(), unmatched: None };
    assert_eq!(notes, [Note::FoundReferences { name: name() }, unused]);
    assert_eq!(
        with("u a b\nv c\n"),
        (vec![None, None], vec![Note::NotReferences { name: name() }], vec![])
    );
    assert_eq!(with("x a b\n"), (vec![None, None], vec![], vec![]));
}

#[test]
fn scores_as_python_prints_them() {
    for (text, value) in [
        ("u tensor(-4.0636)", -4.0636),
        ("u tensor(-1.2346e+03)", -1234.6),
        ("u tensor(-3., device='cuda:0')", -3.0),
        ("u tensor([-2.5])", -2.5),
        ("u -7", -7.0),
        ("u\t0.0 ", 0.0),
    ] {
        let lists = strict(&[(1, b"u a\n", Some(text.as_bytes()))], None).unwrap();
        assert_eq!(lists[0].hypotheses[0].score, Some(value), "{text}");
    }
}

#[test]
fn bad_lines_name_file_line_and_cause() {
    let first = "in/output.0/1best_recog/";
    for (score, cause) in [
        ("u tensor(nan)", "score:1: score of \"u\" is not a finite number: \"tensor(nan)\""),
        ("u tensor(-inf)", "score:1: score of \"u\" is not a finite number"),
        ("\nu tensor(-1", "score:2: score of \"u\" is not a finite number"),
        ("u tensor([-1)", "score:1: score of \"u\" is not a finite number"),
        ("u", "score:1: score of \"u\" is not a finite number: \"\""),
        ("u -1\nv -2", "score:2: \"v\" has a score but no text at rank 1"),
        ("u -1\nu -1", "score:2: \"u\" occurs twice in the scores of rank 1"),
    ] {
        let error = refusal(&[(1, b"u a\n", Some(score.as_bytes()))], None);
        assert!(error.starts_with(&format!("{first}{cause}")), "{score:?}: {error}");
    }
    let error = refusal(&[(1, b"u a\nu b\n", None)], None);
    let cause = "text:2: \"u\" occurs twice in the texts of rank 1";
    assert!(error.starts_with(&format!("{first}{cause}")), "{error}");
    let error = refusal(&[(1, b"u a\n", None), (2, b"v a\n", Some(b"u -1\n"))], None);
    let cause = "in/output.1/2best_recog/score:1: \"u\" has a score but no text at rank 2";
    assert!(error.starts_with(cause), "{error}");
    let error = refusal(&[(1, b"u a\n", None)], Some("x a\nx b\n"));
    assert!(error.starts_with("refs:2: \"x\" occurs twice in the references"), "{error}");
    for rank in [0, 201] {
        let error = refusal(&[(rank, b"u a\n", None)], None);
        assert!(error.contains(&format!("/text: rank {rank} is outside 1 to 200")), "{error}");
    }
}

#[test]
fn bad_lines_can_be_skipped_and_counted() {
    let ranks: [Rank<'_>; 1] = [(1, b"u a\nu b\nv c\n", Some(b"u -1\nv tensor(nan)\nw -2\n"))];
    let (mut kept, mut count) = (Vec::new(), 0);
    for item in reader(folder(&ranks), Some("u one\n")).unwrap() {
        match item {
            Ok(utterance) => kept.push(utterance),
            Err(error) => {
                assert!(error.is_line());
                count += 1;
            }
        }
    }
    assert_eq!(count, 3);
    let lists: Vec<_> = kept.iter().map(|u| &u.hypotheses[..]).collect();
    assert_eq!(lists, [[Hypothesis::new("a", Some(-1.0))], [Hypothesis::new("c", None)]]);
    assert_eq!(kept[0].reference.as_deref(), Some("one"));
}

#[test]
fn a_damaged_stream_cannot_be_skipped() {
    let whole = gzip(b"u1 a\nu2 b\n");
    assert_eq!(strict(&[(1, &whole, None)], None).unwrap().len(), 2);
    let mut items = reader(folder(&[(1, &whole[..whole.len() - 3], None)]), None).unwrap();
    let failures: Vec<_> = items.by_ref().filter_map(Result::err).collect();
    assert!(matches!(failures[..], [NbestError::Stream { .. }]), "{failures:?}");
    assert!(items.next().is_none());
}

#[test]
fn folders_with_other_names_are_passed_over() {
    for other in
        ["best_recog", "+1best_recog", "xbest_recog", "1best", "99999999999999999999best_recog"]
    {
        let folder = MemoryFolder::new("in").with(format!("output.1/{other}/text"), &b"u a\n"[..]);
        let error = reader(folder, None).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("in: no N-best lists found; expected"), "{other}: {error}");
    }
    for other in ["output.", "output.x", "output.+1", "shard.1"] {
        let folder =
            MemoryFolder::new("in").with(format!("{other}/1best_recog/text"), &b"u a\n"[..]);
        assert!(reader(folder, None).is_err(), "{other}");
    }
    assert_eq!(reader(folder(&[(10, b"u a\n", None)]), None).unwrap().count(), 1);
}

#[test]
fn a_rank_without_a_text_is_named() {
    let folder = MemoryFolder::new("in").with("1best_recog/score", &b"u -1\n"[..]);
    let mut items = reader(folder, None).unwrap();
    let error = items.next().unwrap().unwrap_err();
    assert!(error.to_string().starts_with("in/1best_recog/text: cannot read: "), "{error}");
    assert!(items.next().is_none());
}
