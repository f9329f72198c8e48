//! The values of a line, and how they are written back.

use serde_json::json;

use super::super::{Hypothesis, JsonLines, Utterance, write_jsonl};
use super::{GOOD, one};

fn written(u: &Utterance) -> String {
    let mut out = Vec::new();
    write_jsonl(&mut out, u).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn reads_the_canonical_form() {
    let u = one(GOOD);
    let list = vec![Hypothesis::new("a b", Some(-1.5)), Hypothesis::new("", None)];
    assert_eq!(u, Utterance::new("u1", Some("a b".into()), list));
}

#[test]
fn writes_what_it_read_byte_for_byte() {
    assert_eq!(written(&one(GOOD)), format!("{GOOD}\n"));
}

#[test]
fn null_is_absent() {
    let u = one(
        r#"{"id":"a","ref":null,"nbest":[{"text":"x","score":null,"am":null,"lm":null,"total":null}]}"#,
    );
    assert_eq!(u, Utterance::new("a", None, vec![Hypothesis::new("x", None)]));
    assert_eq!(written(&u), "{\"id\":\"a\",\"nbest\":[{\"text\":\"x\"}]}\n");
}

#[test]
fn an_empty_reference_differs_from_a_missing_one() {
    let u = one(r#"{"id":"a","ref":"","nbest":[{"text":""}]}"#);
    assert_eq!(u.reference.as_deref(), Some(""));
    assert!(written(&u).contains(r#""ref":"""#));
}

#[test]
fn unknown_keys_keep_their_order_after_the_known_ones() {
    let u = one(
        r#"{"zoo":1,"id":"a","meta":{"z":[1,2],"a":null},"nbest":[{"post":0.25,"text":"x","b":true,"am":-2}],"apple":"é"}"#,
    );
    assert_eq!(u.extra.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["zoo", "meta", "apple"]);
    assert_eq!(u.hypotheses[0].extra.get("post"), Some("0.25"));
    assert_eq!(
        written(&u),
        "{\"id\":\"a\",\"nbest\":[{\"text\":\"x\",\"am\":-2.0,\"post\":0.25,\"b\":true}],\"zoo\":1,\"meta\":{\"z\":[1,2],\"a\":null},\"apple\":\"é\"}\n"
    );
}

#[test]
fn a_known_key_wins_over_one_put_into_extra() {
    let mut u = one(GOOD);
    u.extra.insert("id", &json!("other"));
    u.hypotheses[0].extra.insert("score", &json!(7));
    assert_eq!(written(&u), format!("{GOOD}\n"));
}

#[test]
fn list_lengths_from_1_to_200() {
    for count in [1, 2, 199, 200] {
        let list = vec![r#"{"text":"a"}"#; count].join(",");
        assert_eq!(one(&format!(r#"{{"id":"a","nbest":[{list}]}}"#)).hypotheses.len(), count);
    }
}

#[test]
fn scores_keep_every_bit() {
    for score in [-0.1 - 0.2, f64::MIN_POSITIVE, -1e308, 5e-324, -0.0, 1.0 / 3.0] {
        let u = Utterance::new("a", None, vec![Hypothesis::new("x", Some(score))]);
        let back = one(&written(&u)).hypotheses[0].score.unwrap();
        assert_eq!(back.to_bits(), score.to_bits(), "{score:e}");
    }
}

#[test]
fn large_integers_are_numbers_too() {
    let u = one(
        r#"{"id":"a","nbest":[{"text":"x","score":-12},{"text":"y","score":123456789012345678901}]}"#,
    );
    assert_eq!(u.hypotheses[0].score, Some(-12.0));
    assert_eq!(u.hypotheses[1].score, Some(123_456_789_012_345_678_901.0));
}

#[test]
fn a_non_finite_score_is_not_written() {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut u = one(GOOD);
        u.hypotheses[1].lm = Some(bad);
        let mut out = Vec::new();
        let error = write_jsonl(&mut out, &u).unwrap_err().to_string();
        assert!(error.contains("\"u1\", hypothesis 2: lm"), "{error}");
        assert!(out.is_empty());
    }
}

#[test]
fn parts_of_the_first_pass_score() {
    let part = |h: &Hypothesis| h.parts.iter().map(|(n, v)| format!("{n} {v}")).collect::<Vec<_>>();
    let u = one(
        r#"{"id":"a","nbest":[{"text":"x","lm":-2,"am":-1,"scores":{"ctc":-3,"att":null}},{"text":"y","scores":{"lm":-7},"lm":-4,"total":-5},{"text":"z","first_lm":-6}]}"#,
    );
    let [x, y, z] = &u.hypotheses[..] else { panic!("three hypotheses") };
    assert_eq!((part(x), x.lm), (vec!["am -1".to_owned(), "ctc -3".into(), "lm -2".into()], None));
    // With a total, `lm` is the adapter's score.
    assert_eq!((part(y), y.lm, y.total), (vec!["lm -7".to_owned()], Some(-4.0), Some(-5.0)));
    assert_eq!(part(z), ["lm -6"]);
    assert_eq!(one(&written(&u)), u);
    assert_eq!(
        written(&u),
        r#"{"id":"a","nbest":[{"text":"x","am":-1.0,"lm":-2.0,"scores":{"ctc":-3.0}},{"text":"y","lm":-4.0,"total":-5.0,"first_lm":-7.0},{"text":"z","lm":-6.0}]}
"#
    );
}

#[test]
fn invalid_parts_are_errors() {
    let many: Vec<String> = (0..17).map(|at| format!("\"p{at}\":0")).collect();
    let many = format!("\"scores\":{{{}}}", many.join(","));
    for (keys, expected) in [
        (r#""lm":-1,"scores":{"lm":-1}"#, "the score part \"lm\" occurs twice"),
        (r#""scores":{"a":1,"a":1}"#, "the score part \"a\" occurs twice"),
        (r#""scores":{"a":"1"}"#, "\"scores\" must be an object of numbers"),
        (r#""scores":[1]"#, "\"scores\" must be an object"),
        (&many, "more than 16 score parts"),
    ] {
        let line = format!(r#"{{"id":"a","nbest":[{{"text":"x",{keys}}}]}}"#);
        let error = JsonLines::new(line.as_bytes(), "f").next().unwrap().unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("hypothesis 1"), "{error}");
    }
}
