//! Downloads from a hub: the cache, interrupted downloads, several at once.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use crate::hub_server::{Body, COMMIT, Hub, Reply, Request, etag};
use crate::sandbox::{Run, Sandbox};

const WORDS: [&str; 10] = [
    "rescore",
    "--device",
    "cpu",
    "--beta",
    "1",
    "--adapter",
    "adapter",
    "--model",
    "owner/name",
    "lists.jsonl",
];
pub const WEIGHTS: &str = "model.safetensors";

/// A sandbox without its base.
pub fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.path("base")).unwrap();
    sandbox
}

pub fn command(sandbox: &Sandbox, hub: &Hub) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("lorb"));
    command.args(WORDS).current_dir(sandbox.path("")).env("HF_HOME", sandbox.path("hub"));
    command.env("HF_ENDPOINT", hub.endpoint()).env("HF_TOKEN", "hf_secret").env("NO_PROXY", "*");
    for name in ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
    {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn run(sandbox: &Sandbox, hub: &Hub) -> Run {
    command(sandbox, hub).output().unwrap().into()
}

/// What the command prints with the base in a directory.
pub fn expected() -> &'static str {
    static OUTPUT: LazyLock<String> = LazyLock::new(|| {
        let words = "rescore -q --device cpu --beta 1 --adapter adapter --model base lists.jsonl";
        Sandbox::new().run(words).done()
    });
    &OUTPUT
}

fn blob(sandbox: &Sandbox, name: &str) -> std::path::PathBuf {
    let bytes = sandbox.golden(&format!("tiny/{name}"));
    sandbox.path("hub/hub/models--owner--name/blobs").join(etag(name, &bytes))
}

fn part(sandbox: &Sandbox, name: &str) -> std::path::PathBuf {
    let mut part = blob(sandbox, name).into_os_string();
    part.push(".incomplete");
    part.into()
}

#[test]
fn a_base_is_downloaded_once_into_the_layout_of_python() {
    let sandbox = sandbox();
    let hub = Hub::correct(&sandbox);
    let first = run(&sandbox, &hub);
    assert!(first.stderr.contains("downloading http://127.0.0.1:"), "{}", first.stderr);
    assert_eq!(first.done(), expected());
    let repo = sandbox.path("hub/hub/models--owner--name");
    assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    for name in ["config.json", "tokenizer.json", WEIGHTS] {
        let bytes = sandbox.golden(&format!("tiny/{name}"));
        let pointer = repo.join("snapshots").join(COMMIT).join(name);
        assert!(fs::read(&pointer).unwrap() == bytes);
        assert!(fs::read(blob(&sandbox, name)).unwrap() == bytes);
        #[cfg(unix)]
        assert_eq!(
            fs::read_link(&pointer).unwrap(),
            std::path::Path::new("../../blobs").join(etag(name, &bytes))
        );
    }
    assert_eq!(fs::read_dir(repo.join("blobs")).unwrap().count(), 3, "parts are left");
    for name in ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"] {
        assert!(repo.join(".no_exist").join(COMMIT).join(name).is_file(), "{name}");
    }
    for request in hub.requests.lock().unwrap().iter() {
        // The token is for the hub, not for its storage.
        let expected = request.host.starts_with("127.").then_some("Bearer hf_secret");
        assert_eq!(request.authorization.as_deref(), expected, "{request:?}");
    }
    let requests = hub.requests.lock().unwrap().len();
    assert!(hub.count("GET", WEIGHTS) == 2 && requests >= 6, "{requests}");
    assert_eq!(run(&sandbox, &hub).done(), expected());
    assert_eq!(hub.requests.lock().unwrap().len(), requests, "the cache needs no network");
    // By commit, and from a cache that Python filled: the same layout.
    let mut offline = command(&sandbox, &hub);
    offline.env("HF_HUB_OFFLINE", "1").args(["--revision", COMMIT]);
    assert_eq!(Run::from(offline.output().unwrap()).done(), expected());
    let mut elsewhere = command(&sandbox, &hub);
    elsewhere
        .env("HF_HUB_CACHE", sandbox.path("hub/hub"))
        .env("HF_HOME", "nothing")
        .env("HF_HUB_OFFLINE", "1");
    assert_eq!(Run::from(elsewhere.output().unwrap()).done(), expected());
}

#[test]
fn passing_errors_are_repeated() {
    let sandbox = sandbox();
    let hub = Hub::new(&sandbox, |request, reply| match (request.earlier, &reply.body) {
        (0, _) => Reply::status(500),
        // The second attempt ends in the middle, and the third continues there.
        (1, Body::Bytes(bytes)) if bytes.len() > 10 => {
            let half = bytes[..bytes.len() / 2].to_vec();
            reply.body(Body::Bytes(half))
        }
        _ => reply,
    });
    assert_eq!(run(&sandbox, &hub).done(), expected());
    let requests = hub.requests.lock().unwrap();
    let storage = requests.iter().filter(|request| request.path.starts_with("/storage/"));
    let from: Vec<Option<usize>> = storage.map(|request| request.from).collect();
    let length = sandbox.golden(&format!("tiny/{WEIGHTS}")).len();
    assert_eq!(from, [None, None, Some(length / 2)]);
}

#[test]
fn a_repository_without_tokenizer_json_has_a_vocabulary() {
    let sandbox = sandbox();
    let hub = Hub::new(&sandbox, |request, reply| match request.file() {
        "tokenizer.json" => Reply::status(404),
        _ => reply,
    });
    assert_eq!(run(&sandbox, &hub).done(), expected());
    assert_eq!(hub.count("GET", "vocab.txt"), 1);
}

#[test]
fn settings_of_the_tokenizer_count_and_are_asked_for_if_an_older_cache_lacks_them() {
    let sandbox = sandbox();
    let name = "tokenizer_config.json";
    let hub = Hub::new(&sandbox, move |request, reply| {
        if request.file() != name {
            return reply;
        }
        let text = br#"{"do_lower_case": false}"#.to_vec();
        let tag = format!("\"{}\"", etag(name, &text));
        let reply = Reply::status(200)
            .with("X-Repo-Commit", Some(COMMIT.as_bytes()))
            .with("ETag", Some(tag.as_bytes()))
            .with("Content-Length", Some(text.len().to_string().as_bytes()));
        if request.method == "HEAD" { reply } else { reply.body(Body::Bytes(text)) }
    });
    let note = "tokenizer.json and tokenizer_config.json disagree about `do_lower_case`";
    let first = run(&sandbox, &hub);
    assert!(first.stderr.contains(note), "{}", first.stderr);
    first.done();
    let repo = sandbox.path("hub/hub/models--owner--name");
    fs::remove_file(repo.join("snapshots").join(COMMIT).join(name)).unwrap();
    let mut offline = command(&sandbox, &hub);
    let offline = Run::from(offline.env("HF_HUB_OFFLINE", "1").output().unwrap());
    let missing = "tokenizer_config.json is not in the hub's cache";
    assert!(offline.stderr.contains(missing), "{}", offline.stderr);
    offline.done();
    let again = run(&sandbox, &hub);
    assert!(again.stderr.contains(note), "{}", again.stderr);
    again.done();
    let requests = hub.requests.lock().unwrap().len();
    run(&sandbox, &hub).done();
    assert_eq!(hub.requests.lock().unwrap().len(), requests, "the cache needs no network");
}

#[test]
fn parts_of_earlier_runs_are_continued_only_if_they_are_right() {
    let ignores_ranges = |request: &Request, reply: Reply| {
        if reply.status != 206 {
            return reply;
        }
        let whole = Sandbox::new().golden(&format!("tiny/{}", request.file()));
        Reply::status(200)
            .with("Content-Length", Some(whole.len().to_string().as_bytes()))
            .body(Body::Bytes(whole))
    };
    let another_range = |_: &Request, reply: Reply| match reply.status {
        206 => reply.with("Content-Range", Some(b"bytes 7-9/10")),
        _ => reply,
    };
    let whole = Sandbox::new().golden(&format!("tiny/{WEIGHTS}"));
    let half = whole[..whole.len() / 2].to_vec();
    let parts: [(&str, Vec<u8>); 5] = [
        ("half", half.clone()),
        ("whole", whole.clone()),
        ("garbage", vec![1; half.len()]),
        ("garbage of full length", vec![1; whole.len()]),
        ("oversized", vec![1; whole.len() + 1]),
    ];
    for (name, bytes) in parts {
        for server in 0..3 {
            let sandbox = sandbox();
            let part = part(&sandbox, WEIGHTS);
            fs::create_dir_all(part.parent().unwrap()).unwrap();
            fs::write(&part, &bytes).unwrap();
            let hub = match server {
                0 => Hub::correct(&sandbox),
                1 => Hub::new(&sandbox, ignores_ranges),
                _ => Hub::new(&sandbox, another_range),
            };
            assert_eq!(run(&sandbox, &hub).done(), expected(), "{name}, server {server}");
            assert!(!part.exists());
            let requests = hub.requests.lock().unwrap();
            let continued = requests.iter().any(|request| request.from == Some(half.len()));
            assert_eq!(continued, bytes.len() == half.len(), "{name}");
            if name == "whole" {
                assert!(!requests.iter().any(|request| request.is("GET", WEIGHTS)));
            }
        }
    }
}

#[test]
#[cfg(unix)]
fn links_in_the_cache_are_not_followed_when_writing() {
    let sandbox = sandbox();
    sandbox.write("victim", "mine");
    let links = [part(&sandbox, WEIGHTS), blob(&sandbox, "config.json")];
    for link in links {
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(sandbox.path("victim"), link).unwrap();
    }
    // A ref of an older version, with what a server sent.
    sandbox.write("hub/hub/models--owner--name/refs/main", "../../../..");
    assert_eq!(run(&sandbox, &Hub::correct(&sandbox)).done(), expected());
    assert_eq!(sandbox.text("victim"), "mine");
}

#[test]
fn first_downloads_at_once_share_one_download() {
    let sandbox = sandbox();
    let hub = Hub::new(&sandbox, |request, reply| {
        // Long enough that the others arrive meanwhile.
        if request.path.starts_with("/storage/") {
            std::thread::sleep(Duration::from_millis(1500));
        }
        reply
    });
    let children: Vec<Child> = (0..4).map(|_| command(&sandbox, &hub).spawn().unwrap()).collect();
    let runs: Vec<Run> =
        children.into_iter().map(|child| child.wait_with_output().unwrap().into()).collect();
    let waited = runs
        .iter()
        .filter(|run| {
            run.stderr.contains("waiting for another process that is downloading owner/name: ")
        })
        .count();
    assert!(waited > 0, "{}", runs[0].stderr);
    for run in runs {
        assert_eq!(run.done(), expected());
    }
    for file in ["config.json", "tokenizer.json"] {
        assert_eq!(hub.count("GET", file), 1, "{file}");
    }
    assert_eq!(hub.count("GET", WEIGHTS), 2, "a redirect and the body");
}

/// Stops the program when half of the weights has arrived, and returns the hub's log.
#[cfg(unix)]
fn stopped_in_the_middle(sandbox: &Sandbox, signal: &str) -> (Option<i32>, String) {
    use std::time::Instant;

    let hub = Hub::new(sandbox, |request, reply| match &reply.body {
        Body::Bytes(bytes) if request.path.starts_with("/storage/") => {
            let half = bytes[..bytes.len() / 2].to_vec();
            reply.body(Body::Stall(half))
        }
        _ => reply,
    });
    let mut command = command(sandbox, &hub);
    command.env("HF_HUB_DOWNLOAD_TIMEOUT", "60");
    let child = command.spawn().unwrap();
    let half = sandbox.golden(&format!("tiny/{WEIGHTS}")).len() as u64 / 2;
    let began = Instant::now();
    while fs::metadata(part(sandbox, WEIGHTS)).map_or(0, |found| found.len()) < half {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    let began = Instant::now();
    assert!(
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success()
    );
    let output = child.wait_with_output().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
#[cfg(unix)]
fn a_download_that_was_stopped_continues() {
    for signal in ["-KILL", "-INT"] {
        let sandbox = sandbox();
        let (code, said) = stopped_in_the_middle(&sandbox, signal);
        if signal == "-INT" {
            assert_eq!(code, Some(1), "{said}");
            assert!(said.ends_with("error: interrupted\n"), "{said}");
        }
        let hub = Hub::correct(&sandbox);
        assert_eq!(run(&sandbox, &hub).done(), expected());
        let half = sandbox.golden(&format!("tiny/{WEIGHTS}")).len() / 2;
        let requests = hub.requests.lock().unwrap();
        assert!(requests.iter().any(|request| request.from == Some(half)), "{requests:?}");
    }
}

/// Older versions cached what they received.
#[test]
#[cfg(unix)]
fn a_damaged_cache_is_reported_with_the_file_to_delete() {
    for file in ["config.json", "tokenizer.json", WEIGHTS] {
        let sandbox = sandbox();
        let hub = Hub::correct(&sandbox);
        run(&sandbox, &hub).done();
        let blob = blob(&sandbox, file);
        let bytes = fs::read(&blob).unwrap();
        fs::write(&blob, &bytes[..bytes.len() / 2]).unwrap();
        let again = run(&sandbox, &hub);
        let blob = fs::canonicalize(&blob).unwrap();
        let message = format!("is damaged in the hub's cache; delete {} and run", blob.display());
        again.failed(1, &message);
        fs::remove_file(&blob).unwrap();
        assert_eq!(run(&sandbox, &hub).done(), expected(), "{file}");
    }
}

#[test]
fn wrong_settings_are_reported() {
    let sandbox = sandbox();
    let hub = Hub::correct(&sandbox);
    for (name, value) in [
        ("HF_ENDPOINT", "ftp://hub.test"),
        ("HF_ENDPOINT", "hub"),
        ("HF_ENDPOINT", "https://user:word@hub.test"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"),
        ("HF_HUB_ETAG_TIMEOUT", "-1"),
        ("HF_TOKEN", "two\nlines"),
    ] {
        let mut command = command(&sandbox, &hub);
        command.env(name, value);
        Run::from(command.output().unwrap()).failed(1, &format!("error: {name}"));
    }
    assert!(hub.requests.lock().unwrap().is_empty());
}
