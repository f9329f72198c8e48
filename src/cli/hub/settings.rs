//! The environment variables of Python's huggingface_hub.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::Uri;

use crate::cli::error::CliError;

const ENDPOINT: &str = "https://huggingface.co";

/// Default of both time-outs.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the cache and the hub are, and how long to wait for it.
pub struct Settings {
    /// The directory of the cache.
    pub cache: PathBuf,
    /// The hub, without a slash at its end.
    pub endpoint: String,
    pub token: Option<String>,
    /// How long to wait for the properties of a file.
    pub metadata_timeout: Duration,
    /// How long a download may receive nothing.
    pub download_timeout: Duration,
}

impl Settings {
    pub fn from_env() -> Result<Self, CliError> {
        let home = match path("HF_HOME") {
            Some(home) => Some(home),
            None => path("XDG_CACHE_HOME")
                .or_else(|| dirs::home_dir().map(|home| home.join(".cache")))
                .map(|cache| cache.join("huggingface")),
        };
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let cache =
            cache.or_else(|| home.as_ref().map(|home| home.join("hub"))).ok_or_else(|| {
                CliError::Failed("no home directory for the hub's cache; set HF_HOME".into())
            })?;
        let endpoint = env::var("HF_ENDPOINT").ok().filter(|text| !text.is_empty());
        let endpoint = endpoint.unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let valid = endpoint.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("https" | "http"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.query().is_none()
        });
        if !valid {
            return Err(CliError::Failed(format!(
                "HF_ENDPOINT: {endpoint}: expected the URL of a hub, such as {ENDPOINT}"
            )));
        }
        Ok(Self {
            cache,
            endpoint,
            token: token(home)?,
            metadata_timeout: seconds("HF_HUB_ETAG_TIMEOUT")?,
            download_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT")?,
        })
    }
}

/// Whether the environment disables the network.
pub fn offline() -> bool {
    let offline = set("HF_HUB_OFFLINE");
    if offline.is_empty() { is_true(&set("TRANSFORMERS_OFFLINE")) } else { is_true(&offline) }
}

fn set(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn is_true(text: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&text.to_ascii_uppercase().as_str())
}

/// A path in a variable, with `~` for the home directory.
fn path(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(name).filter(|text| !text.is_empty())?);
    match path.strip_prefix("~") {
        Ok(rest) => Some(dirs::home_dir()?.join(rest)),
        Err(_) => Some(path),
    }
}

fn seconds(name: &str) -> Result<Duration, CliError> {
    let text = set(name);
    if text.is_empty() {
        return Ok(TIMEOUT);
    }
    let number = text.parse().ok().filter(|&number: &f64| number > 0.0 && number <= 86_400.0);
    number.map(Duration::from_secs_f64).ok_or_else(|| {
        CliError::Failed(format!("{name}: {text}: expected a number of seconds, at most 86400"))
    })
}

/// The token from the variable, else from the file that `hf auth login` writes.
fn token(home: Option<PathBuf>) -> Result<Option<String>, CliError> {
    if is_true(&set("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
        return Ok(None);
    }
    let mut token = set("HF_TOKEN");
    let mut source = "HF_TOKEN".to_owned();
    if token.is_empty() {
        let file = path("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token")));
        // A missing file is the usual case. One that is not a regular file could be endless.
        if let Some(file) = file.filter(|file| file.is_file()) {
            token = fs::read_to_string(&file).unwrap_or_default();
            source = file.display().to_string();
        }
    }
    let token = token.trim();
    if token.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(CliError::Failed(format!("{source}: not a token of the hub")));
    }
    Ok(Some(token.to_owned()).filter(|token| !token.is_empty()))
}
