//! Downloads of contents whose digest is known.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use ureq::http::Uri;

use super::client::{Client, Fault, text};
use super::digest::Digest;

/// Attempts without a single new byte.
const ATTEMPTS: u32 = 4;

/// Time before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// What a body must be.
pub struct Expected<'a> {
    pub digest: &'a Digest,
    /// Its length, if the server states it.
    pub size: Option<u64>,
    /// The largest acceptable length.
    pub limit: u64,
}

/// Calls `request` again, after a pause, while its faults are transient.
pub fn with_retries<T>(mut request: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
    let mut attempt = 1;
    loop {
        match request() {
            Err(fault) if fault.is_transient() && attempt < ATTEMPTS => pause(attempt),
            result => return result,
        }
        attempt += 1;
    }
}

fn pause(attempt: u32) {
    thread::sleep(PAUSE * 2_u32.pow(attempt - 1));
}

/// Downloads to `part`, which has the expected digest afterwards. An existing part is continued. After a failure, what
/// has arrived stays for the next run, unless it is wrong.
pub fn download(
    client: &Client,
    url: &Uri,
    part: &Path,
    expected: &Expected<'_>,
    mut progress: impl FnMut(u64),
) -> Result<(), Fault> {
    // Nothing else is a part, and a link would lead out of the cache.
    if fs::symlink_metadata(part).is_ok_and(|found| !found.is_file()) {
        fs::remove_file(part)?;
    }
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(part)?;
    let mut resumed = file.metadata()?.len() > 0;
    loop {
        if let Err(fault) = fill(client, url, &mut file, expected, &mut progress) {
            if matches!(fault, Fault::Response(_)) {
                let _ = fs::remove_file(part);
            }
            return Err(fault);
        }
        let length = file.seek(SeekFrom::End(0))?;
        file.rewind()?;
        if expected.digest.fits(&mut file, length)? {
            file.sync_all()?;
            return Ok(());
        }
        if !resumed {
            let _ = fs::remove_file(part);
            let what = "the bytes do not have the digest that the hub states";
            return Err(Fault::Response(what.into()));
        }
        // The part of an earlier run may be what is wrong.
        resumed = false;
        file.set_len(0)?;
    }
}

/// Requests the missing bytes until the file is complete.
fn fill(
    client: &Client,
    url: &Uri,
    file: &mut File,
    expected: &Expected<'_>,
    progress: &mut impl FnMut(u64),
) -> Result<(), Fault> {
    let mut attempt = 1;
    loop {
        let before = file.seek(SeekFrom::End(0))?;
        if before > expected.size.unwrap_or(expected.limit) {
            file.set_len(0)?;
            continue;
        }
        if expected.size == Some(before) {
            return Ok(());
        }
        let fault = match receive(client, url, file, before, expected, progress) {
            Ok(()) => return Ok(()),
            Err(fault) if fault.is_transient() => fault,
            Err(fault) => return Err(fault),
        };
        if file.seek(SeekFrom::End(0))? > before {
            attempt = 1;
        } else if attempt == ATTEMPTS {
            return Err(fault);
        }
        pause(attempt);
        attempt += 1;
    }
}

/// One request, for the bytes from `from` on.
fn receive(
    client: &Client,
    url: &Uri,
    file: &mut File,
    from: u64,
    expected: &Expected<'_>,
    progress: &mut impl FnMut(u64),
) -> Result<(), Fault> {
    let response = client.get(url, from)?;
    let status = response.status().as_u16();
    let mut at = match status {
        206 if starts_at(&text(response.headers(), "content-range")?, from) => from,
        // The server ignores ranges: all bytes again.
        200 => 0,
        206 | 416 if from > 0 => {
            file.set_len(0)?;
            return Err(Fault::Connection("the server cannot continue the download".into()));
        }
        206 => return Err(Fault::Response("a part that was not requested".into())),
        _ => return Err(Fault::Status(status)),
    };
    let longest = expected.size.unwrap_or(expected.limit);
    let stated = text(response.headers(), "content-length")?.and_then(|text| text.parse().ok());
    if let (Some(size), Some(stated)) = (expected.size, stated)
        && Some(size) != at.checked_add(stated)
    {
        let what = format!("{stated} bytes after the first {at}, where {size} in all were stated");
        return Err(Fault::Response(what));
    }
    file.set_len(at)?;
    file.seek(SeekFrom::Start(at))?;
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = client.read(&mut body, &mut buffer)?;
        if count == 0 {
            break;
        }
        at += count as u64;
        if at > longest {
            return Err(Fault::Response(format!("more than {longest} bytes")));
        }
        file.write_all(&buffer[..count])?;
        progress(at);
    }
    match expected.size {
        Some(size) if at < size => {
            Err(Fault::Connection(format!("the connection ended after {at} of {size} bytes")))
        }
        _ => Ok(()),
    }
}

/// Whether a header `Content-Range` starts at this byte.
fn starts_at(range: &Option<String>, from: u64) -> bool {
    let range = range.as_deref().and_then(|range| range.strip_prefix("bytes "));
    range
        .and_then(|range| range.split_once('-'))
        .is_some_and(|(start, _)| start == from.to_string())
}
