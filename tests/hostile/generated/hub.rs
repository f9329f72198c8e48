//! Damaged replies of a hub: each is refused or used, and none spoils the cache for a later run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{ALLOWED, number};
use crate::check::{one_error_line, text};
use crate::failures;
use crate::hub_server::{Body, COMMIT, Hub, Reply};
use crate::limits;
use crate::mutate::{Form, below, damage};
use crate::sandbox::Sandbox;

const RESCORE: &str =
    "rescore -q --device cpu --model owner/name --adapter adapter --beta 1 lists.jsonl";

/// Downloads with damaged replies in a normal run of the tests.
const DOWNLOADS: usize = 60;

const FILES: &[&str] = &["config.json", "tokenizer.json", "model.safetensors"];

const HEADERS: &[&str] = &[
    "ETag",
    "X-Repo-Commit",
    "X-Linked-Etag",
    "X-Linked-Size",
    "Content-Length",
    "Location",
    "Content-Range",
    "Content-Encoding",
    "Transfer-Encoding",
    "Set-Cookie",
];

/// Stands for the path of a file outside the cache, which no reply may make the program write.
const ELSEWHERE: &[u8] = b"@elsewhere@";

const VALUES: &[&[u8]] = &[
    b"",
    b" ",
    b"\"\"",
    ELSEWHERE,
    b"\"../../../x\"",
    b"..",
    b".",
    b"/",
    b"W/\"a\"",
    b"\"a\"",
    b"\"\xff\"",
    b"\x1b[31m",
    b"0",
    b"-1",
    b"1",
    b"18446744073709551616",
    b"99999999999999",
    b"http://127.0.0.1:1/",
    b"file:///etc/passwd",
    b"//",
    b"/owner/name/resolve/main/config.json",
    b"bytes 0-1/2",
    b"gzip",
    b"chunked",
    b"0000000000000000000000000000000000000000",
    COMMIT.as_bytes(),
];

/// What is wrong with the replies for one file.
#[derive(Clone)]
struct Damage {
    file: &'static str,
    method: &'static str,
    header: Option<(&'static str, Option<&'static [u8]>)>,
    status: Option<u16>,
    body: Option<u64>,
}

fn damage_of(random: &mut ChaCha8Rng) -> Damage {
    let file = FILES[below(random, FILES.len())];
    let method = ["HEAD", "GET"][below(random, 2)];
    let mut found = Damage { file, method, header: None, status: None, body: None };
    match below(random, 8) {
        0 => {
            found.status =
                Some([199, 204, 206, 301, 304, 404, 416, 429, 500, 999][below(random, 10)]);
        }
        1 | 2 => {
            found.method = "GET";
            found.body = Some(below(random, 1 << 20) as u64);
        }
        3 => found.header = Some((HEADERS[below(random, HEADERS.len())], None)),
        _ => {
            let value = VALUES[below(random, VALUES.len())];
            found.header = Some((HEADERS[below(random, HEADERS.len())], Some(value)));
        }
    }
    found
}

impl Damage {
    fn apply(&self, reply: Reply, elsewhere: &Path) -> Reply {
        let mut reply = reply;
        if let Some((name, value)) = self.header {
            let path = format!("\"{}\"", elsewhere.display());
            let value = value.map(|value| if value == ELSEWHERE { path.as_bytes() } else { value });
            reply = reply.with(name, value);
        }
        reply.status = self.status.unwrap_or(reply.status);
        if let (Some(seed), Body::Bytes(bytes)) = (self.body, &reply.body)
            && !bytes.is_empty()
        {
            let form = if self.file.ends_with("json") { Form::Json } else { Form::Tensors };
            let bytes = damage(&mut ChaCha8Rng::seed_from_u64(seed), form, bytes);
            // Half of them state the length that they have.
            if seed.is_multiple_of(2) {
                reply = reply.with("Content-Length", Some(bytes.len().to_string().as_bytes()));
            }
            reply = reply.body(Body::Bytes(bytes));
        }
        reply
    }
}

#[test]
fn damaged_replies_of_a_hub_are_refused_or_used() {
    let seed = number("LORB_HOSTILE_SEED").unwrap_or(15);
    let times = number("LORB_HOSTILE_TIMES").unwrap_or(1) as usize;
    let expected = Sandbox::new().run(&RESCORE.replace("owner/name", "base")).done();
    let indices: Vec<usize> = (0..DOWNLOADS * times).collect();
    let counts = Mutex::new((0, 0));
    let failed = failures(&indices, |&index| {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1000) + index as u64);
        let wrong = damage_of(&mut random);
        let what = format!(
            "download {index}, {} of {}: {:?}, {:?}, {:?}",
            wrong.method, wrong.file, wrong.status, wrong.header, wrong.body
        );
        let accepted =
            download(wrong, &expected).map_err(|message| format!("{what}: {message}"))?;
        let mut counts = counts.lock().unwrap();
        *(if accepted { &mut counts.0 } else { &mut counts.1 }) += 1;
        Ok(())
    });
    let (accepted, refused) = counts.into_inner().unwrap();
    println!("seed {seed}: {accepted} downloads accepted, {refused} refused");
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(accepted > 0 && refused > 0);
}

/// Downloads with damaged replies, then with correct ones. Returns whether the first run succeeded.
fn download(wrong: Damage, expected: &str) -> Result<bool, String> {
    let sandbox = Sandbox::new();
    fs::remove_dir_all(sandbox.path("base")).unwrap();
    let before = outside(&sandbox);
    let elsewhere = sandbox.path("elsewhere");
    let hub = Hub::new(&sandbox, move |request, reply| {
        if request.is(wrong.method, wrong.file) { wrong.apply(reply, &elsewhere) } else { reply }
    });
    let accepted = attempt(&sandbox, &hub, expected)?;
    drop(hub);
    if outside(&sandbox) != before {
        return Err("files outside the cache differ".into());
    }
    if !attempt(&sandbox, &Hub::correct(&sandbox), expected)? {
        return Err("a later download from a correct hub fails".into());
    }
    Ok(accepted)
}

fn attempt(sandbox: &Sandbox, hub: &Hub, expected: &str) -> Result<bool, String> {
    let mut command = sandbox.process();
    command.args(RESCORE.split(' ')).stdin(Stdio::null());
    command.env("HF_ENDPOINT", hub.endpoint()).env("NO_PROXY", "*").env_remove("HF_HUB_OFFLINE");
    command.env("HF_HUB_ETAG_TIMEOUT", "0.5").env("HF_HUB_DOWNLOAD_TIMEOUT", "0.5");
    let ended = limits::run(command, ALLOWED, None, None)?;
    let (stdout, stderr) =
        (text("standard output", &ended.stdout)?, text("standard error", &ended.stderr)?);
    match ended.status.code() {
        Some(0) if stdout == expected => one_error_line(stderr, None).map(|()| true),
        Some(0) => Err("other scores".into()),
        Some(1) => one_error_line(stderr, Some("")).map(|()| false),
        _ => Err(format!("{}: {stderr:.600}", ended.status)),
    }
}

/// The files that a download must not change.
fn outside(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = sandbox.files();
    files.retain(|path, _| !path.starts_with(sandbox.path("hub")));
    files
}
