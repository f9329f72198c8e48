//! Downloads from a hub, correct and hostile.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

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
const WEIGHTS: &str = "model.safetensors";

/// A sandbox without its base.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.path("base")).unwrap();
    sandbox
}

fn command(sandbox: &Sandbox, hub: &Hub) -> Command {
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

fn run(sandbox: &Sandbox, hub: &Hub) -> Run {
    command(sandbox, hub).output().unwrap().into()
}

/// What the command prints with the base in a directory.
fn expected() -> &'static str {
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

/// Runs with a hub whose replies are changed: one error line soon, nothing outside the cache, and no content that stops
/// a later run.
#[track_caller]
fn refused(
    what: &str,
    message: &str,
    change: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
) {
    let sandbox = sandbox();
    sandbox.write("victim", "mine");
    let outside = |sandbox: &Sandbox| {
        let mut files = sandbox.files();
        files.retain(|path, _| !path.starts_with(sandbox.path("hub")));
        files
    };
    let before = outside(&sandbox);
    let bad = Hub::new(&sandbox, change);
    let began = Instant::now();
    let mut command = command(&sandbox, &bad);
    command.env("HF_HUB_ETAG_TIMEOUT", "0.5").env("HF_HUB_DOWNLOAD_TIMEOUT", "0.5");
    let run = Run::from(command.output().unwrap());
    assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?}", began.elapsed());
    assert!(run.stderr.contains(message), "{what}: {}", run.stderr);
    run.failed(1, "error: --model owner/name: ");
    assert!(outside(&sandbox) == before, "{what}: files outside the cache");
    drop(bad);
    let good = self::run(&sandbox, &Hub::correct(&sandbox));
    assert_eq!(good.done(), expected(), "{what}");
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
fn names_from_the_server_are_never_paths() {
    let long = "ab".repeat(10_000);
    let absolute = std::env::temp_dir().join("lorb-victim").display().to_string();
    let values: Vec<Vec<u8>> = [
        absolute.as_str(),
        "../../../../victim",
        "..",
        "",
        "\"\"",
        "\"/victim\"",
        "W/\"../../victim\"",
        &long,
        "C0FFEE00C0FFEE00C0FFEE00C0FFEE00C0FFEE00",
        "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee0",
        "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee0/",
        "c0ffee\u{1b}[31m",
        "é",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into_iter()
    .chain([b"a\0b".to_vec(), b"\xff\xfe".to_vec(), b"a\nb: c".to_vec()])
    .collect();
    for value in values {
        for header in ["ETag", "X-Repo-Commit"] {
            let value = value.clone();
            let what =
                format!("{header} {:?}", String::from_utf8_lossy(&value[..value.len().min(50)]));
            refused(&what, "error: ", move |_, reply| reply.with(header, Some(&value)));
        }
    }
    for header in ["X-Linked-Etag", "X-Repo-Commit"] {
        let wrong = move |request: &Request, reply: Reply| {
            if request.file() == WEIGHTS {
                reply.with(header, Some(b"../../victim"))
            } else {
                reply
            }
        };
        refused(header, "expected hexadecimal digits", wrong);
        refused("missing", "expected hexadecimal digits", move |_, reply| {
            reply.with("X-Repo-Commit", None)
        });
    }
    let other = "0".repeat(40);
    let moved = move |request: &Request, reply: Reply| match request.file() {
        WEIGHTS => reply.with("X-Repo-Commit", Some(other.as_bytes())),
        _ => reply,
    };
    refused("another commit", "was requested", moved);
    assert!(!std::path::Path::new(&absolute).exists());
}

#[test]
fn bodies_that_differ_from_what_was_stated_are_not_cached() {
    fn of(
        file: &'static str,
        change: impl Fn(Reply) -> Reply + Send + Sync + 'static,
    ) -> impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static {
        move |request: &Request, reply: Reply| {
            let body = matches!(&reply.body, Body::Bytes(bytes) if !bytes.is_empty());
            if request.is("GET", file) && body { change(reply) } else { reply }
        }
    }
    fn bytes(reply: &Reply) -> Vec<u8> {
        match &reply.body {
            Body::Bytes(bytes) => bytes.clone(),
            _ => Vec::new(),
        }
    }
    for file in ["config.json", "tokenizer.json", WEIGHTS] {
        let wrong = |reply: Reply| {
            let mut body = bytes(&reply);
            let last = body.len() - 1;
            body[last] ^= 1;
            reply.body(Body::Bytes(body))
        };
        refused("wrong bytes", "do not have the digest", of(file, wrong));
        let garbage = |reply: Reply| {
            let length = bytes(&reply).len();
            reply.body(Body::Bytes(vec![b'{'; length]))
        };
        refused("garbage", "do not have the digest", of(file, garbage));
        let shorter = |reply: Reply| {
            let body = bytes(&reply);
            let half = body[..body.len() / 2].to_vec();
            reply
                .with("Content-Length", Some(half.len().to_string().as_bytes()))
                .body(Body::Bytes(half))
        };
        refused("shorter", "in all were stated", of(file, shorter));
        let longer = |reply: Reply| {
            let body = [bytes(&reply), vec![0; 1000]].concat();
            reply
                .with("Content-Length", Some(body.len().to_string().as_bytes()))
                .body(Body::Bytes(body))
        };
        refused("longer", "in all were stated", of(file, longer));
        let endless = |reply: Reply| reply.with("Content-Length", None).body(Body::Endless);
        refused("endless", "more than ", of(file, endless));
        let nothing = |reply: Reply| reply.body(Body::Bytes(Vec::new()));
        refused("nothing", "could not reach the hub", of(file, nothing));
    }
    for (size, message) in [
        ("99999999999999", "accepts at most"),
        ("-1", "expected a number"),
        ("18446744073709551616", "expected a number"),
    ] {
        let change = move |request: &Request, reply: Reply| match request.method.as_str() {
            "HEAD" => reply.with("X-Linked-Size", Some(size.as_bytes())),
            _ => reply,
        };
        refused(size, message, change);
    }
    let unstated = |request: &Request, reply: Reply| match request.file() {
        WEIGHTS => reply.with("X-Linked-Size", None),
        _ => reply,
    };
    refused("no size", "is not stated", unstated);
}

#[test]
fn silence_errors_and_redirects_end_soon() {
    refused("a stall in the weights", "no data for 0.5 s", |request, reply| match &reply.body {
        Body::Bytes(bytes) if request.path.starts_with("/storage/") => {
            // Half of them at first, then nothing at all.
            let count = if request.from.is_none() { bytes.len() / 2 } else { 0 };
            let some = bytes[..count].to_vec();
            reply.body(Body::Stall(some))
        }
        _ => reply,
    });
    refused("a stall before the headers", "the time for a response is over", |request, reply| {
        if request.is("HEAD", WEIGHTS) {
            std::thread::sleep(Duration::from_secs(2));
        }
        reply
    });
    refused("5xx", "http status 503 (service unavailable)", |_, _| Reply::status(503));
    refused("4xx", "not found on the hub", |_, _| Reply::status(401));
    refused("a loop", "more than 5 redirects", |request, _| {
        Reply::status(302).with("Location", Some(request.path.as_bytes()))
    });
    refused("a loop of bodies", "more than 5 redirects", |request, reply| {
        match request.is("GET", WEIGHTS) {
            true => Reply::status(302).with("Location", Some(request.path.as_bytes())),
            false => reply,
        }
    });
    refused("a file", "not HTTP", |request, reply| match request.is("GET", WEIGHTS) {
        true => Reply::status(302).with("Location", Some(b"ftp://hub.test/x")),
        false => reply,
    });
    refused("endless headers", "error: ", |_, reply| {
        (0..10_000).fold(reply, |mut reply, at| {
            reply.headers.push((format!("X-{at}"), vec![b'x'; 100]));
            reply
        })
    });
    refused("not HTTP", "error: ", |_, reply| reply.with("A B", Some(b"\r\n\r\n")));
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
