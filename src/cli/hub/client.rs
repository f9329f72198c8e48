//! Requests, with time-outs and few, checked redirects.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::{Agent, Body};

/// Redirects of one request. The hub needs one to its storage, and one for a renamed repository.
const REDIRECTS: usize = 5;

/// Why a request failed.
#[derive(Debug)]
pub enum Fault {
    /// The server's status code.
    Status(u16),
    /// The connection failed or was silent; trying again may help.
    Connection(String),
    /// The response cannot be used.
    Response(String),
    /// A file of the cache.
    File(std::io::Error),
}

impl Fault {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status(code) => matches!(code, 408 | 429 | 500..=599),
            Self::Connection(_) => true,
            Self::Response(_) | Self::File(_) => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => {
                let reason = StatusCode::from_u16(*code).ok().and_then(|c| c.canonical_reason());
                write!(f, "http status {code}")?;
                reason.map_or(Ok(()), |reason| write!(f, " ({})", reason.to_lowercase()))
            }
            Self::Connection(what) | Self::Response(what) => f.write_str(what),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

/// The headers of a file, from the redirects of its URL up to another host.
#[derive(Debug, Default)]
pub struct Described {
    pub commit: Option<String>,
    pub etag: Option<String>,
    pub size: Option<String>,
}

/// A client of one server.
pub struct Client {
    origin: Uri,
    token: Option<String>,
    metadata: Agent,
    download: Agent,
    silence: Duration,
}

impl Client {
    /// A client that sends `token` only to the server of `origin`.
    pub fn new(
        origin: Uri,
        token: Option<String>,
        metadata_timeout: Duration,
        download_timeout: Duration,
    ) -> Self {
        let (metadata, download) = (agent(metadata_timeout), agent(download_timeout));
        Self { origin, token, metadata, download, silence: download_timeout }
    }

    /// Asks for a file's headers. Redirects to another server are not followed: the hub describes the file, its storage
    /// does not.
    pub fn describe(&self, url: &Uri) -> Result<Described, Fault> {
        let mut url = url.clone();
        let mut found = Described::default();
        let (mut etag, mut length) = (None, None);
        for _ in 0..=REDIRECTS {
            let request = self.metadata.head(&url).header("Accept-Encoding", "identity");
            let response = match self.authorised(&url) {
                Some(value) => request.header("Authorization", value).call(),
                None => request.call(),
            };
            let response = response.map_err(connection)?;
            let (status, headers) = (response.status(), response.headers());
            if !status.is_success() && !status.is_redirection() {
                return Err(Fault::Status(status.as_u16()));
            }
            found.commit = text(headers, "x-repo-commit")?.or(found.commit);
            found.etag = text(headers, "x-linked-etag")?.or(found.etag);
            found.size = text(headers, "x-linked-size")?.or(found.size);
            etag = text(headers, "etag")?.or(etag);
            if status.is_success() {
                length = text(headers, "content-length")?;
            } else {
                let next = redirect(&url, headers)?;
                if same_origin(&next, &url) {
                    url = next;
                    continue;
                }
            }
            // Those of a linked file describe its content, the others the response.
            found.etag = found.etag.or(etag);
            found.size = found.size.or(length);
            return Ok(found);
        }
        Err(Fault::Response(format!("more than {REDIRECTS} redirects")))
    }

    /// Requests a file's bytes after the first `from`.
    pub fn get(&self, url: &Uri, from: u64) -> Result<Response<Body>, Fault> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let mut request = self.download.get(&url).header("Accept-Encoding", "identity");
            if from > 0 {
                request = request.header("Range", format!("bytes={from}-"));
            }
            if let Some(value) = self.authorised(&url) {
                request = request.header("Authorization", value);
            }
            let response = request.call().map_err(connection)?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            url = redirect(&url, response.headers())?;
        }
        Err(Fault::Response(format!("more than {REDIRECTS} redirects")))
    }

    /// The value of the header, if the URL belongs to the server that the token is for.
    fn authorised(&self, url: &Uri) -> Option<String> {
        let token = self.token.as_ref().filter(|_| same_origin(url, &self.origin))?;
        Some(format!("Bearer {token}"))
    }

    /// Reads a part of a body.
    pub fn read(&self, body: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Fault> {
        body.read(buffer).map_err(|error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
            if matches!(inner, Some(ureq::Error::Timeout(_))) {
                return Fault::Connection(format!("no data for {} s", self.silence.as_secs_f64()));
            }
            Fault::Connection(error.to_string())
        })
    }
}

fn agent(timeout: Duration) -> Agent {
    // No limit on the whole request, which would stop slow connections.
    let config = Agent::config_builder()
        .timeout_connect(Some(timeout))
        .timeout_send_request(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .timeout_per_read(Some(timeout))
        .timeout_per_write(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("lorb/", env!("CARGO_PKG_VERSION")));
    config.build().into()
}

fn connection(error: ureq::Error) -> Fault {
    match error {
        ureq::Error::Timeout(_) => Fault::Connection("the time for a response is over".into()),
        ureq::Error::Io(error) => Fault::Connection(error.to_string()),
        ureq::Error::Http(error) => Fault::Response(error.to_string()),
        ureq::Error::BadUri(what) => Fault::Response(format!("invalid URL: {what}")),
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
            Fault::Response(format!("not a response in HTTP: {error}"))
        }
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => Fault::Response(error.to_string()),
        _ => Fault::Connection(error.to_string()),
    }
}

/// A header as text.
pub fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text =
        value.to_str().map_err(|_| Fault::Response(format!("the header {name} is not text")))?;
    Ok(Some(text.to_owned()))
}

/// Scheme, host and port.
fn same_origin(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| {
        uri.port_u16().or_else(|| Some(if uri.scheme_str() == Some("https") { 443 } else { 80 }))
    };
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && port(a) == port(b)
}

/// The URL of a redirect. One from https to http is refused: it would let others read and change the file.
fn redirect(from: &Uri, headers: &HeaderMap) -> Result<Uri, Fault> {
    let Some(place) = text(headers, "location")? else {
        return Err(Fault::Response("a redirect without a URL".into()));
    };
    let (scheme, authority) = match (from.scheme_str(), from.authority()) {
        (Some(scheme), Some(authority)) => (scheme, authority.as_str()),
        _ => return Err(Fault::Response("a redirect from an incomplete URL".into())),
    };
    let whole = if place.starts_with("//") {
        format!("{scheme}:{place}")
    } else if place.starts_with('/') {
        format!("{scheme}://{authority}{place}")
    } else if place.contains("://") {
        place.clone()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{place}")
    };
    let refused = |why: &str| Fault::Response(format!("a redirect to {place}: {why}"));
    let to: Uri = whole.parse().map_err(|_| refused("not a URL"))?;
    match to.scheme_str() {
        Some("https") => {}
        Some("http") if scheme == "http" => {}
        Some("http") => return Err(refused("not encrypted")),
        _ => return Err(refused("not HTTP")),
    }
    if to.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return Err(refused("not a server"));
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(from: &str, place: &str) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        headers.insert("location", place.parse().unwrap());
        let from = from.parse().unwrap();
        redirect(&from, &headers).map(|uri| uri.to_string()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn redirects_are_resolved_and_never_leave_encryption() {
        let from = "https://hub.test:8/a/b?c";
        assert_eq!(to(from, "/x?y").unwrap(), "https://hub.test:8/x?y");
        assert_eq!(to(from, "x").unwrap(), "https://hub.test:8/a/x");
        assert_eq!(to(from, "//other.test/x").unwrap(), "https://other.test/x");
        assert_eq!(to(from, "https://other.test/x").unwrap(), "https://other.test/x");
        assert!(to(from, "http://hub.test:8/x").unwrap_err().ends_with("not encrypted"));
        assert!(to(from, "file:///etc/passwd").is_err());
        assert!(to(from, "https://user@other.test/x").unwrap_err().ends_with("not a server"));
        assert_eq!(to("http://hub.test/", "http://other.test/").unwrap(), "http://other.test/");
    }

    #[test]
    fn the_token_goes_to_its_own_server_only() {
        let second = Duration::from_secs(1);
        let client =
            Client::new("https://hub.test".parse().unwrap(), Some("hf_x".into()), second, second);
        let sent = |url: &str| client.authorised(&url.parse().unwrap());
        assert_eq!(sent("https://hub.test/a").as_deref(), Some("Bearer hf_x"));
        assert!(sent("https://HUB.test:443/a").is_some());
        for other in [
            "https://cdn.hub.test/a",
            "http://hub.test/a",
            "https://hub.test:444/a",
            "https://hub.test.evil/",
        ] {
            assert_eq!(sent(other), None, "{other}");
        }
    }
}
