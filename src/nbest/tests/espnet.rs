//! ESPnet's per-rank files.

use super::super::espnet::{Merged, Named, RankFiles, merge, rank_of, shard_of};
use super::super::{Hypothesis, NbestError};
use super::gzip;

fn files(rank: usize, text: &'static str, score: Option<&'static str>) -> RankFiles<&'static [u8]> {
    let score = score.map(|score| Named::new(format!("{rank}/score"), score.as_bytes()));
    RankFiles { rank, text: Named::new(format!("{rank}/text"), text.as_bytes()), score }
}

fn strict(
    files: Vec<RankFiles<&'static [u8]>>,
    references: Option<&'static str>,
) -> Result<Merged, NbestError> {
    merge(files, references.map(|text| Named::new("refs", text.as_bytes())), Err)
}

fn refusal(files: Vec<RankFiles<&'static [u8]>>, references: Option<&'static str>) -> String {
    strict(files, references).unwrap_err().to_string()
}

#[test]
fn merges_ranks_shards_and_references() {
    let merged = strict(
        vec![
            // Ranks come in any order, as folders sort by name: 10 before 2.
            files(10, "u1 A B D\n", Some("u1 tensor(-9.0)\n")),
            files(1, "u1 A B C\nu2\n", Some("u1 tensor(-4.0636)\nu2 tensor(-1.2e+01)\n")),
            files(2, "u2 X\tY\n", Some("u2 -13\n")),
            files(1, "\nu3   É  f \n", None),
        ],
        Some("u1 A B C\nu3\nu9 not recognised\n"),
    )
    .unwrap();
    assert_eq!(merged.unused_references, 1);
    let ids: Vec<_> =
        merged.utterances.iter().map(|u| (u.id.as_str(), u.reference.as_deref())).collect();
    assert_eq!(ids, [("u1", Some("A B C")), ("u2", None), ("u3", Some(""))]);
    let lists: Vec<_> = merged.utterances.into_iter().map(|u| u.hypotheses).collect();
    assert_eq!(
        lists[0],
        [Hypothesis::new("A B C", Some(-4.0636)), Hypothesis::new("A B D", Some(-9.0))]
    );
    assert_eq!(lists[1], [Hypothesis::new("", Some(-12.0)), Hypothesis::new("X\tY", Some(-13.0))]);
    assert_eq!(lists[2], [Hypothesis::new("É  f", None)]);
}

#[test]
fn a_text_without_a_score_has_none() {
    let merged = strict(vec![files(1, "u1 a\nu2 b\n", Some("u2 tensor(-1.)\n"))], None).unwrap();
    let scores: Vec<_> = merged.utterances.iter().map(|u| u.hypotheses[0].score).collect();
    assert_eq!(scores, [None, Some(-1.0)]);
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
        let merged = strict(vec![files(1, "u a\n", Some(text))], None).unwrap();
        assert_eq!(merged.utterances[0].hypotheses[0].score, Some(value), "{text}");
    }
}

#[test]
fn bad_lines_name_file_line_and_cause() {
    for (score, cause) in [
        ("u tensor(nan)", "1/score:1: score of \"u\" is not a finite number: \"tensor(nan)\""),
        ("u tensor(-inf)", "1/score:1: score of \"u\" is not a finite number"),
        ("\nu tensor(-1", "1/score:2: score of \"u\" is not a finite number"),
        ("u tensor([-1)", "1/score:1: score of \"u\" is not a finite number"),
        ("u", "1/score:1: score of \"u\" is not a finite number: \"\""),
        ("u -1\nv -2", "1/score:2: \"v\" has a score but no text at rank 1"),
        ("u -1\nu -1", "1/score:2: \"u\" stands twice in the scores of rank 1"),
    ] {
        let error = refusal(vec![files(1, "u a\n", Some(score))], None);
        assert!(error.starts_with(cause), "{score:?}: {error}");
    }
    let error = refusal(vec![files(1, "u a\nu b\n", None)], None);
    assert!(error.starts_with("1/text:2: \"u\" stands twice in the texts of rank 1"), "{error}");
    let error = refusal(vec![files(1, "u a\n", None), files(2, "v a\n", Some("u -1\n"))], None);
    assert!(error.starts_with("2/score:1: \"u\" has a score but no text at rank 2"), "{error}");
    let error = refusal(vec![files(1, "u a\n", None)], Some("x a\nx b\n"));
    assert!(error.starts_with("refs:2: \"x\" stands twice in the references"), "{error}");
    for rank in [0, 201] {
        let error = refusal(vec![files(rank, "u a\n", None)], None);
        assert!(error.contains(&format!("/text: rank {rank} is outside 1 to 200")), "{error}");
    }
}

#[test]
fn bad_lines_can_be_left_out_with_a_count() {
    let mut count = 0;
    let ranks = [files(1, "u a\nu b\nv c\n", Some("u -1\nv tensor(nan)\nw -2\n"))];
    let merged = merge(ranks, Some(Named::new("refs", &b"u one\nu two\n"[..])), |error| {
        assert!(error.is_line());
        count += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(count, 4);
    let kept: Vec<_> = merged.utterances.iter().map(|u| &u.hypotheses[..]).collect();
    assert_eq!(kept, [[Hypothesis::new("a", Some(-1.0))], [Hypothesis::new("c", None)]]);
    assert_eq!(merged.utterances[0].reference.as_deref(), Some("one"), "the first one stands");
}

#[test]
fn a_damaged_stream_cannot_be_left_out() {
    let whole = gzip(b"u1 a\nu2 b\n");
    let files = |bytes: &'static [u8]| RankFiles {
        rank: 1,
        text: Named::new("text.gz", bytes),
        score: None,
    };
    let whole: &'static [u8] = whole.leak();
    assert_eq!(merge([files(whole)], None, Err).unwrap().utterances.len(), 2);
    let error = merge([files(&whole[..whole.len() - 3])], None, |_| Ok(())).unwrap_err();
    assert!(matches!(error, NbestError::Stream { .. }), "{error}");
}

#[test]
fn names_of_folders() {
    assert_eq!((rank_of("1best_recog"), rank_of("10best_recog")), (Some(1), Some(10)));
    assert_eq!((shard_of("output.1"), shard_of("output.32")), (Some(1), Some(32)));
    for other in [
        "best_recog",
        "+1best_recog",
        "xbest_recog",
        "1best",
        "output.",
        "output.x",
        "99999999999999999999best_recog",
    ] {
        assert_eq!((rank_of(other), shard_of(other)), (None, None), "{other}");
    }
}
