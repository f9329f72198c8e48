//! Limits of the system: threads, open files, memory. (File sizes are in `bad_output`.)

#![cfg(target_os = "linux")]

use std::process::Command;

use crate::sandbox::{Run, Sandbox};

const RESCORE: &str =
    "rescore -q --model base --adapter adapter --beta 1 --device cpu lists.jsonl -o out.jsonl";

/// Runs the program below a limit, through `prlimit`, as a user whom limits apply to.
fn limited(sandbox: &Sandbox, limit: &str, words: &str) -> Run {
    let mut command = Command::new("prlimit");
    command.arg(limit).arg(assert_cmd::cargo::cargo_bin!("lorb")).args(words.split(' '));
    command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", sandbox.path("hub"));
    command.env("RAYON_NUM_THREADS", "8").current_dir(sandbox.path(""));
    command.output().unwrap().into()
}

/// The same as another user if this is root, whom limits on processes do not apply to.
fn limited_as_user(sandbox: &Sandbox, limit: &str, words: &str) -> Run {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    use std::os::unix::process::CommandExt;

    /// A user without processes, so that the limit counts only this one.
    const NOBODY_ELSE: u32 = 54_321;
    let folder = sandbox.path("");
    let mut command = Command::new("prlimit");
    let mut binary = assert_cmd::cargo::cargo_bin!("lorb").to_path_buf();
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        // The build's directory may not be open to others.
        let copy = sandbox.path("lorb");
        std::fs::hard_link(&binary, &copy)
            .or_else(|_| std::fs::copy(&binary, &copy).map(|_| ()))
            .unwrap();
        binary = copy;
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        chown(&folder, Some(NOBODY_ELSE), Some(NOBODY_ELSE)).unwrap();
        command.uid(NOBODY_ELSE).gid(NOBODY_ELSE);
    }
    command.arg(limit).arg(binary).args(words.split(' ')).current_dir(folder);
    command.env("RAYON_NUM_THREADS", "8").env("HF_HUB_OFFLINE", "1");
    command.env("HF_HOME", sandbox.path("hub")).env("HOME", sandbox.path(""));
    let run = command.output().unwrap().into();
    // Removed before the caller looks at the files.
    let _ = std::fs::remove_file(sandbox.path("lorb"));
    run
}

#[test]
fn few_threads_give_the_same_result_with_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.run(RESCORE).done();
    let expected = sandbox.text("out.jsonl");
    for limit in 1..=5 {
        std::fs::remove_file(sandbox.path("out.jsonl")).unwrap();
        let run = limited_as_user(&sandbox, &format!("--nproc={limit}"), RESCORE);
        assert_eq!(run.code, Some(0), "{limit}: {}", run.stderr);
        let warned = run.stderr.contains(" of 8 threads: the system refused more (");
        assert!(warned, "{limit}: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        assert!(sandbox.text("out.jsonl") == expected, "{limit}");
    }
    let train = "train -q --model base --device cpu --train lists.jsonl --epochs 1 --output new";
    let run = limited_as_user(&sandbox, "--nproc=1", train);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let words = RESCORE.replace("--device cpu", "--device software");
    let run = limited_as_user(&sandbox, "--nproc=1", &words);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.stderr.contains("error: --device software: the system refuses the threads"),
        "{}",
        run.stderr
    );
    let study = "name = \"s\"\nbases = [\"base\"]\n[target]\nname = \"t\"\ntrain = [\"lists.jsonl\"]\n\
                 dev = [\"lists.jsonl\"]\ntest = [\"lists.jsonl\"]\n[learning_rates]\nall = 1e-2\n\
                 [[grid]]\npart = \"methods\"\nmethods = [\"lora\"]\n";
    sandbox.write("study.toml", study);
    let run = limited_as_user(&sandbox, "--nproc=1", "study study.toml -o out --device cpu");
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("error: a cell's process: "), "{}", run.stderr);
}

/// Whatever the limit, the result is complete or there is an error line.
#[test]
fn few_open_files_give_an_error_or_the_result() {
    let sandbox = Sandbox::new();
    let (mut failed, mut done) = (0, 0);
    for limit in 4..14 {
        let run = limited(&sandbox, &format!("--nofile={limit}"), RESCORE);
        assert!(!run.stderr.contains("panicked"), "{limit}: {}", run.stderr);
        match run.code {
            Some(0) => {
                done += 1;
                let (out, lists) = (sandbox.text("out.jsonl"), sandbox.text("lists.jsonl"));
                assert_eq!(out.lines().count(), lists.lines().count());
                std::fs::remove_file(sandbox.path("out.jsonl")).unwrap();
            }
            Some(1) => {
                failed += 1;
                assert!(run.stderr.contains("error: "), "{limit}: {}", run.stderr);
                assert!(!sandbox.path("out.jsonl").exists());
            }
            // The loader needs descriptors too.
            Some(127) => assert!(run.stderr.contains("error while loading shared libraries")),
            code => panic!("{limit}: {code:?} {}", run.stderr),
        }
    }
    assert!(failed > 0 && done > 0, "{failed} failed, {done} done");
}

/// Without memory the process ends, by an error line or by Rust's abort, and leaves the files as they were.
#[test]
fn too_little_memory_damages_nothing() {
    let sandbox = Sandbox::new();
    let tune = "tune -q --model base --adapter adapter --device cpu --dev lists.jsonl";
    // But for locks and parts, which the next run removes.
    let files = || {
        let mut files = sandbox.files();
        let hidden = |path: &std::path::Path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
        };
        files.retain(|path, _| !hidden(path));
        files
    };
    let before = files();
    // From the size of the program on, which must be mapped, to where it has enough.
    let program = std::fs::metadata(assert_cmd::cargo::cargo_bin!("lorb")).unwrap().len();
    let mut refused = 0;
    for step in 1..40 {
        let run = limited(&sandbox, &format!("--as={}", program + step * (2 << 20)), tune);
        if run.code == Some(0) {
            break;
        }
        assert!(run.code != Some(101), "{step}: {}", run.stderr);
        assert!(files() == before, "{step}");
        refused += u32::from(run.stderr.contains("memory"));
    }
    assert!(refused > 0);
}
