//! The base that is compiled into the program: a student of all-MiniLM-L6-v2, so that a first run needs no download.
//!
//! `built-in/README.md` says what it was made of, and `scripts/built-in-base.sh` makes it again.

use crate::base::{Base, BaseError, BaseFiles, TokenizerFiles};

/// The files of the base, by name.
pub const FILES: [(&str, &[u8]); 4] = [
    ("config.json", include_bytes!("../built-in/config.json")),
    ("tokenizer.json", include_bytes!("../built-in/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../built-in/tokenizer_config.json")),
    ("model.safetensors", include_bytes!("../built-in/model.safetensors")),
];

/// Reads the base.
///
/// # Errors
/// [`BaseError`] never occurs with the files of the repository.
pub fn base() -> Result<Base, BaseError> {
    let [config, tokenizer, settings, weights] = FILES.map(|(_, bytes)| bytes);
    let tokenizer = TokenizerFiles { config: Some(settings), ..TokenizerFiles::json(tokenizer) };
    Base::from_files(BaseFiles { config, tokenizer, weights: weights.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_read_and_small() {
        let base = base().unwrap();
        assert_ne!(base.hash, crate::digest::sha256(FILES[3].1), "the hash of the original");
        assert!(base.notes().is_empty(), "{:?}", base.notes());
        let bytes: usize = FILES.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(bytes <= 8_000_000, "{bytes}");
    }
}
