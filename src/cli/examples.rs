//! The examples in the help of each command and in its manual page.

use clap::Command;

/// An example: what it does, and its command line.
pub type Example = (&'static str, &'static str);

/// The examples of each command.
const EXAMPLES: [(&str, &[Example]); 15] = [
    (
        "train",
        &[
            (
                "Train on 600 to 5000 lists with the defaults (LoRA of rank 8 on query and value):",
                "lorb train --model sentence-transformers/all-MiniLM-L6-v2 --train train.jsonl.gz --dev dev.jsonl.gz --output adapter",
            ),
            (
                "Train at most 0.08 % of the parameters, with the correlation term:",
                "lorb train --model M --train train.jsonl --dev dev.jsonl --output adapter --method lorb --budget 0.08%",
            ),
            (
                "Lists of Whisper, whose beams differ mostly in case and punctuation:",
                "lorb train --model M --train train.jsonl --dev dev.jsonl --output adapter --normalize whisper --join",
            ),
            (
                "Learn the scores of a teacher, from lists without references that `lorb rescore --pll` wrote:",
                "lorb train --model M --train scored.jsonl --dev dev.jsonl --output adapter --objective md",
            ),
            (
                "Continue a run that was stopped:",
                "lorb train --model M --train train.jsonl --dev dev.jsonl --output adapter --resume",
            ),
        ],
    ),
    (
        "tune",
        &[
            (
                "Tune beta, and a word insertion reward:",
                "lorb tune --model M --adapter adapter --dev dev.jsonl --gamma",
            ),
            (
                "Also a weight for each part of the first-pass score (Kaldi, ESPnet, HypR):",
                "lorb tune --model M --adapter adapter --dev decode_dev --references text --parts",
            ),
        ],
    ),
    (
        "rescore",
        &[
            (
                "Re-rank a file, in its own format; --resume continues the run if it is stopped:",
                "lorb rescore --model M --adapter adapter lists.jsonl.gz -o rescored.jsonl.gz",
            ),
            (
                "Re-rank in a pipe:",
                "recogniser | lorb rescore --model M --adapter adapter > rescored.jsonl",
            ),
            (
                "The best hypotheses of an ESPnet folder, for Kaldi's and ESPnet's scoring tools:",
                "lorb rescore --model M --adapter adapter decode_test --to text -o text",
            ),
            (
                "Add the pseudo-log-likelihood of a BERT, without an adapter, and keep the order:",
                "lorb rescore --model bert-base-uncased --pll --beta 0 lists.jsonl -o scored.jsonl",
            ),
        ],
    ),
    (
        "convert",
        &[
            (
                "An ESPnet folder as JSON lines:",
                "lorb convert decode_test -o lists.jsonl --to jsonl",
            ),
            ("JSON lines as a Kaldi folder:", "lorb convert lists.jsonl -o nbest --to kaldi"),
            (
                "NeMo's beams with the references of its manifest:",
                "lorb convert preds_out_width10.tsv --manifest manifest.json --to jsonl -o lists.jsonl",
            ),
            ("Input of sclite:", "lorb convert lists.jsonl --to trn > hyp.trn"),
        ],
    ),
    (
        "eval",
        &[
            ("WER of the first pass and of the oracle:", "lorb eval test.jsonl.gz"),
            (
                "What an adapter changes, also as a report for browsers:",
                "lorb eval --model M --adapter adapter test.jsonl.gz --html report.html",
            ),
            (
                "References in a separate file; those without a list count as deletions:",
                "lorb eval decode_test --references text --missing deletions",
            ),
            (
                "Character error rate, for a script without spaces:",
                "lorb eval chinese.jsonl --unit char",
            ),
            (
                "Scores that are costs, under another key:",
                "lorb eval lists.jsonl --costs --score-key cost",
            ),
        ],
    ),
    (
        "inspect",
        &[
            ("Summarise lists, and report errors by line:", "lorb inspect lists.jsonl.gz"),
            ("What an adapter contains:", "lorb inspect adapter"),
        ],
    ),
    (
        "distill",
        &[
            (
                "A student of three of six layers with 8,000 of 30,522 word pieces, trained on plain text:",
                "lorb distill --teacher sentence-transformers/all-MiniLM-L6-v2 --text sentences.txt --layers 3 --vocabulary 8000 --output student",
            ),
            (
                "The first three layers as they are, without training:",
                "lorb distill --teacher M --layers 1,2,3 --untrained --output first-three",
            ),
        ],
    ),
    (
        "export",
        &[
            (
                "A base of a fifth of the size, for the npm package:",
                "lorb export --model sentence-transformers/all-MiniLM-L6-v2 --precision int4 --output base-int4",
            ),
            (
                "In files of 10 MB, with an adapter merged in, and what it loses on dev lists:",
                "lorb export --model M --adapter adapter --precision int8 --shards 10MB --check dev.jsonl --output merged",
            ),
        ],
    ),
    (
        "merge-adapters",
        &[
            (
                "The weighted sum of two adapters of one base:",
                "lorb merge-adapters call-centre dictation --model M --weights 0.7,0.3 --output both",
            ),
            (
                "The closest adapter of rank 8:",
                "lorb merge-adapters call-centre dictation --model M --mode svd --rank 8 --output both",
            ),
        ],
    ),
    ("doctor", &[("Check all devices of this machine:", "lorb doctor")]),
    (
        "bench",
        &[
            ("Without data and without a download:", "lorb bench --shape minilm"),
            ("Every kernel by itself, as JSON:", "lorb bench --shape bert-base --kernels --json"),
            (
                "What a device can do without LoRB: launches, uploads, reads, arithmetic, copies:",
                "lorb bench --sweep floor",
            ),
            (
                "Every tile of the matrix products at two numbers of rows:",
                "lorb bench --sweep tiles --shape minilm --sizes 1024,4096",
            ),
            (
                "Steps of a training run and rescoring passes, for a minute at most:",
                "lorb bench --sweep steps --lora-target-modules all-linear --limit 60",
            ),
            (
                "What the model of a step expects of other devices:",
                "lorb bench --sweep predictions --shape bert-base --lora-target-modules all-linear",
            ),
        ],
    ),
    (
        "study",
        &[
            ("List the runs of a study:", "lorb study studies/quick.toml -o quick-study --dry-run"),
            (
                "Run them; the same command continues a study that was stopped:",
                "lorb study studies/quick.toml -o quick-study",
            ),
        ],
    ),
    (
        "demo",
        &[
            ("About a minute on two cores, without a network:", "lorb demo"),
            ("With a larger base, which is downloaded once:", "lorb demo --model all-MiniLM-L6-v2"),
            ("Keep the adapter:", "lorb demo --domain dictation --output adapter"),
        ],
    ),
    (
        "completions",
        &[
            (
                "For bash; other shells look in other directories:",
                "lorb completions bash > ~/.local/share/bash-completion/completions/lorb",
            ),
            ("For zsh, in a directory of $fpath:", "lorb completions zsh > ~/.zfunc/_lorb"),
            ("For fish:", "lorb completions fish > ~/.config/fish/completions/lorb.fish"),
        ],
    ),
    (
        "man",
        &[
            ("The page of a command:", "lorb man train > lorb-train.1"),
            ("All pages, where `man` finds them:", "lorb man --output ~/.local/share/man/man1"),
        ],
    ),
];

/// The examples of a command.
pub fn of(command: &str) -> &'static [Example] {
    EXAMPLES.iter().find(|(name, _)| *name == command).map_or(&[], |(_, examples)| examples)
}

/// Adds the examples to the help of every command.
pub fn add(mut root: Command) -> Command {
    for (name, examples) in EXAMPLES {
        root = root.mut_subcommand(name, |command| command.after_long_help(text(examples)));
    }
    root
}

/// The last section of a help text.
fn text(examples: &[Example]) -> String {
    let shown = examples.iter().map(|(what, line)| format!("  {what}\n    {line}"));
    format!("Examples:\n{}", shown.collect::<Vec<_>>().join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_a_valid_command_line_of_its_command() {
        for (name, examples) in EXAMPLES {
            for (_, line) in examples {
                // A pipe before the command and a redirection after it are the shell's.
                let command = line.split(" | ").last().unwrap_or(line);
                let words = command.split(" > ").next().unwrap_or(command).split(' ');
                let parsed = crate::cli::command().try_get_matches_from(words);
                let matches = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!(matches.subcommand_name(), Some(name), "{line}");
            }
        }
    }

    #[test]
    fn every_command_has_examples() {
        let root = crate::cli::command();
        for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
            assert!(!of(command.get_name()).is_empty(), "{}", command.get_name());
        }
    }
}
