//! Text conventions: references and hypotheses that differ in case, punctuation, Unicode or script.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// References in capitals, texts as Whisper writes them. Without punctuation and case, only `7` differs.
const WHISPER: &str = r#"{"id":"w1","ref":"PLAY SOME MUSIC IN THE LIVING ROOM","nbest":[{"text":" Play some music in the living room.","score":-0.3},{"text":" Lay some music in the living room.","score":-0.4}]}
{"id":"w2","ref":"WAKE ME UP AT SEVEN","nbest":[{"text":" Wake me up at 7.","score":-0.2},{"text":" Wake me up at seven.","score":-0.3}]}
{"id":"w3","ref":"WHAT IS THE WEATHER LIKE IN PARIS TODAY","nbest":[{"text":" What is the weather like in Paris today?","score":-0.2}]}
"#;

/// Three wrong characters in 25.
const CHINESE: &str = r#"{"id":"z1","ref":"打开客厅的空调","nbest":[{"text":"打开客听的空调","score":-1.0},{"text":"打开客厅的空调","score":-1.1}]}
{"id":"z2","ref":"明天下午三点提醒我","nbest":[{"text":"明天下午三点提行我","score":-1.0}]}
{"id":"z3","ref":"播放一首轻松的歌吧","nbest":[{"text":"播放一首轻松的哥吧","score":-1.0}]}
"#;

/// Composed references, decomposed texts.
const DECOMPOSED: &str = r#"{"id":"n1","ref":"schließe die Tür über dem großen Hörsaal","nbest":[{"text":"schließe die Tu\u0308r u\u0308ber dem großen Ho\u0308rsaal","score":-1.0}]}
{"id":"n2","ref":"trời Hà Nội hôm nay đẹp","nbest":[{"text":"tro\u031b\u0300i Ha\u0300 No\u0323\u0302i ho\u0302m nay đe\u0323p","score":-1.0}]}
"#;

const THAI: &str = r#"{"id":"t1","ref":"ปิดไฟในห้องนอน","nbest":[{"text":"เปิดไฟในห้องนอน","score":-1.0},{"text":"ปิดไฟในห้องนอน","score":-1.1}]}
"#;

/// The same words with a zero-width, an ideographic and a no-break space, a byte-order mark, a NUL and a soft hyphen.
const SPACES: &str = r#"{"id":"s1","ref":"open the front door","nbest":[{"text":"open\u200bthe front door","score":-1.0}]}
{"id":"s2","ref":"open the\u3000front door","nbest":[{"text":"open the front\u00a0door","score":-1.0}]}
{"id":"s3","ref":"open the front door","nbest":[{"text":"\ufeffopen the front door\u0000","score":-1.0}]}
{"id":"s4","ref":"open the front door","nbest":[{"text":"open the fro\u00adnt door","score":-1.0}]}
"#;

const APOSTROPHES: &str = r#"{"id":"a1","ref":"can't you see it","nbest":[{"text":"can’t you see it","score":-1.0},{"text":"cannot you see it","score":-1.4}]}
{"id":"a2","ref":"that's fine","nbest":[{"text":"that´s fine","score":-1.0}]}
"#;

#[test]
fn each_convention_gives_the_right_error_rate() {
    for (lists, flags, first) in [
        (WHISPER, "", "%WER 100.00 [ 20 / 20,"),
        (WHISPER, "--normalize lower", "%WER 15.00 [ 3 / 20,"),
        (WHISPER, "--normalize basic", "%WER 5.00 [ 1 / 20,"),
        (WHISPER, "--normalize whisper", "%WER 0.00 [ 0 / 20,"),
        (CHINESE, "", "%WER 100.00 [ 3 / 3,"),
        (CHINESE, "--unit char", "%CER 12.00 [ 3 / 25,"),
        (CHINESE, "--unit mixed", "%MER 12.00 [ 3 / 25,"),
        (DECOMPOSED, "", "%WER 61.54 [ 8 / 13,"),
        (DECOMPOSED, "--normalize lower", "%WER 0.00 [ 0 / 13,"),
        (THAI, "", "%WER 100.00 [ 1 / 1,"),
        (THAI, "--unit char", "%CER 7.14 [ 1 / 14,"),
        (SPACES, "--normalize basic", "%WER 0.00 [ 0 / 16,"),
        (SPACES, "--normalize whisper", "%WER 0.00 [ 0 / 16,"),
        (APOSTROPHES, "", "%WER 33.33 [ 2 / 6,"),
        (APOSTROPHES, "--normalize basic", "%WER 0.00 [ 0 / 6,"),
        (APOSTROPHES, "--normalize whisper", "%WER 0.00 [ 0 / 8,"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("given.jsonl", lists);
        let report = sandbox.run(&format!("eval -q given.jsonl {flags}")).done();
        assert!(report.starts_with(&format!("first pass  {first}")), "{flags}: {report}");
    }
}

#[test]
fn errors_of_form_and_scripts_without_spaces_cause_warnings() {
    for (lists, expected) in [
        (
            WHISPER,
            "19 of 20 errors of the first pass vanish when case and punctuation are ignored; set `normalize` to `basic`",
        ),
        (
            DECOMPOSED,
            "8 of 8 errors of the first pass vanish when Unicode composition (NFC) is ignored; set `normalize` to `lower`",
        ),
        (
            APOSTROPHES,
            "2 of 2 errors of the first pass vanish when case and punctuation are ignored",
        ),
        (SPACES, "errors of the first pass vanish when case and punctuation are ignored"),
        (
            CHINESE,
            "3 of 3 references are in a script without spaces and count as few words, so that one wrong character makes a whole text wrong; set `unit` to `char`",
        ),
        (THAI, "1 of 1 references are in a script without spaces"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("given.jsonl", lists);
        for command in ["eval -q given.jsonl", "inspect given.jsonl"] {
            let run = sandbox.run(command);
            assert!(
                run.stderr.contains(&format!("warning: {expected}"))
                    || run.stderr.contains(expected),
                "{}",
                run.stderr
            );
            run.done();
        }
        let json = sandbox.run("eval -q --json given.jsonl").done();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(json["warnings"][0].as_str().unwrap().contains(expected), "{json}");
        assert_eq!(
            json["conventions"],
            json!({"normalize": "none", "unit": "word", "join": false})
        );
    }
    let sandbox = Sandbox::new();
    sandbox.write("given.jsonl", CHINESE);
    let run = sandbox.run("eval -q given.jsonl --unit char");
    assert_eq!(run.stderr, "");
    assert!(run.done().ends_with("texts compared with normalize none, unit char\n"));
}

/// The lists of the sandbox as a recogniser with case and punctuation writes them, each text also without a full stop.
/// References are in capitals.
fn cased(sandbox: &Sandbox) -> String {
    let mut lines = String::new();
    for line in sandbox.text("lists.jsonl").lines() {
        let mut list: Value = serde_json::from_str(line).unwrap();
        list["ref"] = list["ref"].as_str().unwrap().to_uppercase().into();
        let mut all = Vec::new();
        for h in list["nbest"].as_array().unwrap() {
            let text = h["text"].as_str().unwrap();
            let mut capital = text.to_owned();
            capital.get_mut(..1).iter_mut().for_each(|first| first.make_ascii_uppercase());
            all.extend([json!({"text": format!(" {capital}.")}), json!({"text": text})]);
            if let Some(score) = h["score"].as_f64() {
                let at = all.len();
                all[at - 2]["score"] = score.into();
                all[at - 1]["score"] = (score - 1.0).into();
            }
        }
        list["nbest"] = all.into();
        lines += &format!("{list}\n");
    }
    lines
}

#[test]
fn an_adapter_stores_the_conventions_for_the_other_commands() {
    let sandbox = Sandbox::new();
    sandbox.write("cased.jsonl", cased(&sandbox));
    let train = "train -q --device cpu --model base --train cased.jsonl --dev cased.jsonl --epochs 1 --batch-tokens 60";
    let table = sandbox.run(&format!("{train} --output new --normalize basic --join")).done();
    let conventions = "texts compared with normalize basic, unit word, equal texts joined\n";
    assert!(table.ends_with(conventions), "{table}");
    let inspected = sandbox.run("inspect new --model base").done();
    let stored = "text conventions         normalize basic, unit word, equal texts joined";
    assert!(inspected.contains(stored), "{inspected}");

    let eval = "eval -q --device cpu --model base --adapter new cased.jsonl";
    let run = sandbox.run(eval);
    assert_eq!(run.stderr, "");
    assert!(table.ends_with(&run.done()));
    let other = sandbox.run(&format!("{eval} --normalize none --join=false"));
    assert!(
        other.stderr.contains("compared with normalize none, unit word, but the adapter"),
        "{}",
        other.stderr
    );
    assert!(other.done().ends_with("texts compared with normalize none, unit word\n"));

    // The model sees normalised texts; the output has the recogniser's own.
    let rescore = "rescore -q --device cpu --model base --adapter new cased.jsonl";
    let output = sandbox.run(rescore).done();
    let given: Vec<Value> = sandbox
        .text("cased.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (line, before) in output.lines().zip(&given) {
        let after: Value = serde_json::from_str(line).unwrap();
        let texts = |list: &Value| {
            let all = list["nbest"].as_array().unwrap().iter();
            let mut all: Vec<_> =
                all.map(|h| (h["text"].to_string(), h["score"].to_string())).collect();
            all.sort();
            all
        };
        assert_eq!(texts(&after), texts(before));
        for pair in after["nbest"].as_array().unwrap().chunks(2) {
            assert_eq!(pair[0]["lm"], pair[1]["lm"], "{after}");
            assert_eq!(pair[0]["total"], pair[1]["total"], "{after}");
        }
    }

    // Tuning stores the conventions of its flags with the weights.
    let tune = "tune -q --device cpu --model base --adapter new --dev cased.jsonl";
    let run = sandbox.run(&format!("{tune} --unit char"));
    assert!(
        run.stderr.contains("warning: texts are compared with normalize basic, unit char"),
        "{}",
        run.stderr
    );
    let table = run.done();
    assert!(table.contains("CER\n") && table.contains("first pass CER"), "{table}");
    let report = sandbox.run(eval).done();
    assert!(
        report.contains("%CER") && report.ends_with("unit char, equal texts joined\n"),
        "{report}"
    );
}

#[test]
fn training_on_errors_that_depend_only_on_lengths_is_refused() {
    let sandbox = Sandbox::new();
    let list = |at: usize| {
        let texts = ["turn off the light", "turn off light", "turn on the light"];
        let nbest: Vec<Value> =
            texts.iter().map(|text| json!({"text": text, "score": -1.0})).collect();
        json!({"id": format!("u{at}"), "ref": "TURN OFF THE LIGHT", "nbest": nbest}).to_string()
    };
    let lists: Vec<String> = (0..12).map(list).collect();
    sandbox.write("capitals.jsonl", lists.join("\n"));
    let train = "train -q --device cpu --model base --epochs 1 --output new --train capitals.jsonl";
    sandbox.run(train).failed(
        1,
        "--train: in all 12 training lists with a reference, no hypothesis has a word in common with its reference, so their errors depend only on their lengths; 48 of 48 errors of the first pass vanish when case is ignored; set `normalize` to `lower`",
    );
    let run = sandbox.run(&format!("{train} --normalize lower"));
    assert!(!run.stderr.contains("vanish"), "{}", run.stderr);
    run.done();
    // A few corrected utterances may have nothing in common.
    sandbox.write("capitals.jsonl", lists[..2].join("\n"));
    sandbox.run(&format!("{train} --overwrite")).failed(1, "different errors; 8 of 8 errors");
    sandbox.write("capitals.jsonl", lists[..2].join("\n").replace("turn on", "it was turn on"));
    let run = sandbox.run(&format!("{train} --overwrite"));
    assert!(run.stderr.contains("warning: training lists: 8 of 8 errors"), "{}", run.stderr);
    assert!(run.stderr.contains("6 of 6 hypotheses have no word in common"), "{}", run.stderr);
    run.done();
}

#[test]
fn names_of_conventions_are_checked() {
    let sandbox = Sandbox::new();
    sandbox.refuses("eval lists.jsonl --normalize upper", 2, "invalid value 'upper'");
    sandbox.refuses("eval lists.jsonl --unit words", 2, "[possible values: word, char, mixed]");
}

#[test]
fn joined_texts_do_not_change_the_order_that_inspect_reports() {
    let sandbox = Sandbox::new();
    let list = r#"{"id":"u","nbest":[{"text":"Stop.","score":-1},{"text":"stop","score":-2},{"text":"top","score":-3}]}"#;
    sandbox.write("beams.jsonl", list);
    let text = sandbox.run("inspect beams.jsonl --normalize basic --join").done();
    let value = |label: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("{label}: {text}")).trim().to_owned()
    };
    assert_eq!(value("repeated in their list"), "1 (33.3 %)");
    assert_eq!(value("with a score"), "3 (100.0 %)");
    assert_eq!(value("lists not best first"), "0");
}
