//! What a killed `rescore` was and how much of it is complete, so that another run can continue it.
//!
//! The state is stored at the ends of chunks, and a continued run forms the same chunks. Its output is therefore byte for
//! byte that of an undisturbed run. The lists that are complete are read again, because their digest shows whether they
//! are the same, also from a pipe.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lorb::digest::hex;
use lorb::nbest::{Utterance, write_jsonl};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::CliError;

/// Time between two states. Each waits until the output is on the disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// What the result depends on, by names for error messages.
pub type Settings = BTreeMap<String, String>;

/// The state at the end of a chunk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// What the result depends on, but for the lists.
    pub settings: Settings,
    /// The format of the output.
    pub format: String,
    /// Lists that are complete.
    pub lists: u64,
    /// SHA-256 of these lists, as read.
    pub sha256: String,
    /// Bytes of the output that are complete.
    pub bytes: u64,
    /// Hypotheses of the lists.
    pub hypotheses: u64,
    /// Lists with a new first hypothesis.
    pub changed: u64,
    /// Hypotheses that were truncated.
    pub truncated: u64,
}

impl State {
    /// Reads a state that a killed run left, with `bytes` of its output, and compares it with this run.
    pub fn read(json: &[u8], bytes: u64, settings: &Settings) -> Result<Self, CliError> {
        let state: Self =
            serde_json::from_slice(json).map_err(|_| refused("its state is damaged"))?;
        if state.bytes > bytes {
            return Err(refused("its output is shorter than its state says"));
        }
        let names = state.settings.keys().chain(settings.keys());
        let other = names.into_iter().find(|name| state.settings.get(*name) != settings.get(*name));
        match other {
            Some(name) => Err(refused(&format!("{name} differs"))),
            None => Ok(state),
        }
    }

    /// Compares the lists that this run has read with those of the killed one.
    pub fn check_lists(&self, lists: &ListDigest) -> Result<(), CliError> {
        if lists.value() == self.sha256 {
            return Ok(());
        }
        Err(refused(&format!("the first {} lists differ", self.lists)))
    }
}

/// An error about a run that cannot be continued.
pub fn refused(why: &str) -> CliError {
    CliError::Failed(format!(
        "--resume: the earlier run cannot be continued: {why}; without --resume, the run starts from the beginning"
    ))
}

/// A digest of lists as they were read.
#[derive(Debug, Clone, Default)]
pub struct ListDigest {
    hasher: Sha256,
    line: Vec<u8>,
}

impl ListDigest {
    /// Adds a list.
    pub fn add(&mut self, list: &Utterance) -> Result<(), CliError> {
        self.line.clear();
        write_jsonl(&mut self.line, list).map_err(|error| CliError::Failed(error.to_string()))?;
        self.hasher.update(&self.line);
        Ok(())
    }

    /// The digest of the lists so far.
    pub fn value(&self) -> String {
        hex(self.hasher.clone())
    }
}

/// When to store the next state: after the first chunk, and then from time to time.
#[derive(Debug, Default)]
pub struct Pace(Option<Instant>);

impl Pace {
    /// Whether it is time.
    pub fn due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= INTERVAL);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_run_is_refused_by_the_name_of_what_differs() {
        let settings = |adapter: &str| {
            Settings::from([
                ("the base".to_owned(), "b".to_owned()),
                ("the adapter".to_owned(), adapter.to_owned()),
            ])
        };
        let state = State { settings: settings("a"), lists: 2, bytes: 10, ..State::default() };
        let json = serde_json::to_vec(&state).unwrap();
        assert_eq!(State::read(&json, 10, &settings("a")).unwrap(), state);
        let refusal = |json: &[u8], bytes, settings: &Settings| {
            State::read(json, bytes, settings).unwrap_err().message().unwrap()
        };
        assert!(refusal(&json, 10, &settings("x")).contains("continued: the adapter differs;"));
        assert!(refusal(&json, 10, &Settings::new()).contains(" differs;"));
        assert!(refusal(&json, 9, &settings("a")).contains("shorter"));
        assert!(refusal(b"{", 9, &settings("a")).contains("damaged"));
        let mut lists = ListDigest::default();
        let complete = State { sha256: lists.value(), ..state };
        complete.check_lists(&lists).unwrap();
        lists.add(&Utterance::new("u", None, Vec::new())).unwrap();
        let refused = complete.check_lists(&lists).unwrap_err().message().unwrap();
        assert!(refused.contains("the first 2 lists differ"), "{refused}");
    }
}
