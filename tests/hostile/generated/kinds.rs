//! What is damaged, and the command that reads it.

use crate::mutate::Form;

/// What a successful command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The lists of this file or folder, rescored.
    Lists,
    /// A report for the user.
    Text,
}

/// A kind of input.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    /// The file in the prepared folder that is damaged.
    pub file: &'static str,
    pub form: Form,
    pub command: &'static str,
    pub output: Output,
    /// How many damaged files there are.
    pub count: usize,
}

const fn kind(
    name: &'static str,
    (file, form): (&'static str, Form),
    (command, output): (&'static str, Output),
    count: usize,
) -> Kind {
    Kind { name, file, form, command, output, count }
}

/// Adapters of these methods are trained to be damaged, in addition to the golden one.
pub const METHODS: &[&str] =
    &["dora", "adalora", "mixed-rank", "prefix", "houlsby", "bitfit", "full", "head"];

const RESCORE: &str =
    "rescore -q --device cpu --model base --adapter adapter --beta 0.5 lists.jsonl";
const PLAIN: &str =
    "rescore -q --device cpu --model plain --adapter adapter --beta 0.5 lists.jsonl";
const ESPNET: &str =
    "eval -q --device cpu --model base --adapter adapter --beta 0.5 --references references espnet";

/// Every kind of file that LoRB reads. The counts add up to more than a thousand.
pub const KINDS: &[Kind] = &[
    kind("lists", ("lists.jsonl", Form::JsonLines), (RESCORE, Output::Lists), 150),
    kind(
        "lists, gzip",
        ("lists.jsonl.gz", Form::Gzip(&Form::JsonLines)),
        (
            "rescore -q --device cpu --model base --adapter adapter --beta 0.5 lists.jsonl.gz",
            Output::Lists,
        ),
        80,
    ),
    kind(
        "lists, invalid ones skipped",
        ("lists.jsonl", Form::JsonLines),
        (
            "rescore -q --device cpu --model base --adapter adapter --beta 0.5 --skip-invalid lists.jsonl",
            Output::Text,
        ),
        60,
    ),
    kind("lists for training", ("lists.jsonl", Form::JsonLines), (TRAIN, Output::Text), 40),
    kind(
        "lists for inspect",
        ("lists.jsonl", Form::JsonLines),
        ("inspect lists.jsonl", Output::Text),
        40,
    ),
    kind(
        "ESPnet texts",
        ("espnet/output.1/2best_recog/text", Form::Text),
        (ESPNET, Output::Text),
        60,
    ),
    kind(
        "ESPnet scores",
        ("espnet/output.1/2best_recog/score", Form::Text),
        (ESPNET, Output::Text),
        60,
    ),
    kind("ESPnet references", ("references", Form::Text), (ESPNET, Output::Text), 40),
    kind("config.json", ("base/config.json", Form::Json), (RESCORE, Output::Lists), 100),
    kind("tokenizer.json", ("base/tokenizer.json", Form::Json), (RESCORE, Output::Lists), 200),
    kind("vocab.txt", ("plain/vocab.txt", Form::Text), (PLAIN, Output::Lists), 60),
    kind(
        "tokenizer_config.json",
        ("plain/tokenizer_config.json", Form::Json),
        (PLAIN, Output::Lists),
        40,
    ),
    kind(
        "model.safetensors",
        ("base/model.safetensors", Form::Tensors),
        (RESCORE, Output::Lists),
        120,
    ),
    kind(
        "adapter_config.json",
        ("adapter/adapter_config.json", Form::Json),
        (RESCORE, Output::Lists),
        120,
    ),
    kind(
        "adapter_model.safetensors",
        ("adapter/adapter_model.safetensors", Form::Tensors),
        (RESCORE, Output::Lists),
        100,
    ),
    kind(
        "checkpoint",
        ("trained/checkpoint.safetensors", Form::Tensors),
        (RESUME, Output::Text),
        100,
    ),
    kind(
        "study",
        ("study.toml", Form::Text),
        ("study -q --device cpu study.toml -o new --dry-run", Output::Text),
        100,
    ),
    kind(
        "results of a study",
        ("study/results.jsonl", Form::JsonLines),
        ("study -q study.toml -o study --report-only", Output::Text),
        120,
    ),
    kind(
        "identity of a study",
        ("study/study.json", Form::Json),
        ("study -q study.toml -o study --report-only", Output::Text),
        30,
    ),
    kind(
        "dictionary",
        ("words.dict", Form::Text),
        ("study -q --device cpu study.toml -o new --dry-run", Output::Text),
        20,
    ),
];

const TRAIN: &str = "train -q --device cpu --model base --train lists.jsonl --output new --epochs 1 --batch-tokens 200";
const RESUME: &str = "train -q --device cpu --model base --train lists.jsonl --dev lists.jsonl --output trained --batch-tokens 40 --epochs 2 --checkpoint-every 1 --resume";

/// How many files of each trained method are damaged: settings, and weights.
pub const PER_METHOD: usize = 12;
