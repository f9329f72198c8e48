//! A hub for tests, on this machine, whose answers can be wrong in every way.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha1::{Digest, Sha1};

use crate::sandbox::Sandbox;

pub const COMMIT: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// A request, as far as the tests look at it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub host: String,
    /// The first byte that is asked for.
    pub from: Option<usize>,
    pub authorization: Option<String>,
    /// How many earlier requests had the same method and path.
    pub earlier: usize,
}

impl Request {
    /// The file that is asked for.
    pub fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    pub fn is(&self, method: &str, file: &str) -> bool {
        self.method == method && self.file() == file
    }
}

/// What happens after the headers.
#[derive(Debug, Clone)]
pub enum Body {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, then nothing, with the connection open.
    Stall(Vec<u8>),
    /// Zeros until the client closes the connection.
    Endless,
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Body,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    /// Replaces a header, or removes it.
    pub fn with(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.headers.retain(|(old, _)| !old.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value.to_vec())));
        self
    }

    pub fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }
}

/// Changes the correct reply.
pub type Change = dyn Fn(&Request, Reply) -> Reply + Send + Sync;

pub struct Hub {
    pub port: u16,
    pub requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Hub {
    /// A hub with the sandbox's base, under any name, whose replies `change` may change.
    pub fn new(
        sandbox: &Sandbox,
        change: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let names = ["config.json", "tokenizer.json", "vocab.txt", "model.safetensors"];
        let files = names.map(|name| (name.to_owned(), sandbox.golden(&format!("tiny/{name}"))));
        let files: Arc<BTreeMap<String, Vec<u8>>> = Arc::new(files.into());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, stop): (Arc<Mutex<Vec<Request>>>, Arc<AtomicBool>) = Default::default();
        let (log, stopped, change) = (Arc::clone(&requests), Arc::clone(&stop), Arc::new(change));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let (log, stopped) = (Arc::clone(&log), Arc::clone(&stopped));
                let (files, change) = (Arc::clone(&files), Arc::clone(&change));
                thread::spawn(move || {
                    // A client that gives up is part of the tests.
                    let _ = stream.and_then(|stream| {
                        converse(&stream, port, &files, &log, &*change, &stopped)
                    });
                });
            }
        });
        Self { port, requests, stop }
    }

    /// A hub without faults.
    pub fn correct(sandbox: &Sandbox) -> Self {
        Self::new(sandbox, |_, reply| reply)
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn count(&self, method: &str, file: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.is(method, file)).count()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// The ETag of a file: large ones have their SHA-256, others git's digest.
pub fn etag(name: &str, bytes: &[u8]) -> String {
    if name == "model.safetensors" {
        return lorb::digest::sha256(bytes);
    }
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads one request and answers it.
fn converse(
    stream: &TcpStream,
    port: u16,
    files: &BTreeMap<String, Vec<u8>>,
    log: &Mutex<Vec<Request>>,
    change: &Change,
    stopped: &AtomicBool,
) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request =
        Request { method, path, host: String::new(), from: None, authorization: None, earlier: 0 };
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "host" => request.host = value.to_owned(),
            "authorization" => request.authorization = Some(value.to_owned()),
            "range" => {
                let from = value.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
                request.from = from.and_then(|from| from.parse().ok());
            }
            _ => {}
        }
    }
    {
        let mut log = log.lock().unwrap();
        let same = |old: &&Request| old.method == request.method && old.path == request.path;
        request.earlier = log.iter().filter(same).count();
        log.push(request.clone());
    }
    let reply = change(&request, correct(&request, port, files));
    let mut head = format!("HTTP/1.1 {} Some\r\nConnection: close\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    let mut out = stream;
    out.write_all(&head)?;
    match reply.body {
        Body::Bytes(bytes) => out.write_all(&bytes)?,
        Body::Stall(bytes) => {
            out.write_all(&bytes)?;
            while !stopped.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
        }
        Body::Endless => loop {
            out.write_all(&[0; 1 << 16])?;
        },
    }
    out.shutdown(Shutdown::Write)
}

/// What a hub answers: the weights are in a storage with another name, as on the real one.
fn correct(request: &Request, port: u16, files: &BTreeMap<String, Vec<u8>>) -> Reply {
    let name = request.file();
    let Some(bytes) = files.get(name) else { return Reply::status(404) };
    let tag = format!("\"{}\"", etag(name, bytes));
    if name == "model.safetensors" && !request.path.starts_with("/storage/") {
        let place = format!("http://localhost:{port}/storage/{name}");
        return Reply::status(302)
            .with("Location", Some(place.as_bytes()))
            .with("X-Repo-Commit", Some(COMMIT.as_bytes()))
            .with("X-Linked-Etag", Some(tag.as_bytes()))
            .with("X-Linked-Size", Some(bytes.len().to_string().as_bytes()))
            .with("ETag", Some(b"\"of the redirect\""))
            .with("Content-Length", Some(b"0"));
    }
    let from = request.from.unwrap_or(0);
    if from > 0 && from >= bytes.len() {
        return Reply::status(416).with("Content-Length", Some(b"0"));
    }
    let part = &bytes[from..];
    let reply = Reply::status(if from > 0 { 206 } else { 200 })
        .with("X-Repo-Commit", Some(COMMIT.as_bytes()))
        .with("ETag", Some(tag.as_bytes()))
        .with("Content-Length", Some(part.len().to_string().as_bytes()));
    let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
    let reply = if from > 0 { reply.with("Content-Range", Some(range.as_bytes())) } else { reply };
    if request.method == "HEAD" { reply } else { reply.body(Body::Bytes(part.to_vec())) }
}
