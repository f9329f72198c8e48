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

/// Files in the exact shape that each tool writes, with the flags that read them. The first pass has 1 deletion in 4 words:
/// jiwer.wer(["TURN IT ON", "STOP"], ["TURN ON", "STOP"]) of jiwer 4.0 is 0.25.
#[test]
fn the_lists_of_each_tool_have_the_word_error_rate_of_jiwer() {
    let sandbox = Sandbox::new();
    let rank = |rank: usize| format!("espnet/logdir/output.1/{rank}best_recog");
    sandbox.write(&format!("{}/text", rank(1)), "u1 TURN ON\nu2 STOP\n");
    sandbox.write(&format!("{}/score", rank(1)), "u1 tensor(-4.0636)\nu2 tensor(-1.2e+01)\n");
    sandbox.write(&format!("{}/text", rank(2)), "u1 TURN IT ON\nu2\n");
    sandbox.write(&format!("{}/score", rank(2)), "u1 tensor(-5.25)\nu2 tensor(-13.)\n");
    let archive = "kaldi/archives.1";
    sandbox
        .write(&format!("{archive}/words_text"), "u1-1 TURN ON \nu1-2 TURN IT ON \nu2-1 STOP \n");
    // By costs the second hypothesis is worse, by scores it would be better.
    sandbox.write(&format!("{archive}/acwt"), "u1-1 4215.25 \nu1-2 4216.5 \nu2-1 105.5 \n");
    sandbox.write(&format!("{archive}/lmwt.withlm"), "u1-1 20.5 \nu1-2 24.75 \nu2-1 3 \n");
    sandbox.write("references", "u1 TURN IT ON\nu2 STOP\n");
    sandbox.write("beams.tsv", "TURN ON\t-4.25\nTURN IT ON\t-5.5\nSTOP\t-0.5\nTOP\t-3.125\n");
    sandbox.write(
        "manifest.json",
        concat!(
            r#"{"audio_filepath": "/a/u1.wav", "duration": 1.5, "text": "TURN IT ON"}"#,
            "\n",
            r#"{"audio_filepath": "/a/u2.wav", "duration": 0.5, "text": "STOP"}"#,
            "\n"
        ),
    );
    sandbox.write(
        "recogs.txt",
        "u1:\tref=['TURN', 'IT', 'ON']\nu1:\thyp=['TURN', 'ON']\nu2:\tref=['STOP']\nu2:\thyp=['STOP']\n",
    );
    for (input, format) in [
        ("espnet --references references", "espnet"),
        ("kaldi --references references", "kaldi"),
        ("beams.tsv --manifest manifest.json", "nemo"),
        ("recogs.txt", "icefall"),
    ] {
        let wer = |words: &str| {
            let report = sandbox.run(&format!("eval --json {words}")).done();
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            report["first_pass"].clone()
        };
        let first = wer(input);
        assert_eq!(first["wer"].as_f64(), Some(0.25), "{format}: {first}");
        // There and back: the same lists, whatever is between.
        sandbox.run(&format!("convert {input} -o {format}.jsonl --to jsonl -q")).done();
        assert_eq!(wer(&format!("{format}.jsonl")), first, "{format}");
        sandbox.run(&format!("convert {format}.jsonl -o {format}.again --to {format} -q")).done();
        assert_eq!(wer(&format!("{format}.again")), first, "{format}");
        let back = sandbox.run(&format!("convert {format}.again --to jsonl -q")).done();
        assert_eq!(back, sandbox.text(&format!("{format}.jsonl")), "{format}");
    }
    let run = sandbox.run("eval kaldi --references references --acoustic-scale 1");
    assert!(
        run.stderr.contains("note: kaldi: the first-pass score is 1 am + lm\n"),
        "{}",
        run.stderr
    );
    let run = sandbox.run("eval kaldi --references references");
    let note = "is 0.1 am + lm, as Kaldi's rescoring does by default; --acoustic-scale sets another factor\n";
    assert!(run.stderr.contains(note), "{}", run.stderr);
    sandbox.run("eval beams.tsv").failed(1, "NeMo's rows have no ids");
}

#[test]
fn beams_are_rescored_for_the_same_manifest() {
    let sandbox = Sandbox::new();
    sandbox.write("beams.tsv", "turn of\t-1\nturn off\t-1.5\nstop\t-0.5\ntop\t-3.125\n");
    let line = |id: &str| format!("{{\"audio_filepath\": \"{id}\", \"text\": \"turn off\"}}\n");
    sandbox.write("manifest.json", line("a.wav") + &line("b.wav"));
    let words = format!("{RESCORE} beams.tsv --manifest manifest.json -o out.tsv");
    let run = sandbox.run(&words);
    assert!(run.stderr.contains("belong to the utterances of the manifest"), "{}", run.stderr);
    run.done();
    let rows = sandbox.text("out.tsv");
    assert_eq!(rows.lines().count(), 4);
    let json = sandbox.run(&format!("{words} --to jsonl").replace("out.tsv", "out.jsonl"));
    json.done();
    let first = sandbox.text("out.jsonl");
    let best = first.lines().next().unwrap();
    let best: serde_json::Value = serde_json::from_str(best).unwrap();
    let (text, total) = (&best["nbest"][0]["text"], &best["nbest"][0]["total"]);
    let row = format!("{}\t{total}", text.as_str().unwrap());
    assert_eq!(
        rows.lines().next(),
        Some(row.as_str()),
        "the score is the one that orders the list"
    );
}
