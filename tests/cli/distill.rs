//! `lorb distill`: students, their files, and runs that are stopped.

use serde_json::Value;

use crate::sandbox::Sandbox;

/// Six texts, a hundred times.
fn texts(sandbox: &Sandbox) {
    let texts = "turn off the lights in the kitchen\n\nset a timer for ten minutes\nremind me to water the plants\n\
                 play the next song\nwhat is the weather today\nopen the door\n";
    sandbox.write("texts.txt", texts.repeat(100));
}

const DISTILL: &str = "distill --device cpu --teacher base --text texts.txt --layers 2 --vocabulary 150 --batch-tokens 512";

fn config(sandbox: &Sandbox, base: &str) -> Value {
    serde_json::from_slice(&sandbox.read(&format!("{base}/config.json"))).unwrap()
}

#[test]
fn a_student_is_a_base_that_can_be_adapted() {
    let sandbox = Sandbox::new();
    texts(&sandbox);
    let run = sandbox.run(&format!("{DISTILL} -o student --log-json log.jsonl"));
    assert!(run.stderr.contains(" texts, ") && run.stderr.contains("texts/s"), "{}", run.stderr);
    assert!(run.stderr.contains("on texts kept apart, best so far"), "{}", run.stderr);
    assert!(run.stderr.contains("student written to student, "), "{}", run.stderr);
    assert_eq!(run.done(), "");
    let losses: Vec<f64> = sandbox
        .text("log.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|message| message["type"] == "compared")
        .map(|message| message["loss"].as_f64().unwrap())
        .collect();
    assert!(losses.len() == 4 && losses[3] < losses[0], "{losses:?}");
    let config = config(&sandbox, "student");
    assert_eq!((&config["num_hidden_layers"], &config["vocab_size"]), (&2.into(), &150.into()));
    let trained = "train -q --device cpu --epochs 1 --model student --train lists.jsonl -o tuned";
    sandbox.run(trained).done();
    let scored = "rescore -q --device cpu --model student --adapter tuned --beta 1 lists.jsonl";
    assert!(sandbox.run(scored).done().contains("\"lm\""));
    // Not over a base that is there, and not over the teacher.
    sandbox
        .run(&format!("{DISTILL} -o student"))
        .failed(1, "contains a base; choose another directory");
    sandbox.run(&format!("{DISTILL} -o student --overwrite -q")).done();
    sandbox
        .run(&format!("{DISTILL} -o base --overwrite"))
        .failed(1, "--output base: is the directory of --teacher");
}

#[test]
fn an_untrained_student_has_the_values_of_its_teacher() {
    let sandbox = Sandbox::new();
    sandbox.run("distill --teacher base --layers 1,3 --untrained -o cut -q").done();
    assert_eq!(config(&sandbox, "cut")["num_hidden_layers"], 2);
    assert_eq!(sandbox.read("cut/tokenizer.json"), sandbox.read("base/tokenizer.json"));
    // All layers: the same scores as the teacher, with the teacher's adapter.
    sandbox.run("distill --teacher base --untrained -o all -q").done();
    let scored = |base: &str| {
        let words =
            format!("rescore -q --device cpu --model {base} --adapter head --beta 1 lists.jsonl");
        sandbox.run(&words).done()
    };
    sandbox.run("train -q --device cpu --method head --epochs 1 --model base --train lists.jsonl -o head").done();
    let of_teacher = scored("base");
    sandbox
        .run("rescore -q --device cpu --model all --adapter head --beta 1 lists.jsonl")
        .failed(1, "another base");
    sandbox.run("train -q --device cpu --method head --epochs 1 --model all --train lists.jsonl -o head --overwrite").done();
    assert_eq!(scored("all"), of_teacher);
}

#[test]
fn a_narrower_student_learns_relations() {
    let sandbox = Sandbox::new();
    texts(&sandbox);
    let narrow = format!("{DISTILL} --hidden 16 --heads 2 --epochs 3 --lr 2e-3 -o narrow");
    let run = sandbox.run(&narrow);
    let losses: Vec<f64> = run
        .stderr
        .lines()
        .filter_map(|line| line.split("loss ").nth(1)?.split(" on texts").next()?.parse().ok())
        .collect();
    assert!(losses.len() == 12 && losses[11] < losses[0], "{losses:?} {}", run.stderr);
    run.done();
    assert_eq!(config(&sandbox, "narrow")["hidden_size"], 16);
    sandbox.run(&format!("{narrow} --overwrite --losses relations,attention")).done();
    sandbox
        .run(&format!("{narrow} --overwrite --losses hidden"))
        .failed(1, "--losses: losses hidden compare states, but the student's have width 16");
    sandbox
        .run(&format!("{DISTILL} --hidden 16 --heads 3 -o other"))
        .failed(1, "--hidden: width 16 with 3 heads");
}

#[test]
fn a_student_with_learnt_pieces_is_trained_and_read() {
    let sandbox = Sandbox::new();
    texts(&sandbox);
    let learnt = format!("{DISTILL} --retrain-vocabulary --epochs 1 -o learnt");
    sandbox.run(&learnt).done();
    let size = config(&sandbox, "learnt")["vocab_size"].as_u64().unwrap();
    assert!((80..=150).contains(&size), "{size}");
    sandbox.run("train -q --device cpu --method head --epochs 1 --model learnt --train lists.jsonl -o head").done();
    let without = "distill --teacher base --text texts.txt --retrain-vocabulary -o other";
    sandbox.refuses(without, 2, "--vocabulary");
}

#[test]
fn wrong_students_and_texts_are_one_line() {
    let sandbox = Sandbox::new();
    texts(&sandbox);
    for (flags, code, expected) in [
        ("--text texts.txt --layers 9", 1, "--layers: layers 9: expected layers of the teacher"),
        ("--text texts.txt --layers 3,1", 1, "--layers: layers 3,1: expected"),
        ("--text texts.txt --layers x", 2, "expected a number of layers"),
        ("--text texts.txt --vocabulary 3", 1, "--vocabulary: a vocabulary of 3: expected"),
        ("--text texts.txt --positions 100000", 1, "--positions: 100000 positions: expected"),
        ("--text texts.txt --losses logits", 2, "\"logits\" is not a loss"),
        ("--text empty.txt", 1, "--text: no text with a word in it"),
        ("--text missing.txt", 1, "missing.txt"),
        ("--text long.txt", 1, "long.txt: line 2 has 70000 bytes; expected one text per line"),
        ("--text texts.txt --lr 0", 2, "--lr 0"),
        ("", 2, "--text"),
    ] {
        sandbox.write("empty.txt", "\n\n");
        sandbox.write("long.txt", format!("a\n{}\n", "a".repeat(70_000)));
        sandbox
            .run(&format!("distill --device cpu --teacher base -o new {flags}"))
            .failed(code, expected);
    }
}

/// Ctrl-C in the middle, then `--resume`: the student equals that of an undisturbed run.
#[test]
#[cfg(unix)]
fn a_stopped_run_resumes_bit_for_bit() {
    let sandbox = Sandbox::new();
    texts(&sandbox);
    let words = format!("{DISTILL} --epochs 20");
    sandbox.run(&format!("{words} -o straight -q")).done();
    let seen = sandbox.interrupted(&format!("{words} -o new"), &["kept apart, best"]);
    assert!(seen.contains("error: interrupted at step "), "{seen}");
    assert!(!sandbox.path("new/model.safetensors").exists());
    let other = words.replace("--vocabulary 150", "--vocabulary 151");
    sandbox.run(&format!("{other} -o new --resume -q")).failed(1, "checkpoint.safetensors");
    sandbox.run(&format!("{words} -o new --resume -q")).done();
    assert!(!sandbox.path("new/checkpoint.safetensors").exists());
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let [new, straight] = ["new", "straight"].map(|of| sandbox.read(&format!("{of}/{file}")));
        assert!(new == straight, "{file} differs from the undisturbed run's");
    }
}
