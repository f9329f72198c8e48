//! N-best lists that cannot be read, in every command that reads them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::sandbox::Sandbox;

const GOOD: &str = "{\"id\":\"good\",\"ref\":\"a\",\"nbest\":[{\"text\":\"a\"}]}\n";

/// A second line, and the error after `bad.jsonl:2: `.
const BAD_LINES: [(&str, &str); 12] = [
    ("{\"id\":\"x\"", "not valid JSON"),
    ("not json", "not valid JSON"),
    ("[]", "expected one object, found a list"),
    ("{\"nbest\":[{\"text\":\"a\"}]}", "key \"id\" is missing"),
    ("{\"id\":\"\",\"nbest\":[{\"text\":\"a\"}]}", "key \"id\" is empty"),
    ("{\"id\":\"x\"}", "key \"nbest\" is missing"),
    ("{\"id\":\"x\",\"nbest\":[]}", "key \"nbest\" is an empty list"),
    ("{\"id\":\"x\",\"nbest\":[{\"score\":1}]}", "hypothesis 1: key \"text\" is missing"),
    (
        "{\"id\":\"x\",\"nbest\":[{\"text\":\"a\",\"score\":\"-1\"}]}",
        "hypothesis 1: key \"score\" must be a finite number or null",
    ),
    (
        "{\"id\":\"x\",\"nbest\":[{\"text\":\"a\",\"score\":1e999}]}",
        "number at column 44 is not finite",
    ),
    (
        "{\"id\":\"x\",\"nbest\":[{\"text\":\"a\",\"score\":NaN}]}",
        "number at column 40 is not finite",
    ),
    ("{\"id\":\"x\",\"id\":\"y\",\"nbest\":[{\"text\":\"a\"}]}", "key \"id\" occurs twice"),
];

/// Every command that reads lists, with BAD for the file.
const COMMANDS: [&str; 6] = [
    "rescore --model base --adapter adapter --beta 1 --device cpu -o out.jsonl BAD",
    "tune --model base --adapter adapter --device cpu --dev BAD",
    "train --model base --device cpu --train BAD --output new",
    "train --model base --device cpu --train lists.jsonl --dev BAD --output new",
    "eval BAD",
    "inspect BAD",
];

#[test]
fn each_bad_line_is_reported_with_file_and_line() {
    let sandbox = Sandbox::new();
    for (at, (line, expected)) in BAD_LINES.into_iter().enumerate() {
        sandbox.write("bad.jsonl", format!("{GOOD}{line}\n"));
        let command = COMMANDS[at % COMMANDS.len()].replace("BAD", "bad.jsonl");
        sandbox.refuses(&command, 1, &format!("error: bad.jsonl:2: {expected}"));
    }
}

#[test]
fn every_command_stops_at_a_bad_line_unless_told_to_skip_it() {
    for command in COMMANDS {
        let sandbox = Sandbox::new();
        let lists = sandbox.text("lists.jsonl");
        sandbox.write("bad.jsonl", format!("{lists}{{\n{lists}"));
        let command = command.replace("BAD", "bad.jsonl");
        sandbox.refuses(&command, 1, "bad.jsonl:7: ");
        let run = sandbox.run(&format!("{command} --skip-invalid"));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let counted = run.stderr.contains("1 invalid line skipped; the first: bad.jsonl:7: ")
            || run.stdout.contains("invalid lines            1");
        assert!(counted, "{command}: {}{}", run.stdout, run.stderr);
    }
}

#[test]
fn files_without_lists_are_reported() {
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let sandbox = Sandbox::new();
    let whole = gzip(&sandbox.text("lists.jsonl"));
    sandbox.write("cut.gz", &whole[..whole.len() / 2]);
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0xff;
    sandbox.write("damaged.gz", damaged);
    sandbox.write("empty.jsonl", "");
    sandbox.write("binary", [0xfb, 0xfe, 0xff, 1]);
    sandbox.write("utf16", [0xff, 0xfe, b'{', 0]);
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    let cases = [
        ("missing.jsonl", "missing.jsonl: cannot read: no such file or directory"),
        ("cut.gz", "cut.gz: gzip data truncated"),
        ("damaged.gz", "damaged.gz: "),
        ("binary", "binary:1: byte 1 of the line is not UTF-8"),
        ("utf16", "utf16: this is text in UTF-16 or UTF-32 (save it in UTF-8)"),
        ("folder", "folder: no N-best lists found"),
    ];
    for command in COMMANDS {
        for (file, expected) in cases {
            sandbox.refuses(&command.replace("BAD", file), 1, expected);
        }
    }
    sandbox.refuses("eval empty.jsonl", 1, "empty.jsonl: no list, so there is no WER");
    sandbox.refuses("inspect empty.jsonl", 1, "empty.jsonl: contains no lists");
    sandbox.refuses(&COMMANDS[1].replace("BAD", "empty.jsonl"), 1, "nothing to tune on");
    sandbox.refuses(&COMMANDS[2].replace("BAD", "empty.jsonl"), 1, "--train: nothing to train on");
}

#[test]
fn training_and_evaluation_need_references() {
    let sandbox = Sandbox::new();
    sandbox.write("bare.jsonl", "{\"id\":\"x\",\"nbest\":[{\"text\":\"a\"},{\"text\":\"b\"}]}\n");
    sandbox.write("silent.jsonl", "{\"id\":\"x\",\"ref\":\"\",\"nbest\":[{\"text\":\"a\"}]}\n");
    sandbox.refuses("eval bare.jsonl", 1, "no list with a reference");
    sandbox.refuses(&COMMANDS[1].replace("BAD", "bare.jsonl"), 1, "no list with a reference");
    sandbox.refuses(&COMMANDS[1].replace("BAD", "silent.jsonl"), 1, "all references are empty");
    sandbox.refuses(&COMMANDS[2].replace("BAD", "bare.jsonl"), 1, "1 have no reference");
    sandbox.refuses(&COMMANDS[3].replace("BAD", "bare.jsonl"), 1, "no reference words");
}

#[test]
fn every_command_takes_a_format() {
    for command in COMMANDS {
        let sandbox = Sandbox::new();
        sandbox.write("lists.txt", sandbox.text("lists.jsonl"));
        let command = command.replace("BAD", "lists.txt");
        let run = sandbox.run(&format!("{command} --format jsonl"));
        assert_eq!(run.code, Some(0), "{command}: {}", run.stderr);
        // The output of the first training would make the second one fail.
        let sandbox = Sandbox::new();
        sandbox.write("lists.txt", sandbox.text("lists.jsonl"));
        let refused = format!("{command} --format espnet");
        sandbox.refuses(&refused, 1, "is a file; the format espnet is a folder");
        sandbox.refuses(&format!("{command} --format lattice"), 2, "invalid value 'lattice'");
    }
}

#[test]
fn a_wrong_guess_of_the_format_names_the_flag() {
    let sandbox = Sandbox::new();
    sandbox.write("text", "u1 hello there\n");
    let guessed = "text:1: not valid JSON at column 1: expected value (N-best files have one JSON object per line; is this one?); --skip-invalid skips such lines; read as jsonl; select another format with --format";
    sandbox.refuses("eval text", 1, guessed);
    // After a valid line, or if the user named the format, the format is certain.
    sandbox.write("late.jsonl", format!("{GOOD}{{\n"));
    for words in ["eval late.jsonl", "eval text --format jsonl"] {
        let run = sandbox.run(words);
        assert!(
            run.stderr.contains("--skip-invalid") && !run.stderr.contains("--format"),
            "{words}"
        );
    }
    sandbox.write("folder/notes.txt", "");
    sandbox.refuses(
        "eval folder --format jsonl",
        1,
        "folder: is a folder; the format jsonl is a file",
    );
}
