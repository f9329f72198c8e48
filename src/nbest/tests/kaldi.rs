//! Kaldi's archives.

use super::super::{
    ListReader, MemoryFolder, NbestError, Note, OpenOptions, References, Source, Stream, Utterance,
    format_by_name, open,
};

fn folder(files: &[(&str, &'static str)]) -> MemoryFolder {
    files
        .iter()
        .fold(MemoryFolder::new("in"), |folder, (path, text)| folder.with(*path, text.as_bytes()))
}

fn reader(
    files: &[(&str, &'static str)],
    options: OpenOptions,
) -> Result<Box<dyn ListReader>, NbestError> {
    Ok(open(Source::folder(folder(files)), format_by_name("kaldi"), options)?.lists)
}

fn read(files: &[(&str, &'static str)], options: OpenOptions) -> (Vec<Utterance>, Vec<Note>) {
    let mut reader = reader(files, options).unwrap();
    let lists = reader.by_ref().map(Result::unwrap).collect();
    (lists, reader.take_notes())
}

fn refusal(files: &[(&str, &'static str)]) -> String {
    let lists: Result<Vec<_>, _> =
        reader(files, OpenOptions::default()).and_then(Iterator::collect);
    lists.unwrap_err().to_string()
}

const TEXT: (&str, &str) = ("words_text", "a-1-1 x y\na-1-2 x\nb-1 \n");
const AM: (&str, &str) = ("acwt", "a-1-1 100 \na-1-2 90 \nb-1 7.5 \n");
const LM: (&str, &str) = ("lmwt.withlm", "a-1-1 20 \na-1-2 25.5 \nb-1 0 \n");

#[test]
fn costs_are_negated_and_combined_with_a_scale_that_is_reported() {
    let (lists, notes) = read(&[TEXT, AM, LM], OpenOptions::default());
    let ids: Vec<&str> = lists.iter().map(|list| list.id.as_str()).collect();
    assert_eq!(ids, ["a-1", "b"]);
    let best = &lists[0].hypotheses[0];
    assert_eq!((best.parts.get("am"), best.parts.get("lm")), (Some(-100.0), Some(-20.0)));
    let scores: Vec<_> = lists[0].hypotheses.iter().map(|h| h.score).collect();
    assert_eq!(scores, [Some(-30.0), Some(-34.5)]);
    // A cost of zero is a score of zero, not of minus zero.
    assert!(lists[1].hypotheses[0].parts.get("lm").is_some_and(f64::is_sign_positive));
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!(
        note.to_string(),
        "in: the first-pass score is 0.1 am + lm, as Kaldi's rescoring does by default"
    );
    let options = OpenOptions { acoustic_scale: Some(1.0), ..OpenOptions::default() };
    let (lists, notes) = read(&[TEXT, AM, LM], options);
    assert_eq!(lists[0].hypotheses[1].score, Some(-115.5));
    assert_eq!(notes[0].to_string(), "in: the first-pass score is 1 am + lm");
}

#[test]
fn a_score_beyond_all_numbers_is_refused() {
    let (am, lm) =
        (("acwt", "a-1-1 100 \na-1-2 1e308\n"), ("lmwt.nolm", "a-1-1 1\na-1-2 1.5e308\n"));
    let only = ("lmwt.lmonly", "a-1-1 1\na-1-2 1.5e308\n");
    let error = refusal(&[("words_text", "a-1-1 x y\na-1-2 x\n"), am, lm, only]);
    assert!(error.contains("hypothesis 2: the score that follows from its values"), "{error}");
}

#[test]
fn the_graph_cost_has_two_parts_where_kaldi_separates_them() {
    let graph = ("lmwt.nolm", "a-1-1 1 \na-1-2 2 \nb-1 0.5 \n");
    let only = ("lmwt.lmonly", "a-1-1 19\na-1-2 23.5\nb-1 -0.5\n");
    let rnn = ("lmwt.rnn", "a-1-1 17.5\na-1-2 18\nb-1 4\n");
    let (lists, _) = read(&[TEXT, AM, LM, graph, only, rnn], OpenOptions::default());
    let parts: Vec<_> = lists[0].hypotheses[1].parts.iter().collect();
    assert_eq!(parts, [("am", -90.0), ("graph", -2.0), ("lm", -23.5), ("rnnlm", -18.0)]);
    assert_eq!(lists[0].hypotheses[1].score, Some(-34.5), "the total is the same");
    // Without the file of the language model, the whole graph cost is the part.
    let (lists, _) = read(&[TEXT, AM, LM, graph], OpenOptions::default());
    let parts: Vec<_> = lists[0].hypotheses[1].parts.iter().collect();
    assert_eq!(parts, [("am", -90.0), ("lm", -25.5)]);
}

#[test]
fn other_names_of_the_files_and_references_are_accepted() {
    let files = [("text", TEXT.1), ("ac_cost", AM.1), ("lm_cost", LM.1)];
    let references = Stream::new("refs", &b"a-1 x z\nc not there\n"[..]);
    let references = References::read(references).unwrap();
    let options = OpenOptions { references: Some(references.clone()), ..OpenOptions::default() };
    let (lists, _) = read(&files, options);
    assert_eq!(lists[0].hypotheses[0].score, Some(-30.0));
    assert_eq!((lists[0].reference.as_deref(), lists[1].reference.as_deref()), (Some("x z"), None));
    assert_eq!(references.unused()[0].id, "c");
    let (again, _) =
        read(&[("text", TEXT.1), ("acscore", AM.1), ("lmscore", LM.1)], OpenOptions::default());
    assert_eq!(again[0].hypotheses, lists[0].hypotheses);
}

#[test]
fn hypotheses_are_in_the_order_of_their_numbers() {
    let text = ("text", "u-10 j\nu-2 b\nu-1 a\n");
    let (lists, notes) = read(&[text, ("acwt", "u-10 3\nu-2 2\nu-1 1\n")], OpenOptions::default());
    let texts: Vec<&str> = lists[0].hypotheses.iter().map(|h| h.text.as_str()).collect();
    assert_eq!(texts, ["a", "b", "j"]);
    assert_eq!(notes.len(), 1);
}

#[test]
fn files_that_do_not_match_are_refused() {
    let other = refusal(&[TEXT, ("acwt", "a-1-1 1\nx-1 2\nb-1 3\n")]);
    assert!(
        other.starts_with("in/acwt: line 2: \"x-1\" has a cost but no text at its place"),
        "{other}"
    );
    let (lists, notes) = read(&[TEXT, ("acwt", "a-1-1 1\nb-1 3\n")], OpenOptions::default());
    assert_eq!(lists[0].hypotheses[1].score, None);
    assert_eq!(notes[0].to_string(), "in/acwt: 1 hypothesis has no line");
    for (name, cause) in [
        ("u 1", "in/text:1: \"u\" does not end with the number"),
        ("u-0 1", "in/text:1: rank 0 is outside 1 to 200"),
        ("u-201 1", "in/text:1: rank 201 is outside 1 to 200 (keep the best 200)"),
        ("-1 1", "in/text:1: \"-1\" does not end"),
        ("u-+1 1", "in/text:1: \"u-+1\" does not end"),
        ("u-1 a\nu-1 b", "in/text:2: \"u\" occurs twice in the hypotheses with number 1"),
    ] {
        let error = refusal(&[("text", name)]);
        assert!(error.starts_with(cause), "{name}: {error}");
    }
    for cost in ["nan", "-inf", "x", ""] {
        let cost: &'static str = Box::leak(format!("u-1 {cost}\n").into_boxed_str());
        let error = refusal(&[("text", "u-1 a\n"), ("acwt", cost)]);
        assert!(error.starts_with("in/acwt:1: score of \"u-1\" is not a finite number"), "{error}");
    }
    let numbers = refusal(&[("words", "u-1 12 7\n"), ("acwt", "u-1 1\n")]);
    assert!(numbers.starts_with("in/words: has numbers of words, not words (write"), "{numbers}");
}

#[test]
fn a_bad_line_does_not_shift_the_costs_of_the_others() {
    let text = ("text", "u-1 a\nu-x b\nu-3 c\n");
    let cost = ("acwt", "u-1 1\nu-x 2\nu-3 nan\n");
    let items: Vec<_> = reader(&[text, cost], OpenOptions::default()).unwrap().collect();
    assert_eq!(items.iter().filter(|item| item.is_err()).count(), 2);
    let lists: Vec<_> = items.into_iter().flatten().collect();
    assert_eq!(lists.len(), 1);
    assert_eq!(lists[0].hypotheses.len(), 1);
    assert_eq!(lists[0].hypotheses[0].score, Some(-1.0));
}
