//! `benches/gpu_report.sh`, from end to end on the software adapter.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::gpu;
use crate::sandbox::Sandbox;

/// Runs the script with small sizes.
fn report(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/gpu_report.sh");
    Command::new("sh")
        .arg(script)
        .args(["--lorb", assert_cmd::cargo::cargo_bin!("lorb").to_str().unwrap()])
        .args(["--device", "software", "--shapes", "tiny", "--seconds", "0.01"])
        .args(["--tokens", "200,400", "--rows", "48", "--output", "report"])
        .args(arguments)
        .current_dir(sandbox.path("."))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_report_has_every_part_and_says_what_did_not_run() {
    let sandbox = Sandbox::new();
    // This Python has no PyTorch, whatever the machine has.
    sandbox.write("python", "#!/bin/sh\nexec python3 -I -S \"$@\"\n");
    set_permissions(sandbox.path("python"), Permissions::from_mode(0o755)).unwrap();
    let parts = "floor tiles steps torch matrix launch predictions";
    let run = report(&sandbox, &["--parts", parts, "--python", "./python"]);
    let (out, err) = (text(&run.stdout), text(&run.stderr));
    if err.contains("no software adapter was found")
        || sandbox.text("report/floor.err").contains("no software adapter was found")
    {
        return gpu::not_run("no software adapter");
    }
    assert!(run.status.success(), "{err}");
    for expected in [
        "multiply-adds",
        "read | one number",
        "### Tiles, layers of tiny",
        "| lora_linear_backward |",
        "### What a step costs the host",
        "| tiny, training, 400 tokens | LoRB, f32 |",
        "| tiny, rescoring, 200 tokens | LoRB, f32 |",
        // What cannot run is in the last table, with its reason.
        "| torch | NOT RUN: ModuleNotFoundError: No module named 'torch' |",
        "| matrix-tiny | failed: error: ",
    ] {
        assert!(out.contains(expected), "no {expected:?} in {out}\n{err}");
    }
    assert_eq!(sandbox.text("report/report.md"), out);
    // The row has the predicted time too.
    let row = out.lines().find(|line| line.contains("training, 200 tokens | LoRB, f32 |")).unwrap();
    let cells: Vec<f64> =
        row.split(" | ").filter_map(|cell| cell.trim().replace(',', "").parse().ok()).collect();
    assert!(cells.len() >= 4 && cells.iter().all(|&cell| cell > 0.0), "{row}");
}

#[test]
fn it_stops_itself_in_time_and_reports_what_is_missing() {
    let sandbox = Sandbox::new();
    let start = std::time::Instant::now();
    let run = report(&sandbox, &["--total", "1", "--parts", "doctor floor tiles steps"]);
    assert!(start.elapsed().as_secs() < 30);
    let (out, err) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{err}");
    for part in ["doctor", "floor", "tiles-tiny", "steps-tiny"] {
        assert!(out.contains(&format!("| {part} | NOT RUN: the time was up |")), "{part}: {out}");
    }
    let refused = report(&sandbox, &["--total", "soon"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--total soon is not a number"), "{refused:?}");
    let refused = report(&sandbox, &["--lorb", "nowhere/lorb"]);
    assert!(text(&refused.stderr).contains("nowhere/lorb is not a program"), "{refused:?}");
}

/// What only another machine can measure, as its parts print it.
#[test]
fn the_summary_compares_with_what_pytorch_and_burn_printed() {
    let sandbox = Sandbox::new();
    let step = |ms: f64, device: f64| {
        format!(
            r#"{{"row":"step","step":"training","batch_tokens":4096,"hypotheses":200.0,"milliseconds":{ms},"device_milliseconds":{device},"gflop_s":50.0}}"#
        )
    };
    let torch = r#"{"row":"torch","torch":"9.9","step":"training","mode":"compiled","batch_tokens":4096,"milliseconds":50.0,"device_milliseconds":40.0,"hypotheses_s":4000.0}"#;
    // A program that was stopped leaves half a line.
    let torch = format!("{torch}\n{{\"row\":\"tor");
    let burn = r#"{"training":{"composed":{"seconds":0.1,"hypotheses_s":2000.0,"gflop_s":10.0}}}"#;
    let left =
        r#"{"row":"left_out","what":"training, 16384 tokens","why":"the time limit was reached"}"#;
    for (name, text) in [
        ("floor", r#"{"row":"peak","gflop_s":100.0,"fused":true}"#),
        ("steps-minilm", &format!("{}\n{left}\n", step(25.0, 20.0))),
        ("f16-minilm", &step(20.0, 16.0)),
        ("matrix-minilm", &step(1.0, 1.0)),
        ("torch-minilm", &torch),
        ("burn-minilm", burn),
    ] {
        sandbox.write(&format!("given/{name}.out"), text);
    }
    let parts = "floor\tok\t1\t\nsteps-minilm\tok\t1\t\ntorch-minilm\tstopped\t60\tafter 60 s\n";
    sandbox.write("given/parts.tsv", parts);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/gpu_report.py");
    let run = Command::new("python3").arg(script).arg(sandbox.path("given")).output().unwrap();
    let out = text(&run.stdout);
    assert!(run.status.success(), "{}", text(&run.stderr));
    for expected in [
        "| minilm, training, 4,096 tokens | LoRB, f32 | 25.0 | 20.0 |  | 8,000 | 50.0 | 50 % |  |",
        "| minilm, training, 4,096 tokens | LoRB, f16 weights | 20.0 | 16.0 |  | 10,000 | 50.0 | 50 % | 0.800 |",
        "| PyTorch 9.9 + PEFT, compiled | 50.0 | 40.0 |  | 4,000 |  |  | 2.00 |",
        "| burn's own operations, without autotune and fusion | 100 |  |  | 2,000 | 10.0 | 10 % | 4.00 |",
        "| torch-minilm | stopped: after 60 s |",
        "| steps-minilm | NOT RUN: training, 16384 tokens: the time limit was reached |",
    ] {
        assert!(out.contains(expected), "no {expected:?} in {out}");
    }
    // Training does not run on matrix units.
    assert!(!out.contains("matrix units"), "{out}");
}
