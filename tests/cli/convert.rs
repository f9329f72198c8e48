//! Lists in other formats: `lorb convert`, and `lorb rescore` in the format of its input.

use crate::sandbox::Sandbox;

const RESCORE: &str = "rescore --model base --adapter adapter --beta 1 --device cpu -q";

#[test]
fn lists_are_converted_to_a_folder_and_back_without_loss() {
    let sandbox = Sandbox::new();
    let run = sandbox.run("convert lists.jsonl -o folder --to espnet");
    let count = sandbox.text("lists.jsonl").lines().count();
    assert!(run.stderr.contains(&format!("{count} lists written as espnet")), "{}", run.stderr);
    assert_eq!(run.done(), "");
    let back = sandbox.run("convert folder --to jsonl -q").done();
    let again = sandbox.run("convert lists.jsonl --to jsonl -q").done();
    assert_eq!(back, again);
    assert_eq!(sandbox.run("convert --from espnet folder --to jsonl -q").done(), again);
}

#[test]
fn the_best_hypotheses_are_written_for_scoring_tools() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "in.jsonl",
        concat!(
            r#"{"id":"s1-u1","nbest":[{"text":"turn of","score":-2},{"text":"turn  off\tnow","score":-1}]}"#,
            "\n",
            r#"{"id":"s1-u2","nbest":[{"text":""}]}"#,
            "\n",
            r#"{"id":"s1-u3","nbest":[{"text":"a","score":-1,"lm":0,"total":-3},{"text":"b","score":-2,"lm":0,"total":-2}]}"#,
            "\n"
        ),
    );
    let trn = sandbox.run("convert in.jsonl --to trn -q").done();
    assert_eq!(trn, "turn  off now (s1-u1)\n (s1-u2)\nb (s1-u3)\n");
    let text = sandbox.run("convert in.jsonl --to text -q").done();
    assert_eq!(text, "s1-u1 turn  off now\ns1-u2\ns1-u3 b\n");
    let missing = "utterance \"s1-u1\": the time of each word of the best hypothesis";
    sandbox.run("convert in.jsonl --to ctm -q -o ctm").failed(1, missing);
    assert!(!sandbox.path("ctm").exists());
    sandbox.write(
        "timed.jsonl",
        r#"{"id":"f","nbest":[{"text":"a b","result":[{"conf":0.5,"end":1.02,"start":0.81,"word":"a"},{"end":1.5,"start":1.02,"word":"b"}]}]}"#,
    );
    let ctm = sandbox.run("convert timed.jsonl --to ctm -q").done();
    assert_eq!(ctm, "f 1 0.810 0.210 a 0.5\nf 1 1.020 0.480 b\n");
}

#[test]
fn what_a_format_cannot_represent_is_reported() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", r#"{"id":"u 1","nbest":[{"text":"a"}]}"#);
    for format in ["espnet", "trn", "text"] {
        let expected = format!(
            "error: cannot write {format}: utterance \"u 1\": the id contains white space, which {format} uses as a separator"
        );
        sandbox.run(&format!("convert in.jsonl -o out --to {format}")).failed(1, &expected);
        assert!(!sandbox.path("out").exists());
    }
    sandbox.write(
        "in.jsonl",
        r#"{"id":"u1","speaker":"s","nbest":[{"text":"a","words":1},{"text":"b"}]}"#,
    );
    let run = sandbox.run("convert in.jsonl -o out --to espnet -q");
    let omitted = "1 unknown key of a list, 1 unknown key of a hypothesis";
    let note = format!("note: espnet has no place for all of the lists; not written: {omitted}\n");
    assert_eq!(run.stderr, note);
    sandbox.write(
        "in.jsonl",
        r#"{"id":"u","nbest":[{"text":"a"}]}"#.to_owned()
            + "\n"
            + r#"{"id":"u","nbest":[{"text":"a"}]}"#,
    );
    sandbox.run("convert in.jsonl -o two --to espnet").failed(1, "the id occurs twice");
}

#[test]
fn a_folder_output_is_new() {
    let sandbox = Sandbox::new();
    sandbox
        .run("convert lists.jsonl --to espnet")
        .failed(2, "--to espnet: is a folder; choose it with --output");
    sandbox.write("out/notes", "mine");
    let full = "out: contains files; choose a new folder";
    sandbox.run("convert lists.jsonl --to espnet -o out").failed(1, full);
    sandbox.run("convert lists.jsonl --to espnet -o lists.jsonl").failed(1, "is the same file");
    sandbox
        .run("convert lists.jsonl --to espnet -o no/out")
        .failed(1, "its directory does not exist");
    sandbox
        .run("convert lists.jsonl --to jsonl -o out")
        .failed(1, "is a directory; expected a file");
    assert_eq!(sandbox.text("out/notes"), "mine");
}

#[test]
fn rescored_lists_have_the_format_of_the_input() {
    let sandbox = Sandbox::new();
    let expected = sandbox.run(&format!("{RESCORE} lists.jsonl")).done();
    sandbox.run("convert lists.jsonl -o folder --to espnet -q").done();
    // A stream stays a stream, and a folder is a folder, but on standard output.
    assert_eq!(sandbox.run(&format!("{RESCORE} folder")).done(), expected);
    sandbox.run(&format!("{RESCORE} folder -o out")).done();
    assert!(sandbox.path("out/logdir/output.1/1best_recog/rescored_total").is_file());
    assert_eq!(sandbox.run("convert out --to jsonl -q").done(), expected);
    sandbox.run(&format!("{RESCORE} folder -o out.jsonl --to jsonl")).done();
    assert_eq!(sandbox.text("out.jsonl"), expected);
    sandbox.run(&format!("{RESCORE} lists.jsonl -o two --to espnet")).done();
    assert_eq!(sandbox.run("convert two --to jsonl -q").done(), expected);
    sandbox.run(&format!("{RESCORE} lists.jsonl -o hyp.trn --to trn")).done();
    assert_eq!(sandbox.text("hyp.trn"), sandbox.run("convert out.jsonl --to trn -q").done());
}
