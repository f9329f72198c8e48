//! Benchmarks.

use serde_json::Value;

use crate::gpu;
use crate::sandbox::Sandbox;

const TINY: &str = "bench --device cpu --shape tiny --seconds 0.01 --tokens 300";

#[track_caller]
fn assert_positive(report: &Value, keys: &[&str]) {
    for key in keys {
        let number = report[key].as_f64().unwrap_or_else(|| panic!("no {key} in {report}"));
        assert!(number.is_finite() && number > 0.0, "{key} is {number}");
    }
}

#[track_caller]
fn assert_timed(timed: &Value) {
    assert_positive(timed, &["seconds", "repeats", "gb_s", "share_of_copy"]);
}

#[test]
fn json_has_positive_rates_of_device_training_and_rescoring() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&format!("{TINY} --json --lora-target-modules all-linear --rank 2"));
    assert!(run.stderr.contains("measuring training"), "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.done()).unwrap();
    assert_eq!(report["device_kind"], "cpu");
    assert_eq!((&report["base"]["name"], &report["base"]["layers"]), (&"tiny".into(), &2.into()));
    assert_eq!(report["adapter"]["rank"], 2);
    // Two layers of rank 2, A and B of all six linear layers, and the head.
    let parameters = 2 * 2 * (4 * (64 + 64) + 2 * (64 + 128)) + 64 + 1;
    assert_eq!(report["adapter"]["parameters"], parameters);
    let tokens = report["batch"]["tokens"].as_u64().unwrap();
    assert!((300..600).contains(&tokens), "{tokens}");
    assert_positive(&report["rates"], &["copy_gb_s", "peak_gflop_s", "product_lorb_gflop_s"]);
    for step in ["training", "rescoring"] {
        let (counted, measured) = (&report[step], &report[step]["lorb"]);
        assert_positive(counted, &["flops", "bytes"]);
        assert_timed(measured);
        assert_positive(measured, &["hypotheses_s", "tokens_s", "gflop_s", "share_of_peak"]);
        let [rate, seconds] = ["tokens_s", "seconds"].map(|key| measured[key].as_f64().unwrap());
        assert!((rate * seconds - tokens as f64).abs() < 1e-6 * tokens as f64);
        // The CPU path launches no kernels and is not compared with burn.
        assert_eq!(measured["dispatches"], 0);
        assert!(counted.get("composed").is_none());
    }
    let [training, rescoring] =
        ["training", "rescoring"].map(|step| report[step]["flops"].as_f64().unwrap());
    assert!((1.5..2.5).contains(&(training / rescoring)), "{training} {rescoring}");
    assert!(report.get("kernels").is_none());
    assert_eq!(report["recompute"], false);
}

#[test]
fn gradient_checkpointing_is_shown_and_does_not_count_twice() {
    let sandbox = Sandbox::new();
    let text = sandbox.run(&format!("{TINY} --recompute -q")).done();
    assert!(text.contains("\nrecomputing ") && !text.contains("\ntraining "), "{text}");
    let counted = |flags: &str| {
        let text = sandbox.run(&format!("{TINY} --json -q {flags}")).done();
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_timed(&report["training"]["lorb"]);
        (report["recompute"].clone(), report["training"]["flops"].clone())
    };
    let (plain, recomputed) = (counted(""), counted("--recompute"));
    assert_eq!((&plain.0, &recomputed.0), (&Value::from(false), &Value::from(true)));
    assert_eq!(plain.1, recomputed.1);
}

#[test]
fn kernels_of_a_step_sum_to_its_total() {
    let sandbox = Sandbox::new();
    let text = sandbox.run(&format!("{TINY} --kernels --json -q")).done();
    let report: Value = serde_json::from_str(&text).unwrap();
    let kernels = report["kernels"].as_array().unwrap();
    for kernel in kernels {
        assert_timed(&kernel["lorb"]);
        assert_positive(kernel, &["bytes"]);
    }
    for (step, times) in [("training", "in_training"), ("rescoring", "in_rescoring")] {
        for count in ["flops", "bytes"] {
            let of =
                |kernel: &Value| kernel[times].as_u64().unwrap() * kernel[count].as_u64().unwrap();
            let sum: u64 = kernels.iter().map(of).sum();
            assert_eq!(report[step][count].as_u64(), Some(sum), "{step} {count}");
        }
    }
}

/// The steps of a training run do not stop over what emptied kernels leave in memory.
#[test]
fn launches_are_measured_without_work() {
    let sandbox = Sandbox::new();
    let words = "bench --device software --shape tiny --seconds 0.01 --tokens 300 --launch-only -q";
    let run = sandbox.run(&format!("{words} --json"));
    if run.stderr.contains("no software adapter was found") {
        return gpu::not_run("no software adapter");
    }
    let report: Value = serde_json::from_str(&run.done()).unwrap();
    assert_eq!(
        (&report["device_kind"], &report["base"]["name"]),
        (&"software".into(), &"tiny".into())
    );
    assert!(report.get("rates").is_none(), "{report}");
    for step in ["training", "rescoring"] {
        let host = &report["launch_only"][step];
        assert_positive(host, &["seconds", "least_seconds", "repeats", "launches", "uploads"]);
        let calls = &host["calls"];
        assert_positive(calls, &["dispatches", "bind_groups", "buffer_writes", "submits", "reads"]);
        let [own, other, all, bound, per] = [
            &host["launches"],
            &host["other_launches"],
            &calls["dispatches"],
            &calls["bind_groups"],
            &host["microseconds_per_launch"],
        ]
        .map(|value| value.as_f64().unwrap());
        // What LoRB and burn launch is what reaches the device, with one bind group each: nothing is left out.
        assert_eq!((own + other, own + other), (all, bound), "{step}: {host}");
        assert!((per * all - 1e6 * host["seconds"].as_f64().unwrap()).abs() < 1.0);
    }
    let of = |step: &str, key: &str| report["launch_only"][step][key].as_f64().unwrap();
    // Token ids, segments and, in training, lists and the learning rate are copied together.
    assert_eq!((of("training", "uploads"), of("rescoring", "uploads")), (1.0, 1.0), "{report}");
    assert!(of("training", "launches") > 2.0 * of("rescoring", "launches"), "{report}");
    let text = sandbox.run(words).done();
    assert!(text.contains("us/launch") && text.contains("\ntraining "), "{text}");
    sandbox.refuses(&format!("{TINY} --launch-only"), 1, "this device launches no kernels");
    sandbox.refuses(&format!("{TINY} --launch-only --kernels"), 2, "cannot be used with");
}

#[test]
fn tables_have_the_measurements() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&format!("{TINY} --kernels --quiet"));
    assert_eq!(run.stderr, "");
    let text = run.done();
    for expected in ["tiny (random weights)", "GB/s", "training ", "rescoring ", "attention, keeps"]
    {
        assert!(text.contains(expected), "no {expected:?} in {text}");
    }
}

#[test]
fn a_given_base_can_be_measured() {
    let sandbox = Sandbox::new();
    let words = "bench --device cpu --model base --seconds 0.01 --tokens 200 --json -q";
    let report: Value = serde_json::from_str(&sandbox.run(words).done()).unwrap();
    assert_eq!((&report["base"]["name"], &report["base"]["layers"]), (&"base".into(), &3.into()));
    assert_eq!(report["base"]["random"], false);
}

#[test]
fn invalid_settings_are_reported_with_their_flag() {
    let cases = [
        ("--shape large", "invalid value 'large' for '--shape"),
        ("--shape tiny --model base", "cannot be used with"),
        ("--shape tiny --rank 0", "--rank is 0"),
        ("--shape tiny --rank 65", "--rank is 65"),
        ("--lora-target-modules query,gate", "--lora-target-modules: target module \"gate\""),
        ("--tokens 0", "expected a positive integer"),
        ("--precision f8", "invalid value 'f8' for '--precision"),
        ("--seconds 0", "expected a positive number"),
        ("--seconds nan", "expected a positive number"),
        ("--revision main", "--model <DIR|ID>"),
    ];
    let sandbox = Sandbox::new();
    for (flags, expected) in cases {
        sandbox.refuses(&format!("bench --device cpu {flags}"), 2, expected);
    }
    sandbox.refuses("bench --device cpu --model nowhere/none", 1, "nowhere/none");
}

/// The rows of a sweep.
fn rows(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(rows: &'a [Value], kind: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["row"] == kind).collect()
}

/// A sweep on the software adapter; `None` if there is none.
fn sweep(sandbox: &Sandbox, words: &str) -> Option<String> {
    let run = sandbox.run(&format!(
        "bench --device software --shape tiny --seconds 0.01 -q --lora-target-modules all-linear {words}"
    ));
    if run.stderr.contains("no software adapter was found") {
        gpu::not_run("no software adapter");
        return None;
    }
    Some(run.done())
}

#[test]
fn floors_and_rates_are_positive() {
    let sandbox = Sandbox::new();
    let Some(text) = sweep(&sandbox, "--sweep floor --json") else { return };
    let rows = rows(&text);
    assert_eq!((&rows[0]["row"], &rows[0]["device_kind"]), (&"device".into(), &"software".into()));
    let launches = of(&rows, "launch");
    let kinds: Vec<_> = launches
        .iter()
        .map(|row| (row["per_submit"].as_u64().unwrap(), row["new_parameters"].as_bool().unwrap()))
        .collect();
    assert_eq!(kinds, [(1, false), (1, true), (32, false), (32, true), (200, false), (200, true)]);
    for launch in launches {
        assert_positive(launch, &["microseconds", "least_microseconds"]);
        if rows[0]["timestamps"] == true {
            assert_positive(launch, &["device_microseconds"]);
        }
    }
    for (kind, count, keys) in [
        ("upload", 2, &["microseconds", "gb_s"][..]),
        ("read", 1, &["microseconds"]),
        ("peak", 1, &["gflop_s"]),
        ("copy", 1, &["gb_s"]),
    ] {
        let found = of(&rows, kind);
        assert_eq!(found.len(), count, "{kind}");
        found.iter().for_each(|row| assert_positive(row, keys));
    }
    sandbox.refuses("bench --device cpu --sweep floor", 1, "this device launches no kernels");
    sandbox.refuses("bench --device cpu --sweep all", 2, "invalid value 'all' for '--sweep");
    sandbox.refuses("bench --device cpu --sizes 3", 2, "--sweep");
}

#[test]
fn every_tile_is_timed_and_one_of_them_is_what_lorb_chooses() {
    let sandbox = Sandbox::new();
    let Some(text) = sweep(&sandbox, "--sweep tiles --sizes 48 --json") else { return };
    let rows = rows(&text);
    let products = of(&rows, "product");
    for product in &products {
        assert_positive(product, &["microseconds", "gflop_s"]);
    }
    for kernel in ["linear", "linear_backward", "lora_linear", "lora_linear_backward"] {
        for (inputs, outputs) in [(64, 192), (64, 64), (64, 128), (128, 64)] {
            let layer: Vec<_> = products
                .iter()
                .filter(|row| {
                    row["kernel"] == kernel && row["inputs"] == inputs && row["outputs"] == outputs
                })
                .collect();
            assert!(layer.len() >= 4, "{kernel} {inputs} {outputs}: {layer:?}");
            let chosen = layer.iter().filter(|row| row["chosen"] == true).count();
            assert_eq!(chosen, 1, "{kernel} {inputs} {outputs}: {layer:?}");
        }
    }
    // What there is no time for is listed, in text too.
    let text = sweep(&sandbox, "--sweep tiles --sizes 48,49 --limit 0.000001").unwrap();
    assert_eq!(text.matches("not measured: ").count(), 8, "{text}");
    assert!(text.contains("[49, 64 -> 192]: the time limit was reached"), "{text}");
}

#[test]
fn steps_have_the_device_s_own_times() {
    let sandbox = Sandbox::new();
    let Some(text) = sweep(&sandbox, "--sweep steps --sizes 300,600 --json") else { return };
    let rows = rows(&text);
    let steps = of(&rows, "step");
    let names: Vec<_> = steps
        .iter()
        .map(|row| (row["step"].as_str().unwrap(), row["batch_tokens"].as_u64().unwrap()))
        .collect();
    let (training, rescoring) = ("training", "rescoring");
    assert_eq!(names, [(training, 300), (training, 600), (rescoring, 300), (rescoring, 600)]);
    for step in &steps {
        let keys = ["milliseconds", "hypotheses", "gflop", "gb", "gflop_s", "launches"];
        assert_positive(step, &keys);
        let Some(device) = step["device_milliseconds"].as_f64() else { continue };
        let kernels = step["kernels"].as_object().unwrap();
        let sum = |key: &str| kernels.values().map(|row| row[key].as_f64().unwrap()).sum::<f64>();
        assert!((sum("milliseconds") - device).abs() < 1e-6 * device);
        // Every launch is timed.
        assert!((sum("launches") - step["launches"].as_f64().unwrap()).abs() < 1e-6, "{step}");
    }
    let gflop = |at: usize| steps[at]["gflop"].as_f64().unwrap();
    assert!((1.5..2.5).contains(&(gflop(0) / gflop(2))), "{steps:?}");
    // The CPU path has steps, but no launches.
    let words = "bench --device cpu --shape tiny --seconds 0.01 -q --sweep steps --sizes 300";
    let text = sandbox.run(words).done();
    assert!(text.contains("\ntraining, ") && text.contains("\nrescoring, "), "{text}");
}

#[test]
fn predictions_grow_with_the_batch_and_include_this_device() {
    let sandbox = Sandbox::new();
    let words = "--sweep predictions --sizes 512,4096 --json";
    let Some(text) = sweep(&sandbox, words) else { return };
    let rows = rows(&text);
    let devices: Vec<&str> =
        of(&rows, "assumed").iter().map(|row| row["device"].as_str().unwrap()).collect();
    assert!(devices.len() >= 5 && devices.contains(&"this device"), "{devices:?}");
    let predictions = of(&rows, "prediction");
    assert_eq!(predictions.len(), 4 * devices.len());
    for pair in predictions.chunks(2) {
        let [few, many] = pair else { panic!("{pair:?}") };
        assert_eq!((&few["device"], &few["step"]), (&many["device"], &many["step"]));
        let keys =
            ["milliseconds", "device_milliseconds", "host_milliseconds", "gflop", "launches"];
        pair.iter().for_each(|row| assert_positive(row, &keys));
        let grows = |key: &str| many[key].as_f64().unwrap() / few[key].as_f64().unwrap();
        assert!((7.0..9.0).contains(&grows("gflop")), "{pair:?}");
        assert!((1.0..9.0).contains(&grows("milliseconds")), "{pair:?}");
    }
    sandbox.refuses("bench --device cpu --shape tiny --sweep predictions", 1, "no kernels");
}
