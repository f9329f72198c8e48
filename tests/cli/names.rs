//! Names from files that a terminal would act on, and names that are too long for a line.

use serde_json::json;

use crate::sandbox::{Run, Sandbox};

/// Clears the screen, sets the title, reorders text; in JSON and TOML files, as its escapes.
const NAME: &str = "\x1b[2J\x1b]0;title\x07\u{9b}31m\u{7f}\u{202e}\u{2066}\r";

/// Asserts that nothing is printed that a terminal acts on.
#[track_caller]
fn harmless(run: &Run) {
    let acts = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!run.stdout.contains(acts) && !run.stderr.contains(acts), "{:?}", run.stderr);
}

/// Whether the name is shown escaped. JSON has other escapes for some of its characters.
fn shows(run: &Run) -> bool {
    let text = format!("{}{}", run.stdout, run.stderr);
    let text = text.replace(r"\u001b", r"\u{1b}").replace(r"\u0007", r"\u{7}");
    text.contains(r"\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{7f}\u{202e}")
}

const RESCORE: &str = "rescore --model base --adapter adapter --beta 1 --device cpu lists.jsonl";

/// Renames a tensor in a safetensors file.
fn rename(sandbox: &Sandbox, file: &str, from: &str, to: &str) {
    let bytes = sandbox.read(file);
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let (from, to) = (serde_json::to_string(from).unwrap(), serde_json::to_string(to).unwrap());
    assert!(header.contains(&from), "{header}");
    let mut header = header.replacen(&from, &to, 1);
    while header.len() % 8 != 0 {
        header.push(' ');
    }
    let mut new = (header.len() as u64).to_le_bytes().to_vec();
    new.extend(header.bytes());
    new.extend(&bytes[8 + length..]);
    sandbox.write(file, new);
}

/// A tensor of the base that LoRB needs.
const TENSOR: &str = "encoder.layer.0.output.dense.bias";

#[test]
fn control_characters_of_names_are_escaped() {
    type Case = (fn(&Sandbox), String, i32);
    let adapter = |s: &Sandbox| {
        let file = lorb::base::TensorFile::open(s.read("adapter/adapter_model.safetensors"));
        file.unwrap().entries().keys().next().unwrap().clone()
    };
    let first = adapter(&Sandbox::new());
    let words = |text: &str| text.to_owned();
    let cases: [Case; 9] = [
        (|s| s.edit_json("adapter/adapter_config.json", |c| c[NAME] = json!(1)), words(RESCORE), 1),
        (
            |s| s.edit_json("adapter/adapter_config.json", |c| c["peft_type"] = json!(NAME)),
            words(RESCORE),
            1,
        ),
        (
            |s| {
                s.edit_json("adapter/adapter_config.json", |c| {
                    c["base_model_name_or_path"] = json!(NAME);
                });
            },
            words("inspect adapter"),
            0,
        ),
        (
            |s| {
                let name = serde_json::to_string(NAME).unwrap().replace('\u{7f}', r"\u007f");
                s.write("study.toml", format!("{name} = 1"));
            },
            words("study study.toml -o out"),
            1,
        ),
        (|s| s.edit_json("base/config.json", |c| c["model_type"] = json!(NAME)), words(RESCORE), 1),
        (
            |s| s.write("lists.jsonl", json!({"id": NAME, "nbest": []}).to_string() + "\n"),
            words(RESCORE),
            1,
        ),
        (|_| (), format!("eval --model {NAME} --adapter adapter lists.jsonl"), 1),
        (|_| (), format!("eval {NAME}"), 1),
        (|_| (), format!("eval --format {NAME} lists.jsonl"), 2),
    ];
    for (at, (change, words, code)) in cases.into_iter().enumerate() {
        let sandbox = Sandbox::new();
        change(&sandbox);
        let run: Run = sandbox.command().args(words.split(' ')).output().unwrap().into();
        assert_eq!(run.code, Some(code), "case {at}: {}{}", run.stdout, run.stderr);
        harmless(&run);
        // An empty list is reported by its line, and clap removes escape sequences itself.
        assert!(shows(&run) || [5, 8].contains(&at), "case {at}: {}{}", run.stdout, run.stderr);
    }
    let sandbox = Sandbox::new();
    rename(&sandbox, "adapter/adapter_model.safetensors", &first, NAME);
    for words in ["inspect adapter", RESCORE] {
        let run = sandbox.run(words);
        harmless(&run);
        assert!(shows(&run), "{}{}", run.stdout, run.stderr);
    }
    rename(&sandbox, "base/model.safetensors", TENSOR, NAME);
    let run = sandbox.run("inspect base");
    harmless(&run);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
}

#[test]
fn data_keeps_every_character() {
    let sandbox = Sandbox::new();
    let list =
        json!({"id": NAME, "ref": "a", "nbest": [{"text": NAME}, {"text": "a"}], NAME: NAME});
    sandbox.write("lists.jsonl", list.to_string() + "\n");
    let out: serde_json::Value =
        serde_json::from_str(&sandbox.run(&format!("{RESCORE} -q")).done()).unwrap();
    assert_eq!((&out["id"], &out[NAME]), (&json!(NAME), &json!(NAME)));
}

#[test]
fn a_long_name_does_not_fill_the_screen() {
    let long = "x".repeat(300_000);
    let name = long.as_str();
    let config = |key: &str, value: &str| {
        let sandbox = Sandbox::new();
        sandbox.edit_json("adapter/adapter_config.json", |config| config[key] = json!(value));
        sandbox
    };
    let cases = [
        (config(name, "x"), RESCORE, 1),
        (config("peft_type", name), RESCORE, 1),
        (config("base_model_name_or_path", name), "inspect adapter", 0),
    ];
    for (sandbox, words, code) in cases {
        let run = sandbox.run(words);
        assert_eq!(run.code, Some(code), "{words}: {} bytes", run.stderr.len());
        let longest = run.stdout.lines().chain(run.stderr.lines()).map(str::len).max();
        assert!(longest.is_some_and(|longest| longest < 3000), "{words}: {longest:?}");
        assert!(run.stdout.contains("xxx") || run.stderr.contains("xxx"), "{words}");
    }
}
