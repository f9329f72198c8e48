//! Hubs that answer wrongly.

use std::time::{Duration, Instant};

use crate::hub::{WEIGHTS, command, expected, sandbox};
use crate::hub_server::{Body, Hub, Reply, Request};
use crate::sandbox::{Run, Sandbox};

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
    let good = crate::hub::run(&sandbox, &Hub::correct(&sandbox));
    assert_eq!(good.done(), expected(), "{what}");
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
