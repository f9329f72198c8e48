//! The formats that are JSON: values, notes, errors, and what is written reads back.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::super::{
    FORMATS, Hypothesis, MemoryFiles, NbestError, Note, OpenOptions, Parts, Source, Utterance,
    format_by_name, open, written_format,
};

/// The names of the formats.
const NAMES: [&str; 8] = [
    "mlm-scoring",
    "hyporadise",
    "hypr",
    "sherpa-onnx",
    "vosk",
    "web-speech",
    "transformers",
    "ctranslate2-whisper",
];

type Read = (Vec<Result<Utterance, NbestError>>, Vec<Note>);

fn read_as(format: Option<&str>, text: &str) -> Read {
    let format = format.map(|name| format_by_name(name).unwrap());
    let source = Source::stream("in.json", std::io::Cursor::new(text.as_bytes().to_vec()));
    let mut opened = open(source, format, OpenOptions::default()).unwrap();
    let lists = opened.lists.by_ref().collect();
    (lists, opened.lists.take_notes())
}

fn good(format: &str, text: &str) -> (Vec<Utterance>, Vec<String>) {
    let (lists, notes) = read_as(Some(format), text);
    let lists = lists.into_iter().map(Result::unwrap).collect();
    (lists, notes.iter().map(ToString::to_string).collect())
}

fn error(format: &str, text: &str) -> String {
    let (lists, _) = read_as(Some(format), text);
    lists.into_iter().find_map(Result::err).expect("an error").to_string()
}

fn scores(list: &Utterance) -> Vec<Option<f64>> {
    list.hypotheses.iter().map(|hypothesis| hypothesis.score).collect()
}

fn example(format: &str) -> Vec<Utterance> {
    good(format, written_format(format).unwrap().example()[0].1).0
}

#[test]
fn mlm_scoring_orders_hypotheses_by_number() {
    let lists = example("mlm-scoring");
    assert_eq!(lists[0].id, "1272-128104-0000");
    assert_eq!(lists[0].reference.as_deref(), Some("mister quilter is the apostle"));
    assert_eq!(scores(&lists[0]), [Some(-10.107752799987793), Some(-11.25), Some(-14.5)]);
    assert_eq!(lists[0].hypotheses[1].text, " mister quillter is the apostle");
    assert_eq!(lists[1].reference, None);
    let text = r#"{"u":{"hyp_1":{"text":"a"},"hyp_2":{"score":-1}}}"#;
    let expected = "in.json:1: utterance \"u\": hypothesis 2: key \"text\" is missing";
    assert_eq!(error("mlm-scoring", text), expected);
    assert!(error("mlm-scoring", r#"{"u":{"ref":"a"}}"#).contains("key \"hyp_1\" is missing"));
}

#[test]
fn hyporadise_has_no_scores_and_a_mark_for_no_words() {
    let lists = example("hyporadise");
    assert_eq!((lists.len(), lists[0].hypotheses.len()), (3, 5));
    assert_eq!(lists[0].id, "in-1");
    assert!(scores(&lists[0]).iter().all(Option::is_none));
    assert_eq!((lists[1].reference.as_deref(), &*lists[1].hypotheses[0].text), (Some(""), ""));
    let texts: Vec<&str> = lists[2].hypotheses.iter().map(|h| &*h.text).collect();
    assert_eq!(texts, ["on monday", "on mondays", "on sunday", "a monday"]);
}

#[test]
fn hypr_has_parts() {
    let lists = example("hypr");
    assert_eq!(scores(&lists[0]), [Some(-3.45057), Some(-5.39363)]);
    let parts = Parts::from_iter([("att", -0.5), ("ctc", -0.25), ("lm", -9.0)]);
    assert_eq!(lists[1].hypotheses[0].parts, parts);
    let text = r#"{"utt_id":"u","hyps":["a","b"],"score":[-1]}"#;
    let expected = "in.json:1: utterance \"u\": key \"score\" has 1 values for 2 hypotheses";
    assert_eq!(error("hypr", text), expected);
}

#[test]
fn vosk_confidences_are_log_likelihoods() {
    let lists = example("vosk");
    assert_eq!(scores(&lists[0]), [Some(237.589417), Some(235.04)]);
    assert!(lists[0].hypotheses[0].extra.get("result").unwrap().starts_with(r#"[{"end":1.110000"#));
    // Silence: its confidence of 1 is not a score.
    assert_eq!((scores(&lists[1]), &*lists[1].hypotheses[0].text), (vec![None], ""));
    let text = "{\"partial\" : \"tur\"}\n{\"text\" : \"turn on\"}\n{\"partial\" : \"\"}";
    let (lists, notes) = good("vosk", text);
    assert_eq!((lists.len(), &*lists[0].hypotheses[0].text), (1, "turn on"));
    assert_eq!(notes[0], "in.json: partial results are skipped");
    assert_eq!(notes.len(), 2, "{notes:?}");
}

#[test]
fn web_speech_confidences_are_probabilities() {
    let lists = example("web-speech");
    assert_eq!(scores(&lists[0]), [Some(0.98267895_f64.ln()), None]);
    assert_eq!(lists[0].extra.get("languageCode"), Some("\"en-us\""));
    assert_eq!(lists[1].hypotheses[0].text, " and stop");
    // Lists of alternatives; 0 is unknown.
    let text = r#"[{"transcript":"a","confidence":0.5},{"transcript":"b","confidence":0}]
[{"transcript":"c","confidence":0.25}]"#;
    let (lists, _) = good("web-speech", text);
    assert_eq!(scores(&lists[0]), [Some(0.5_f64.ln()), None]);
    assert_eq!(lists.len(), 2);
    // A confidence that is always 1 is not a score.
    let text = r#"{"id":"u","alternatives":[{"transcript":"a","confidence":1},{"transcript":"b"}]}
{"id":"v","alternatives":[{"transcript":"a","confidence":0.5},{"transcript":"b","confidence":1}],"isFinal":true}
{"id":"w","alternatives":[{"transcript":"a"}],"isFinal":false}"#;
    let (lists, notes) = good("web-speech", text);
    assert_eq!(scores(&lists[0]), [None, None]);
    assert_eq!(scores(&lists[1]), [Some(0.5_f64.ln()), Some(0.0)]);
    assert_eq!(lists.len(), 2);
    assert!(notes[0].contains("reports 1 for every confidence"), "{notes:?}");
    let text = r#"{"alternatives":[{"transcript":"a","confidence":237.5}]}"#;
    assert!(
        error("web-speech", text)
            .contains("hypothesis 1: key \"confidence\" must be a probability")
    );
}

#[test]
fn sherpa_onnx_sums_log_probabilities_if_there_is_no_score() {
    let lists = example("sherpa-onnx");
    assert_eq!(scores(&lists[0]), [Some(-0.75), Some(-1.9)]);
    assert_eq!((scores(&lists[1]), &*lists[1].id), (vec![Some(-0.25)], "u2"));
    assert_eq!(lists[0].extra.get("lang"), Some("\"\""));
    // Greedy search.
    let text =
        r#"{"text": "a b", "tokens":[" a", " b"], "ys_log_probs": [-0.5, -0.25], "words": []}"#;
    let (lists, _) = good("sherpa-onnx", text);
    assert_eq!((scores(&lists[0]), &*lists[0].hypotheses[0].text), (vec![Some(-0.75)], "a b"));
    assert_eq!(lists[0].hypotheses[0].extra.get("tokens"), Some("[\" a\",\" b\"]"));
    let text = r#"{"id":"u","hypotheses":[{"text":"a","ys_log_probs":["x"]}]}"#;
    assert!(error("sherpa-onnx", text).contains("\"ys_log_probs\" must be a list of numbers"));
}

#[test]
fn length_normalisation_is_undone() {
    let lists = example("transformers");
    assert_eq!(scores(&lists[0]), [Some(-1.0), Some(-1.5)]);
    assert_eq!(scores(&lists[1]), [Some(-0.5)]);
    let lists = example("ctranslate2-whisper");
    assert_eq!(scores(&lists[0]), [Some(-1.5), Some(-2.0)]);
    assert_eq!(lists[0].hypotheses[0].text, "Turn it on.");
    assert_eq!(scores(&lists[1]), [Some(-0.25), Some(-1.5)]);
    // The penalty is assumed, and the length is unknown.
    let text = r#"{"id":"u","texts":["a","b"],"sequences_scores":[-0.5,-1],"lengths":[2,3]}
{"id":"v","texts":["a"],"sequences_scores":[-0.5],"length_penalty":0.5}
{"id":"w","texts":["a"],"sequences_scores":[-0.5],"length_penalty":0}
{"id":"x","texts":["a"]}"#;
    let (lists, notes) = good("transformers", text);
    assert_eq!(scores(&lists[0]), [Some(-1.0), Some(-3.0)]);
    assert_eq!((scores(&lists[1]), scores(&lists[2])), (vec![Some(-0.5)], vec![Some(-0.5)]));
    assert_eq!(scores(&lists[3]), [None]);
    assert!(notes[0].contains("\"length_penalty\" is missing"), "{notes:?}");
    assert!(notes[1].contains("divided by the length"), "{notes:?}");
    assert_eq!(notes.len(), 2);
    // Scores that were not requested.
    let text = r#"{"id":"u","sequences":[["Ġa"]],"sequences_ids":[[1]],"scores":[]}"#;
    let (lists, notes) = good("ctranslate2-whisper", text);
    assert_eq!((scores(&lists[0]), notes.len()), (vec![None], 0));
    // The length's power is beyond all numbers.
    let text = r#"{"id":"u","texts":["a","b"],"sequences_scores":[null,-0.5],"lengths":[2,2],"length_penalty":1e9}"#;
    assert!(error("transformers", text).contains("hypothesis 2: the score that follows"));
}

#[test]
fn errors_name_line_and_utterance_and_reading_continues() {
    let text = "[\n {\"input\":[\"a\"],\"output\":\"a\"},\n {\"input\":[1]},\n {\"input\":\n  [\"b\" \"c\"]},\n {\"input\":[\"d\"]}\n]";
    let (lists, _) = read_as(None, text);
    let all: Vec<String> = lists
        .into_iter()
        .map(|list| match list {
            Ok(list) => list.id,
            Err(error) => error.to_string(),
        })
        .collect();
    assert_eq!(all.len(), 4, "{all:?}");
    assert_eq!((&*all[0], &*all[3]), ("in-1", "in-4"));
    let expected = "in.json:3: utterance \"in-2\": key \"input\" must be a string, found a number";
    assert_eq!(all[1], expected);
    assert!(all[2].starts_with("in.json:5: not valid JSON at column 8: "), "{}", all[2]);
}

/// Texts and keys with a meaning in one of the formats.
const WORDS: &[&str] = &[
    "",
    "a",
    " a b",
    "turn it on",
    "<UNK>x",
    "\"",
    "\\",
    "größe\u{301}",
    "語",
    "\n",
    "{}",
    "hyp_1",
    "null",
];
const KEYS: &[&str] = &[
    "text",
    "score",
    "scores",
    "id_",
    "hyps",
    "hyp_3",
    "input",
    "input1",
    "output",
    "partial",
    "utt_id",
    "alternatives",
    "results",
    "isFinal",
    "confidence",
    "tokens",
    "ys_log_probs",
    "texts",
    "sequences",
    "length_penalty",
    "lengths",
    "hypotheses",
    "speaker",
    "\u{e9}",
];

fn pick<'a>(rng: &mut ChaCha8Rng, all: &[&'a str]) -> &'a str {
    all[(rng.next_u64() % all.len() as u64) as usize]
}

fn number(rng: &mut ChaCha8Rng) -> Option<f64> {
    let value = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    match rng.next_u32() % 4 {
        0 => None,
        1 => Some(-value),
        2 => Some(-1000.0 * value),
        _ => Some(300.0 * value - 150.0),
    }
}

/// A random list with everything that a list can have.
fn random(rng: &mut ChaCha8Rng, at: usize) -> Utterance {
    let reference = (rng.next_u32().is_multiple_of(2)).then(|| pick(rng, WORDS).to_owned());
    let rescored = rng.next_u32().is_multiple_of(2);
    let count = 1 + rng.next_u32() % 4;
    let mut list = Utterance::new(format!("u {at}"), reference, Vec::new());
    for _ in 0..count {
        let mut hypothesis = Hypothesis::new(pick(rng, WORDS), number(rng));
        for part in ["am", "att", "ctc", "lm", "x"] {
            if rng.next_u32().is_multiple_of(3) {
                number(rng).map(|value| hypothesis.parts.insert(part, value));
            }
        }
        if rescored {
            hypothesis.lm = number(rng);
            hypothesis.total = number(rng);
        }
        if hypothesis.total.is_none() {
            hypothesis.lm = None;
        }
        if rng.next_u32().is_multiple_of(4) {
            hypothesis.extra.push("note", "[1,\"x\"]");
        }
        list.hypotheses.push(hypothesis);
    }
    if rng.next_u32().is_multiple_of(2) {
        list.extra
            .push(pick(rng, KEYS), pick(rng, &["1", "\"x\"", "[1,2]", "{\"a\":null}", "false"]));
    }
    list
}

fn written(format: &str, lists: &[Utterance]) -> (String, Vec<Note>) {
    let mut writer = written_format(format).unwrap().writer();
    let mut files = MemoryFiles::default();
    lists.iter().for_each(|list| writer.write(list, &mut files).unwrap());
    let notes = writer.finish(&mut files).unwrap();
    (String::from_utf8(files.files.remove("").unwrap()).unwrap(), notes)
}

#[test]
fn what_a_format_can_hold_reads_back_without_loss() {
    let mut rng = ChaCha8Rng::seed_from_u64(41);
    for format in NAMES {
        let (mut whole, mut partly) = (0, 0);
        for round in 0..1500 {
            let lists: Vec<Utterance> =
                (0..rng.next_u64() as usize % 4).map(|at| random(&mut rng, at)).collect();
            let (text, notes) = written(format, &lists);
            let again = good(format, &text).0;
            // Texts, references and ids survive in every format, and what was read once does not change any more.
            let plain = |lists: &[Utterance]| -> Vec<Utterance> {
                let texts = |list: &Utterance| {
                    let texts = list.hypotheses.iter().map(|h| Hypothesis::new(&*h.text, None));
                    Utterance::new(&*list.id, list.reference.clone(), texts.collect())
                };
                lists.iter().map(texts).collect()
            };
            assert_eq!(plain(&again), plain(&lists), "{format}, round {round}: {text}");
            assert_eq!(written(format, &again).0, text, "{format}, round {round}");
            if notes.is_empty() && format != "web-speech" {
                assert_eq!(again, lists, "{format}, round {round}: {text}");
                whole += 1;
            } else {
                partly += 1;
            }
        }
        assert!(
            partly > 20 && (whole > 100 || format == "web-speech"),
            "{format}: {whole} {partly}"
        );
    }
}

#[test]
fn scores_that_are_no_probabilities_survive_too() {
    let values = [-0.25, -30.0, 2.5, -800.0, 0.0, -1e-300];
    let all = values.map(|score| Hypothesis::new("a", Some(score))).to_vec();
    let (text, notes) = written("web-speech", &[Utterance::new("u", None, all)]);
    assert_eq!(scores(&good("web-speech", &text).0[0]), values.map(Some));
    assert!(notes.is_empty() && text.contains("\"confidence\":0.7788007830714049"), "{text}");
    let single = Utterance::new("u", None, vec![Hypothesis::new("a", Some(-1e-300))]);
    assert_eq!(
        scores(&good("web-speech", &written("web-speech", &[single]).0).0[0]),
        [Some(-1e-300)]
    );
}

#[test]
fn no_format_claims_json_lines() {
    let keys = ["alternatives", "hypotheses", "hyps", "sequences_ids", "texts", "input", "partial"];
    for key in keys {
        let line = format!(
            r#"{{"id":"a","utt_id":"a","{key}":[{{"text":"x","transcript":"y"}}],"nbest":[{{"text":"x"}}]}}"#
        );
        let source = Source::stream("in", std::io::Cursor::new(line.into_bytes()));
        let opened = open(source, None, OpenOptions::default()).unwrap();
        assert_eq!(opened.format.name(), "jsonl", "{key}");
    }
    assert!(NAMES.iter().all(|name| FORMATS.iter().any(|format| format.name() == *name)));
}

#[test]
fn result_objects_have_the_scores_that_the_package_gives_them() {
    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        format: String,
        result: serde_json::Value,
        nbest: Vec<Expected>,
    }
    #[derive(serde::Deserialize)]
    struct Expected {
        text: String,
        score: Option<f64>,
    }
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../../tests/shared/results.json")).unwrap();
    assert!(cases.len() > 5);
    for Case { name, format, result, nbest } in cases {
        let (lists, _) = good(&format, &result.to_string());
        let found: Vec<_> = lists[0].hypotheses.iter().map(|h| (h.text.clone(), h.score)).collect();
        let expected: Vec<_> = nbest.into_iter().map(|h| (h.text, h.score)).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn keys_with_another_name_are_pointed_at() {
    let note = |text: &str| -> Vec<String> {
        let (lists, notes) = read_as(None, text);
        assert!(lists.iter().all(Result::is_ok), "{lists:?}");
        notes.iter().map(ToString::to_string).collect()
    };
    for key in ["confidence", "logprob", "log_prob", "am_score", "Probability"] {
        let line = |score: &str| {
            format!(
                "{{\"id\":\"a\",\"ref\":\"x\",\"nbest\":[{{\"text\":\"x\",\"{key}\":-1{score}}}]}}\n"
            )
        };
        let expected = format!("in.json: no hypothesis has a score; is it key {key:?}?");
        assert_eq!(note(&line("").repeat(3)), [expected]);
        assert_eq!(note(&(line("") + &line(",\"score\":-1"))), [""; 0]);
    }
    let line =
        r#"{"id":"a","reference":"x","nbest":[{"text":"x","score":-1,"words":1}],"topic":"y"}"#;
    let expected =
        "in.json: no list has a reference; if key \"reference\" has it, rename it to \"ref\"";
    assert_eq!(note(line), [expected]);
    let hinted = |text: &str| read_as(None, text).0.remove(0).unwrap_err().to_string();
    for (text, expected) in [
        (
            r#"{"utt_id":"a","nbest":[{"text":"x"}]}"#,
            "key \"utt_id\" may be it; rename it to \"id\"",
        ),
        (r#"{"id":"a","beams":[{"text":"x"}]}"#, "key \"beams\" may be it; rename it to \"nbest\""),
        (r#"{"id":"a","nbest":[{"pred_text":"x"}]}"#, "key \"pred_text\" may be it; rename it"),
    ] {
        let error = hinted(text);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_long_stream_is_told_about_early() {
    let line = "{\"id\":\"a\",\"nbest\":[{\"text\":\"x\",\"logprob\":-1}]}\n";
    let source = Source::stream("in", std::io::Cursor::new(line.repeat(1500).into_bytes()));
    let mut opened = open(source, None, OpenOptions::default()).unwrap();
    assert_eq!(opened.lists.by_ref().take(1000).count(), 1000);
    assert_eq!(opened.lists.take_notes().len(), 1);
    assert_eq!(opened.lists.by_ref().count(), 500);
    assert!(opened.lists.take_notes().is_empty());
}
