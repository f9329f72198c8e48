//! Help, and invalid values of flags.

use crate::sandbox::Sandbox;

const TRAIN: &str = "train --model base --device cpu --train lists.jsonl --output new";

#[test]
fn help_goes_to_standard_output() {
    let sandbox = Sandbox::new();
    let help = sandbox.run("--help").done();
    // From the help itself, so that a new command is tested too.
    let (_, listed) = help.split_once("\nCommands:\n").expect("a list of commands");
    let (listed, _) = listed.split_once("\n\n").expect("options follow the commands");
    let commands: Vec<&str> =
        listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() >= 11 && commands.contains(&"export"), "{help}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let text = sandbox.run(&format!("{command} --help")).done();
        assert!(text.contains(&format!("Usage: lorb {command}")), "{text}");
    }
    let version = sandbox.run("--version").done();
    assert_eq!(version, format!("lorb {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn defaults_in_the_help_match_the_library() {
    let help = Sandbox::new().run("train --help").done();
    // As one line: clap breaks lines anywhere.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let train = lorb::train::TrainConfig::default();
    let lora = lorb::methods::LoraConfig::default();
    let defaults = [
        ("--lr <X>", train.lr.to_string()),
        ("--epochs <N>", train.epochs.to_string()),
        ("--batch-tokens <N>", train.batch_tokens.to_string()),
        ("--objective <NAME>", train.objective.to_string()),
        ("--lora-r <N>", lora.rank.to_string()),
        ("--lora-alpha <X>", lora.alpha.to_string()),
        ("--lora-target-modules <NAME>", "query,value".to_owned()),
    ];
    for (flag, value) in defaults {
        let (_, rest) = help.split_once(flag).unwrap_or_else(|| panic!("no {flag} in {help}"));
        let (_, rest) = rest.split_once("[default: ").unwrap();
        let found = rest.split_once(']').unwrap().0.replace(' ', "");
        assert_eq!(found, value, "{flag}");
    }
}

#[test]
fn wrong_usage_gives_exit_code_2() {
    let cases = [
        ("", "Usage: lorb"),
        ("fly", "unrecognized subcommand 'fly'"),
        ("rescore", "--model <DIR|ID>"),
        ("eval", "<FILE>"),
        (
            "rescore --model base --adapter adapter --device tpu",
            "invalid value 'tpu' for '--device",
        ),
        ("eval --model base lists.jsonl", "--adapter <DIR>"),
        ("eval --beta 1 lists.jsonl", "--beta, --gamma and --part need --model and --adapter"),
        ("eval --model base --adapter adapter --beta nan lists.jsonl", "expected a number"),
        ("inspect base --model base", "--model is only valid with an adapter directory"),
        ("demo --domain cooking", "invalid value 'cooking'"),
    ];
    let sandbox = Sandbox::new();
    for (words, expected) in cases {
        let before = sandbox.files();
        let run = sandbox.run(words);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{words}: {}", run.stderr);
        assert!(run.stderr.contains(expected), "{words}: {}", run.stderr);
        assert!(sandbox.files() == before);
    }
}

#[test]
fn invalid_training_settings_are_reported_with_their_flag() {
    let cases = [
        (
            "--lora-target-modules query,gate_proj",
            "--lora-target-modules: target module \"gate_proj\"",
        ),
        ("--lora-r 0", "--lora-r is 0"),
        ("--lora-r 33", "--lora-r is 33"),
        ("--lora-alpha -1", "--lora-alpha"),
        ("--lora-alpha 0", "--lora-alpha is 0"),
        ("--lora-dropout 1", "--lora-dropout is 1"),
        ("--lora-layers 3", "--lora-layers names layer 3"),
        ("--lora-r four", "invalid value 'four' for '--lora-r"),
        ("--lr 0", "--lr 0: expected a positive number"),
        ("--lr inf", "--lr inf: expected a positive number"),
        ("--epochs 0", "--epochs 0: expected 1 or more"),
        ("--nbest 1", "--nbest 1: expected 2 or more"),
        ("--batch-tokens 0", "--batch-tokens 0: expected 1 or more"),
        ("--accumulate 0", "--accumulate 0: expected 1 or more"),
        ("--warmup 2", "--warmup 2: expected a fraction of the steps"),
        ("--label-smoothing 1", "--label-smoothing 1: expected"),
        ("--cor-weight NaN", "--cor-weight NaN: expected"),
        ("--evals-per-epoch 0", "--evals-per-epoch 0: expected"),
        ("--patience 0", "--patience 0: expected 1 or more"),
        ("--beta 0", "--beta 0: expected a positive number"),
        ("--checkpoint-every 0", "expected a positive integer"),
        ("--objective mle", "invalid value 'mle' for '--objective"),
        ("--decay sudden", "invalid value 'sudden' for '--decay"),
        ("--resume --overwrite", "cannot be used with"),
    ];
    let sandbox = Sandbox::new();
    for (flags, expected) in cases {
        sandbox.refuses(&format!("{TRAIN} {flags}"), 2, expected);
    }
}
