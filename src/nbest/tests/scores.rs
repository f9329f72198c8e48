//! Scores with another key, sign or unit.

use serde_json::Value;

use super::super::{
    JsonLines, MemoryFolder, NbestError, OpenOptions, Problem, ScoreKind, ScoreReading, Source,
    Utterance, open, write_jsonl,
};

fn reading(key: Option<&str>, kind: ScoreKind) -> ScoreReading {
    ScoreReading { key: key.map(str::to_owned), kind }
}

fn read(line: &str, scores: &ScoreReading) -> Result<Utterance, NbestError> {
    JsonLines::new(line.as_bytes(), "lists").scored(scores.clone()).next().unwrap()
}

fn written(u: &Utterance) -> Value {
    let mut line = Vec::new();
    write_jsonl(&mut line, u).unwrap();
    serde_json::from_slice(&line).unwrap()
}

const LINE: &str = r#"{"id":"u","nbest":[{"text":"a","score":3.5,"am":2.5,"lm":1,"scores":{"ctc":0},"logprob":-0.50,"p":0.25},{"text":"b","am":7,"logprob":null,"p":0}]}"#;

#[test]
fn costs_are_negated_with_their_parts() {
    let u = read(LINE, &reading(None, ScoreKind::Cost)).unwrap();
    assert_eq!(u.hypotheses[0].score, Some(-3.5));
    let parts: Vec<_> = u.hypotheses[0].parts.iter().collect();
    assert_eq!(parts, [("am", -2.5), ("ctc", 0.0), ("lm", -1.0)]);
    assert_eq!((u.hypotheses[1].score, u.hypotheses[1].parts.get("am")), (None, Some(-7.0)));
}

#[test]
fn another_key_or_a_part_is_the_score() {
    let scores = |key, kind| {
        let u = read(LINE, &reading(Some(key), kind)).unwrap();
        [u.hypotheses[0].score, u.hypotheses[1].score]
    };
    assert_eq!(scores("logprob", ScoreKind::LogProb), [Some(-0.5), None]);
    assert_eq!(scores("p", ScoreKind::Prob), [Some(0.25_f64.ln()), None]);
    assert_eq!(scores("p", ScoreKind::Cost), [Some(-0.25), Some(0.0)]);
    assert_eq!(scores("am", ScoreKind::Cost), [Some(-2.5), Some(-7.0)]);
    assert_eq!(scores("ctc", ScoreKind::LogProb), [Some(0.0), None]);
    assert_eq!(scores("score", ScoreKind::LogProb), [Some(3.5), None]);
    assert_eq!(scores("other", ScoreKind::LogProb), [None, None]);
}

#[test]
fn values_that_are_no_scores_are_errors_of_the_line() {
    let problem = |line: &str, key, kind| match read(line, &reading(key, kind)).unwrap_err() {
        NbestError::Line { line: 1, problem, .. } => problem,
        other => panic!("{other}"),
    };
    let line = |value: &str| format!(r#"{{"id":"u","nbest":[{{"text":"a","c":{value}}}]}}"#);
    for (value, kind) in
        [("\"high\"", ScoreKind::LogProb), ("[1]", ScoreKind::Prob), ("true", ScoreKind::Cost)]
    {
        let found = problem(&line(value), Some("c"), kind);
        assert!(
            matches!(&found, Problem::BadKeyedScore { index: 1, key, .. } if key == "c"),
            "{found}"
        );
    }
    for value in ["1.01", "-0.5"] {
        let found = problem(&line(value), Some("c"), ScoreKind::Prob);
        assert!(matches!(&found, Problem::NotAProbability { index: 1, .. }), "{found}");
    }
    // The sum of rounded probabilities can exceed 1 a little.
    let u = read(&line("1.0000002"), &reading(Some("c"), ScoreKind::Prob)).unwrap();
    assert_eq!(u.hypotheses[0].score, Some(0.0));
}

/// A tool that reads its own keys finds them unchanged.
#[test]
fn what_was_given_is_written_back() {
    // Values that are probabilities too.
    let line = LINE.replace("3.5", "0.75").replace("-0.50", "0.5").replace("2.5", "0.5");
    let given = written(&read(&line, &ScoreReading::default()).unwrap());
    for key in [None, Some("logprob"), Some("p"), Some("am"), Some("ctc"), Some("other")] {
        for kind in ScoreKind::ALL {
            let scores = reading(key, kind);
            let Ok(mut u) = read(&line, &scores) else {
                assert_eq!((key, kind), (Some("am"), ScoreKind::Prob), "7 is not a probability");
                continue;
            };
            assert_eq!(written(&scores.as_given(u.clone())), given, "{scores:?}");
            // Rescoring adds its own scores, and the recogniser's `lm` moves as always.
            u.hypotheses[0].lm = Some(-9.0);
            u.hypotheses[0].total = Some(-11.0);
            let again = written(&scores.as_given(u));
            let hypothesis = &again["nbest"][0];
            assert_eq!(hypothesis["lm"], -9.0, "{scores:?}");
            assert_eq!(hypothesis["first_lm"], 1.0, "{scores:?}");
            assert_eq!(hypothesis["score"], 0.75, "{scores:?}");
        }
    }
}

#[test]
fn a_format_that_defines_its_scores_refuses_another_meaning() {
    let folder = || {
        let folder = MemoryFolder::new("decode");
        Source::folder(folder.with("logdir/output.1/1best_recog/text", &b"u1 a\n"[..]))
    };
    let scores = reading(None, ScoreKind::Cost);
    let refused = open(folder(), None, OpenOptions { scores, ..OpenOptions::default() });
    let Err(error) = refused else { panic!("opened") };
    assert!(error.to_string().starts_with("decode: the format espnet defines"), "{error}");
    assert!(open(folder(), None, OpenOptions::default()).is_ok());
}

#[test]
fn kinds_have_names() {
    for kind in ScoreKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        assert!(!kind.help().ends_with('.'));
    }
    assert!("costs".parse::<ScoreKind>().unwrap_err().contains("logprob, cost, prob"));
}
