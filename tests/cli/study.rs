//! Studies: runs, results, reports, and continuation.

use serde_json::Value;

use crate::sandbox::{Run, Sandbox};

const CONFIG: &str = r#"
name = "Tiny & <quick>"
bases = ["base"]
cor_weight = 0.1

[target]
name = "home"
train = ["lists.jsonl"]
dev = ["lists.jsonl"]
test = ["lists.jsonl"]

[[non_target]]
name = "other"
test = ["lists.jsonl"]

[training]
epochs = 2
batch_tokens = 40

[learning_rates]
all = 1e-2

[[grid]]
part = "methods"
methods = ["first-pass", "lora", "lorb"]
ranks = [2]
seeds = [0, 1]

[[grid]]
part = "data"
methods = ["lora"]
ranks = [2]
sizes = [3, 4, 5, 1.0]

[robustness]
dictionary = "words.dict"
rates = [0.5, 1.0]
"#;

const WORDS: &str =
    "to T UW\ntwo T UW\ntoo T UW\nsum S AH M\nsome S AH M\nwait W EY T\nweight W EY T\n";
const STUDY: &str = "study study.toml -o out --device cpu";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("study.toml", CONFIG);
    sandbox.write("words.dict", WORDS);
    sandbox
}

fn records(sandbox: &Sandbox) -> Vec<Value> {
    let lines = sandbox.text("out/results.jsonl");
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn results_whose_lists_disagree_are_refused_with_file_and_line() {
    let sandbox = sandbox();
    sandbox.write("study.toml", CONFIG.split("[[grid]]\npart = \"data\"").next().unwrap());
    sandbox.run(STUDY).done();
    let line = sandbox.text("out/results.jsonl").lines().next().unwrap().to_owned();
    for list in ["words", "hypotheses", "first", "rescored", "oracle"] {
        let mut record: Value = serde_json::from_str(&line).unwrap();
        record["domains"][0][list].as_array_mut().unwrap().push(1.into());
        sandbox.write("out/results.jsonl", format!("{line}\n{record}\n"));
        let report = format!("{STUDY} --report-only");
        sandbox.refuses(&report, 1, "out/results.jsonl, line 2: `domains.");
    }
}

/// A record without times and memory.
fn timeless(mut record: Value) -> Value {
    for key in ["seconds", "peak_memory"] {
        record.as_object_mut().unwrap().remove(key);
    }
    if let Some(trained) = record.get_mut("trained").and_then(Value::as_object_mut) {
        trained.retain(|key, _| !key.ends_with("seconds"));
        for point in trained["dev"].as_array_mut().unwrap() {
            point.as_object_mut().unwrap().remove("seconds");
        }
    }
    record
}

#[test]
fn a_study_runs_every_cell_once_and_reports() {
    let sandbox = sandbox();
    let run = sandbox.run(STUDY);
    assert!(
        run.stderr.contains("8 cells to run") || run.stderr.contains("8 of 8"),
        "{}",
        run.stderr
    );
    let table = run.done();
    assert!(
        table.starts_with("| Method | Runs | Trainable, of the base | WER home, % |"),
        "{table}"
    );
    assert!(table.contains("| First pass | – | – |") && table.contains("| LoRA | 2 |"), "{table}");
    let records = records(&sandbox);
    assert_eq!(records.len(), 8);
    for record in &records {
        assert_eq!(record["status"], "done", "{record}");
        assert_eq!(record["domains"][0]["words"].as_array().unwrap().len(), 6);
        assert_eq!(record["domains"][1]["name"], "other");
    }
    let lora = records.iter().find(|r| r["cell"]["method"] == "lora").unwrap();
    assert!(lora["trained"]["adapter_bytes"].as_u64().unwrap() > 1000);
    assert_eq!(lora["trained"]["dev"].as_array().unwrap().len(), 4, "two per epoch");
    assert!(lora["isotropy"].as_f64().unwrap() > 0.0);
    assert_eq!(lora["perturbed"].as_array().unwrap().len(), 2 * 2 * 2);
    if cfg!(target_os = "linux") {
        assert!(lora["peak_memory"].as_u64().unwrap() > 1_000_000);
    }
    let html = sandbox.text("out/report.html");
    assert!(html.contains("Tiny &amp; &lt;quick&gt;") && html.contains("Robustness to homophones"));
    // The report loads nothing: no URLs, scripts, styles or images.
    for outside in ["http", "<script", "<link", "src=", "@import", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    let markdown = sandbox.text("out/report.md");
    assert!(markdown.contains("](figures/methods.svg)"));
    assert!(sandbox.text("out/figures/methods.svg").starts_with("<svg xmlns="));
    let before = sandbox.files();
    assert_eq!(sandbox.run(&format!("{STUDY} -q")).done(), table);
    assert!(sandbox.files() == before, "there was nothing to run, but files differ");
    assert_eq!(sandbox.run("study study.toml -o out --report-only -q").done(), table);
}

/// Ctrl-C after the first cell: finished results are kept, an incomplete line is dropped, and the final results equal
/// those of an uninterrupted study.
#[test]
#[cfg(unix)]
fn an_interrupted_study_continues() {
    let straight = sandbox();
    straight.run(&format!("{STUDY} -q")).done();
    let sandbox = sandbox();
    let seen = sandbox.interrupted(STUDY, &["cell 2 of 8 in "]);
    assert!(seen.contains("error: interrupted; ") && seen.contains("continue with: "), "{seen}");
    let kept = records(&sandbox).len();
    assert!((2..8).contains(&kept), "{kept}");
    let mut lines = sandbox.text("out/results.jsonl");
    lines.push_str(r#"{"id":"0123456789abcdef","cell":{"ba"#);
    sandbox.write("out/results.jsonl", lines);
    let listing = sandbox.run(&format!("{STUDY} --dry-run")).done();
    assert!(listing.ends_with(&format!("8 cells, {} to do\n", 8 - kept)), "{listing}");
    sandbox.run(&format!("{STUDY} -q")).done();
    let all =
        |sandbox: &Sandbox| -> Vec<Value> { records(sandbox).into_iter().map(timeless).collect() };
    assert_eq!(all(&sandbox), all(&straight));
}

#[test]
fn a_dry_run_lists_the_cells_and_writes_nothing() {
    let sandbox = sandbox();
    let before = sandbox.files();
    let listing = sandbox.run(&format!("{STUDY} --dry-run")).done();
    assert!(sandbox.files() == before);
    let lines: Vec<&str> = listing.lines().collect();
    assert_eq!((lines.len(), lines[8]), (9, "8 cells, 8 to do"));
    assert!(lines[..8].iter().all(|line| line.contains("  to do   ")), "{listing}");
    assert!(listing.contains("LoRA, rank 2, on query,value, utterances 3, lr 0.01"), "{listing}");
}

#[test]
fn errors_are_reported_before_any_run() {
    let sandbox = sandbox();
    let refuses = |from: &str, to: &str, expected: &str| {
        assert!(CONFIG.contains(from), "{from}");
        sandbox.write("study.toml", CONFIG.replacen(from, to, 1));
        sandbox.refuses(STUDY, 1, expected);
    };
    refuses("epochs = 2", "epoch = 2", "study.toml: `training.epoch` is 2; expected a setting");
    refuses("ranks = [2]", "rank = [2]", "study.toml, line 26: unknown field `rank`");
    refuses("ranks = [2]", "ranks = [0]", "study.toml: `grid 1: ranks` is 0; expected 1 or more");
    refuses("ranks = [2]", "ranks = [", "study.toml, line 2");
    refuses("\"lorb\"]", "\"lobr\"]", "\"lobr\"; expected a method: first-pass, ");
    refuses("train = [\"lists.jsonl\"]", "train = [\"list.jsonl\"]", "list.jsonl: cannot read");
    refuses(
        "bases = [\"base\"]",
        "bases = [\"adapter\"]",
        "no config.json found; this is an adapter",
    );
    refuses(
        "bases = [\"base\"]",
        "bases = [\"base, first 9 layers\"]",
        "its first 9 cannot be used",
    );
    refuses("\"words.dict\"", "\"lists.jsonl\"", "robustness.dictionary");
    sandbox.refuses("study none.toml -o out", 1, "none.toml: cannot read: no such file");
    sandbox.refuses(
        "study study.toml -o study.toml",
        1,
        "study.toml is a file; expected a directory",
    );
    sandbox.write("study.toml", CONFIG);
    sandbox.refuses("study study.toml -o out --report-only", 1, "no study.json found");
}

#[test]
fn each_domain_says_how_its_lists_are_read() {
    let sandbox = sandbox();
    let list = |id: usize| {
        format!(
            r#"{{"id":"{id}","ref":"open the door","nbest":[{{"text":"Open the door.","cost":2.5}},{{"text":"Open a door.","cost":4}}]}}"#
        ) + "\n"
    };
    sandbox.write("costs.jsonl", (0..20).map(list).collect::<String>());
    let read = r#"reading = { format = "jsonl", score_kind = "cost", score_key = "cost" }"#;
    let (config, _) = CONFIG.split_once("[[grid]]").unwrap();
    let config = config
        .replace(
            "name = \"other\"\ntest = [\"lists.jsonl\"]",
            &format!("name = \"other\"\ntest = [\"costs.jsonl\"]\n{read}"),
        )
        .replace("epochs = 2", "normalize = \"basic\"");
    let grid = "[[grid]]\npart = \"methods\"\nmethods = [\"first-pass\"]\n";
    sandbox.write("study.toml", format!("{config}{grid}"));
    sandbox.run(&format!("{STUDY} -q")).done();
    assert_eq!(records(&sandbox)[0]["domains"][1]["first"], serde_json::json!(vec![0; 20]));

    sandbox.write("study.toml", format!("{}{grid}", config.replace("score_kind = \"cost\", ", "")));
    let run = sandbox.run("study study.toml -o other --device cpu --dry-run");
    let warned = "warning: non_target.other.test: ";
    assert!(run.stderr.contains(warned) && run.stderr.contains("costs"), "{}", run.stderr);

    sandbox.write(
        "study.toml",
        format!("{}{grid}", config.replace("\"cost\", score", "\"costs\", score")),
    );
    let expected = "`non_target.other.reading.score_kind` is \"costs\"; expected a kind of scores: logprob, cost, prob";
    sandbox.refuses("study study.toml -o third", 1, expected);
}

#[test]
fn the_dev_lists_of_a_domain_tune_its_weight() {
    let sandbox = sandbox();
    let lists = sandbox.text("lists.jsonl");
    let scaled = lists.lines().map(|line| {
        let mut list: Value = serde_json::from_str(line).unwrap();
        for hypothesis in list["nbest"].as_array_mut().unwrap() {
            if let Some(score) = hypothesis["score"].as_f64() {
                hypothesis["score"] = (0.01 * score).into();
            }
        }
        list.to_string() + "\n"
    });
    sandbox.write("scaled.jsonl", scaled.collect::<String>());
    let (config, _) = CONFIG.split_once("[robustness]").unwrap();
    let (config, _) = config.split_once("[[grid]]").unwrap();
    let domains = r#"
[[non_target]]
name = "scaled"
test = ["scaled.jsonl"]
[[non_target]]
name = "scaled, tuned"
test = ["scaled.jsonl"]
dev = ["scaled.jsonl"]
[[grid]]
part = "methods"
methods = ["lora"]
ranks = [2]
"#;
    sandbox.write("study.toml", format!("{config}{domains}"));
    sandbox.run(&format!("{STUDY} -q")).done();
    let records = records(&sandbox);
    assert!(records[0]["beta"].as_f64().unwrap() > 0.0, "{}", records[0]);
    let errors = |at: usize, system: &str| records[0]["domains"][at][system].clone();
    let total = |at: usize| -> u64 {
        let errors = errors(at, "rescored");
        errors.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum()
    };
    // The weight of the target is far too large for such scores.
    assert!(total(3) < total(2), "{}", records[0]);
}

#[test]
fn bases_may_have_fewer_layers_and_domains_be_sampled() {
    let sandbox = sandbox();
    let config = CONFIG
        .replace("bases = [\"base\"]", "bases = [\"base\", \"base, first 1 layer\"]")
        .replace("name = \"other\"\n", "name = \"other\"\nutterances = 2\n");
    let (config, _) = config.split_once("[[grid]]").unwrap();
    let grid = "[[grid]]\npart = \"bases\"\nmethods = [\"lora\"]\nranks = [2]\nbases = [\"base\", \"base, first 1 layer\"]\n";
    sandbox.write("study.toml", format!("{config}{grid}"));
    let table = sandbox.run(&format!("{STUDY} -q")).done();
    let records = records(&sandbox);
    assert_eq!(records.len(), 2, "{table}");
    let layers: Vec<u64> = records.iter().map(|r| r["base_shape"][1].as_u64().unwrap()).collect();
    assert_eq!(layers, [3, 1]);
    let parameters = |at: usize| records[at]["base_parameters"].as_u64().unwrap();
    assert!(parameters(1) < parameters(0));
    let utterances =
        |domain: usize| records[0]["domains"][domain]["words"].as_array().unwrap().len();
    assert!(utterances(0) > 2);
    assert_eq!(utterances(1), 2);
    assert!(sandbox.text("out/report.md").contains("base, first 1 layer"));
}

#[test]
fn a_base_with_its_pretraining_head_supports_pseudo_log_likelihood() {
    let sandbox = sandbox();
    let config = CONFIG.replace("\"lora\", \"lorb\"", "\"pll\", \"pll-length\"");
    let config = config.split("[[grid]]\npart = \"data\"").next().unwrap();
    sandbox.write("study.toml", config);
    let lacks = "grid 1: methods: \"pll\" needs a base with a masked-language-model head";
    sandbox.refuses(STUDY, 1, lacks);
    sandbox.write("base/model.safetensors", sandbox.golden("masked/model.safetensors"));
    let list = r#"{"id":"a","ref":"turn off the lights","nbest":[{"text":"turn off the light","score":-1.0},{"text":"turn off the lights","score":-1.5}]}"#;
    sandbox.write("lists.jsonl", format!("{list}\n"));
    let table = sandbox.run(&format!("{STUDY} -q")).done();
    assert!(
        table.contains("| PLL | – |") && table.contains("| PLL, length weight | – |"),
        "{table}"
    );
    let records = records(&sandbox);
    let of = |method: &str| records.iter().find(|r| r["cell"]["method"] == method).unwrap();
    let errors = |method: &str| -> u64 {
        let list = &of(method)["domains"][0]["rescored"];
        list.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum()
    };
    // The head prefers the reference, the first pass does not.
    assert_eq!([errors("first-pass"), errors("pll"), errors("pll-length")], [1, 0, 0]);
    assert!(of("pll")["beta"].as_f64() > Some(0.0));
    assert_eq!(of("pll")["gamma"].as_f64(), Some(0.0));
}

#[test]
fn a_directory_of_another_study_is_rejected() {
    let sandbox = sandbox();
    let small = CONFIG.replace("\"first-pass\", \"lora\", \"lorb\"", "\"first-pass\"");
    let small = small.split("[[grid]]\npart = \"data\"").next().unwrap().to_owned();
    sandbox.write("study.toml", &small);
    sandbox.run(&format!("{STUDY} -q")).done();
    let lists = sandbox.text("lists.jsonl");
    let shorter: String = lists.lines().skip(1).map(|line| format!("{line}\n")).collect();
    sandbox.write("shorter.jsonl", shorter);
    sandbox.write("study.toml", small.replace("train = [\"lists", "train = [\"shorter"));
    sandbox.refuses(
        STUDY,
        1,
        "with different lists of the target domain; choose another directory",
    );
    sandbox.refuses(&format!("{STUDY} --report-only"), 1, "has different lists");
    // A larger grid over the same lists keeps the existing results.
    sandbox.write(
        "study.toml",
        CONFIG.replace("[robustness]\ndictionary = \"words.dict\"\nrates = [0.5, 1.0]\n", ""),
    );
    sandbox.run(&format!("{STUDY} -q")).done();
}

#[test]
fn failed_cells_are_recorded_and_retried_on_request() {
    let sandbox = sandbox();
    // Lists whose hypotheses all have the same errors cannot be trained on.
    let same = r#"{"id":"a","ref":"play music","nbest":[{"text":"play music","score":-1.0}]}"#;
    sandbox.write("same.jsonl", format!("{same}\n"));
    let config = CONFIG.replace("train = [\"lists", "train = [\"same");
    sandbox.write("study.toml", config.split("[[grid]]\npart = \"data\"").next().unwrap());
    let fails = |flags: &str| -> Run {
        let run = sandbox.run(&format!("{STUDY} {flags}"));
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(run.stderr.contains("error: 4 of 5 cells failed; the report has the others"));
        assert!(run.stdout.contains("| First pass |"), "{}", run.stdout);
        run
    };
    assert!(fails("").stderr.contains("warning: cell 2 of 5 failed, LoRA, rank 2"));
    assert_eq!(records(&sandbox).len(), 5);
    assert!(sandbox.text("out/report.html").contains(">Failed runs</h2>"));
    fails("-q");
    assert_eq!(records(&sandbox).len(), 5, "not retried without the flag");
    fails("-q --retry-failed");
    assert_eq!(records(&sandbox).len(), 9);
    let error = records(&sandbox)[1]["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("training: "), "{error}");
}
