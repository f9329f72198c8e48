//! Help, manual pages and shell completions.

use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;

const COMMANDS: [&str; 15] = [
    "train",
    "tune",
    "rescore",
    "convert",
    "eval",
    "inspect",
    "export",
    "merge-adapters",
    "doctor",
    "bench",
    "study",
    "demo",
    "distill",
    "completions",
    "man",
];

#[test]
fn the_long_help_has_examples_and_the_short_one_has_none() {
    let sandbox = Sandbox::new();
    for command in COMMANDS {
        let long = sandbox.run(&format!("{command} --help")).done();
        assert!(long.contains("Examples:\n"), "{command}: {long}");
        assert!(long.contains(&format!("lorb {command}")), "{command}: {long}");
        let short = sandbox.run(&format!("{command} -h")).done();
        assert!(!short.contains("Examples:"), "{command}: {short}");
    }
}

#[test]
fn pages_are_printed_one_by_one_or_written_together() {
    let sandbox = Sandbox::new();
    let page = sandbox.run("man rescore").done();
    let source = format!("\"lorb {}\"", env!("CARGO_PKG_VERSION"));
    assert!(page.contains(".TH lorb-rescore 1") && page.contains(&source), "{page}");
    // An example is one line, which roff must not fill or break.
    let example = ".nf\nlorb rescore \\-\\-model M \\-\\-adapter adapter lists.jsonl.gz";
    assert!(page.contains(".SH EXAMPLES") && page.contains(example), "{page}");
    let root = sandbox.run("man").done();
    assert!(root.contains(".TH lorb 1") && root.contains("lorb\\-rescore(1)"), "{root}");
    assert!(!root.contains("study\\-cell"), "{root}");

    sandbox.write("man1/other.1", "theirs");
    for _ in 0..2 {
        assert_eq!(sandbox.run("man --output man1").done(), "");
    }
    let mut names: Vec<String> = std::fs::read_dir(sandbox.path("man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    let mut expected: Vec<String> =
        COMMANDS.iter().map(|command| format!("lorb-{command}.1")).collect();
    expected.extend(["lorb.1".to_owned(), "other.1".to_owned()]);
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(sandbox.text("man1/lorb-rescore.1"), page);
    assert_eq!(sandbox.text("man1/other.1"), "theirs");

    sandbox.refuses("man nothing", 2, "nothing: not a command; expected train, tune, rescore");
    sandbox.refuses("man rescore --output man1", 2, "cannot be used with");
    sandbox.write("file", "");
    sandbox.refuses("man --output file", 1, "file: cannot create");
}

#[test]
fn completion_scripts_know_commands_and_flags() {
    let sandbox = Sandbox::new();
    // Not every shell completes the values of a flag.
    let (names, values) = (["rescore", "score-kind"], ["ctranslate2-whisper"]);
    for (shell, words) in [
        ("bash", [&names[..], &values].concat()),
        ("elvish", names.to_vec()),
        ("fish", [&names[..], &values].concat()),
        ("powershell", names.to_vec()),
        ("zsh", [&names[..], &values].concat()),
    ] {
        let script = sandbox.run(&format!("completions {shell}")).done();
        for word in words {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    sandbox.refuses("completions tcsh", 2, "invalid value 'tcsh'");
}

#[test]
#[cfg(unix)]
fn bash_completes_a_command_and_a_value() {
    let sandbox = Sandbox::new();
    sandbox.write("lorb.bash", sandbox.run("completions bash").done());
    let complete = |words: &str, count: usize| {
        let script = format!(
            "source ./lorb.bash; COMP_WORDS=({words}); COMP_CWORD={count}; _lorb lorb \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", &script]).current_dir(sandbox.path("")).stdin(Stdio::null());
        let output = bash.output().expect("bash");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete("lorb res", 1), "rescore");
    assert_eq!(complete("lorb eval --score-kind c", 3), "cost");
}
