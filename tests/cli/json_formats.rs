//! The formats that are JSON, from the command line: detection, first-pass errors, conversion there and back, wrong files.

use std::fs;
use std::path::Path;

use crate::sandbox::Sandbox;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lists").join(name)).unwrap()
}

/// A file, its format, and the word errors of its first pass as jiwer 4.0.0 counts them, of 17 reference words.
const FILES: [(&str, &str, u64); 9] = [
    ("mlm-scoring.am.json", "mlm-scoring", 1),
    ("hyporadise.json", "hyporadise", 1),
    ("hyporadise-older.json", "hyporadise", 1),
    ("hypr.jsonl", "hypr", 0),
    ("sherpa-onnx.jsonl", "sherpa-onnx", 1),
    ("vosk.json", "vosk", 1),
    ("web-speech.jsonl", "web-speech", 0),
    ("transformers.jsonl", "transformers", 1),
    ("ctranslate2-whisper.jsonl", "ctranslate2-whisper", 1),
];

fn errors(sandbox: &Sandbox, file: &str) -> u64 {
    let report: serde_json::Value =
        serde_json::from_str(&sandbox.run(&format!("eval {file} --json")).done()).unwrap();
    assert_eq!(report["utterances"], 4, "{file}");
    assert_eq!(report["without_reference"], 0, "{file}");
    assert_eq!(report["first_pass"]["reference_words"], 17, "{file}");
    assert_eq!(report["oracle"]["errors"], 0, "{file}");
    report["first_pass"]["errors"].as_u64().unwrap()
}

#[test]
fn the_first_pass_has_the_errors_that_jiwer_counts() {
    let sandbox = Sandbox::new();
    for (file, _, expected) in FILES {
        sandbox.write(file, fixture(file));
        assert_eq!(errors(&sandbox, file), expected, "{file}");
    }
}

#[test]
fn each_format_converts_to_json_lines_and_back() {
    let sandbox = Sandbox::new();
    for (file, format, expected) in FILES {
        sandbox.write(file, fixture(file));
        sandbox.run(&format!("convert {file} -o lists-1.jsonl --to jsonl")).done();
        assert_eq!(errors(&sandbox, "lists-1.jsonl"), expected, "{file}");
        sandbox.run(&format!("convert lists-1.jsonl -o back --to {format}")).done();
        assert_eq!(errors(&sandbox, "back"), expected, "{file}");
        let inspected = sandbox.run("inspect back").done();
        assert!(inspected.contains(format), "{inspected}");
        sandbox.run("convert back -o lists-2.jsonl --to jsonl").done();
        assert_eq!(sandbox.text("lists-1.jsonl"), sandbox.text("lists-2.jsonl"), "{file}");
    }
}

#[test]
fn rescoring_answers_in_the_same_format_with_the_lists_in_their_new_order() {
    let sandbox = Sandbox::new();
    for (file, format, _) in FILES {
        sandbox.write(file, fixture(file));
        let rescore = "rescore --model base --adapter adapter --beta 1 --device cpu";
        sandbox.run(&format!("{rescore} {file} -o out")).done();
        sandbox.run(&format!("{rescore} {file} -o out.jsonl --to jsonl")).done();
        let inspected = sandbox.run("inspect out").done();
        assert!(inspected.contains(format), "{inspected}");
        sandbox.run("convert out -o again.jsonl --to jsonl").done();
        let texts = |name: &str| -> Vec<String> {
            let first = |line: &str| {
                let list: serde_json::Value = serde_json::from_str(line).unwrap();
                format!("{} {} {}", list["id"], list["nbest"][0]["text"], list["nbest"][0]["total"])
            };
            sandbox.text(name).lines().map(first).collect()
        };
        assert_eq!(texts("again.jsonl"), texts("out.jsonl"), "{file}");
    }
}

#[test]
fn lists_without_ids_are_named_by_their_position_and_a_note_says_so() {
    let sandbox = Sandbox::new();
    sandbox.write("day 2.vosk.json", fixture("vosk.json"));
    let run = sandbox.command().args(["inspect", "day 2.vosk.json"]).output().unwrap();
    let notes = String::from_utf8(run.stderr).unwrap();
    assert!(notes.contains("named by their position, from day-2-1"), "{notes}");
}

#[test]
fn a_file_of_another_kind_is_named_with_what_to_do() {
    let sandbox = Sandbox::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 12\n";
    let utf16: Vec<u8> = "{\"id\"".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&[u8], &str); 7] = [
        (pointer.as_bytes(), "this is a Git LFS pointer, not the file itself (fetch the file"),
        (b"<!DOCTYPE html><html>", "this is an HTML page"),
        (b"PAR1\x15\x04\x15\x0c", "this is a Parquet file (write each row as a line of JSON"),
        (b"PK\x03\x04\x14\x00\x08\x00", "this is a ZIP archive, such as PyTorch writes (unpack it"),
        (b"\x80\x04\x95\x10\x00\x00\x00", "this is a Python pickle"),
        (
            &[b"\xff\xfe", &utf16[..]].concat(),
            "this is text in UTF-16 or UTF-32 (save it in UTF-8)",
        ),
        (b"RIFF\x24\x08\x00\x00WAVEfmt ", "this is an audio file (WAVE)"),
    ];
    for (bytes, expected) in cases {
        sandbox.write("lists", bytes);
        sandbox.refuses("eval lists", 1, &format!("error: lists: {expected}"));
        sandbox.refuses("eval lists --format jsonl", 1, expected);
    }
}
