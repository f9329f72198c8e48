//! What rescoring changed.

use crate::nbest::{Hypothesis, Utterance};
use crate::score::{Changes, WordChange};
use crate::text::{Conventions, Normalize, Unit};

fn list(id: &str, reference: &str, texts: &[&str]) -> Utterance {
    let scored = |(at, text): (usize, &&str)| Hypothesis::new(*text, Some(-(at as f64)));
    let hypotheses = texts.iter().enumerate().map(scored).collect();
    Utterance::new(id, Some(reference.to_owned()), hypotheses)
}

#[test]
fn words_lengths_and_ranks() {
    let mut changes = Changes::new(Conventions::default());
    changes.add(&list("better", "turn off the light", &["turn of a light", "turn off a light"]), 1);
    changes.add(&list("worse", "stop now", &["stop now", "stop", "now"]), 1);
    changes.add(&list("same", "stop", &["stop", "top"]), 0);
    changes.add(&list("equal", "a b c d", &["a b c", "b c d"]), 1);
    changes.add(&Utterance::new("none", None, vec![Hypothesis::new("x", None)]), 0);
    assert_eq!((changes.better, changes.worse, changes.equal), (1, 1, 1));
    let change = |gained, lost| WordChange { gained, lost };
    let expected =
        [("a", change(0, 1)), ("d", change(1, 0)), ("now", change(0, 1)), ("off", change(1, 0))];
    assert_eq!(changes.words(), expected);
    let lengths: Vec<_> = changes
        .lengths()
        .filter(|(_, group)| group.utterances > 0)
        .map(|(end, g)| (end, g.utterances, g.units, g.first, g.rescored, g.oracle))
        .collect();
    assert_eq!(lengths, [(Some(3), 2, 3, 0, 1, 0), (Some(6), 2, 8, 3, 2, 2)]);
    let ranks: Vec<_> = changes.ranks().map(|(rank, g)| (rank, g.utterances)).collect();
    assert_eq!(ranks, [(1, 1), (2, 3)]);
    let ids: Vec<_> = changes.utterances().iter().map(|u| u.id.clone()).collect();
    assert_eq!(ids, ["better", "worse", "equal"]);
}

#[test]
fn a_text_has_one_rank_however_many_beams_have_it() {
    let beams = ["Stop.", "stop", "Stop", "top", "Top!", "pop"];
    for join in [false, true] {
        let conventions = Conventions { normalize: Normalize::Basic, unit: Unit::Word, join };
        let mut changes = Changes::new(conventions);
        changes.add(&list("u", "pop", &beams), 5);
        changes.add(&list("v", "top", &beams), 4);
        let ranks: Vec<_> = changes.ranks().map(|(rank, group)| (rank, group.rescored)).collect();
        assert_eq!(ranks, [(2, 0), (3, 0)], "{join}");
    }
}

#[test]
fn units_are_those_of_the_conventions() {
    let mut changes = Changes::new(Conventions { unit: Unit::Char, ..Conventions::default() });
    changes.add(&list("zh", "请关灯", &["请关等", "请关灯"]), 1);
    assert_eq!(changes.words(), [("灯", WordChange { gained: 1, lost: 0 })]);
    assert_eq!(changes.utterances()[0].first, "请 关 等");
}

#[test]
fn memory_is_bounded() {
    let mut changes = Changes::new(Conventions::default());
    for at in 0..5000 {
        changes.add(
            &list(&format!("{at:04}"), "a b", &["c d", if at < 7 { "a b" } else { "a d" }]),
            1,
        );
    }
    let kept = changes.utterances();
    assert_eq!(kept.len(), 1000);
    assert!(kept[..7].iter().all(|u| u.rescored_errors == 0), "the largest changes are kept");
    assert_eq!(changes.better, 5000);
}
