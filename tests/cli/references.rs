//! References in a file of their own, and ids that do not fit.

use crate::sandbox::Sandbox;

/// Three lists, one of them without a reference, and two references without a list.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (file, text) in [
        ("text", "u1 turn off the lights\nu2 stop\nu9 play some music\n"),
        ("score", "u1 tensor(-1.)\nu2 tensor(-2.)\nu9 tensor(-1.)\n"),
    ] {
        sandbox.write(&format!("decode/output.1/1best_recog/{file}"), text);
    }
    let references = "u1 turn off the lights\nu2 stop now\nu3 tell my brother to be home soon\n\
                      u4 what is the weather today\n";
    sandbox.write("refs", references);
    sandbox.write("upper", references.replace('u', "U"));
    sandbox
}

#[test]
fn missing_lists_are_reported_and_counted() {
    let sandbox = sandbox();
    let run = sandbox.run("eval decode --references refs");
    for expected in [
        "note: refs: 2 references have no list (the first: \"u3\")",
        "warning: the result leaves out 2 references without a list; --missing deletions",
    ] {
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    let text = run.done();
    assert!(text.starts_with("first pass  %WER 16.67 [ 1 / 6, 0 ins, 1 del, 0 sub ]"), "{text}");
    assert!(text.contains("2 utterances scored, 1 without a reference skipped"), "{text}");

    // jiwer 4.0.0: 13 errors in 18 words, with an empty hypothesis for u3 and u4.
    let text = sandbox.run("eval decode --references refs --missing deletions").done();
    assert!(text.starts_with("first pass  %WER 72.22 [ 13 / 18, 0 ins, 13 del, 0 sub ]"), "{text}");
    assert!(text.contains("4 utterances scored, 2 of them without a list counted"), "{text}");

    let json = sandbox.run("eval decode --references refs --missing deletions --json").done();
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (key, value) in
        [("unused_references", 2), ("missing", 2), ("without_reference", 1), ("duplicate_ids", 0)]
    {
        assert_eq!(report[key], value, "{key}");
    }
}

#[test]
fn ids_that_match_nothing_are_reported() {
    let sandbox = sandbox();
    let run = sandbox.run("eval decode --references upper");
    let expected = "4 references have no list (the first: \"U1\"), and no list has a reference (the first: \"u1\")";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    assert_eq!(run.code, Some(1));
    let text = sandbox.run("inspect decode --references upper").done();
    assert!(text.contains("references without a list 4\n"), "{text}");
}

#[test]
fn a_reference_file_serves_every_format() {
    let sandbox = sandbox();
    sandbox.write("lists.jsonl", "{\"id\":\"u2\",\"nbest\":[{\"text\":\"stop\"}]}\n");
    let text = sandbox.run("eval lists.jsonl decode --references refs").done();
    assert!(text.starts_with("first pass  %WER 25.00 [ 2 / 8,"), "{text}");
    sandbox.refuses("eval lists.jsonl --references none", 1, "none");
    sandbox.write("twice", "u1 a\nu1 b\n");
    sandbox.refuses("eval lists.jsonl --references twice", 1, "twice:2: \"u1\" occurs twice");
}

#[test]
fn repeated_ids_are_reported() {
    let sandbox = sandbox();
    let list = "{\"id\":\"u1\",\"ref\":\"a b\",\"nbest\":[{\"text\":\"a\"}]}\n";
    sandbox.write("lists.jsonl", list.repeat(3));
    let run = sandbox.run("eval lists.jsonl --json");
    let expected = "warning: 2 lists have the id of an earlier list; the first: \"u1\"";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.done()).unwrap();
    assert_eq!(report["duplicate_ids"], 2);
    let text = sandbox.run("inspect lists.jsonl").done();
    assert!(text.contains("ids that occur again     2\n"), "{text}");
}
