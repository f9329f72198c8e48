//! Any tokenizer that the `tokenizers` crate supports.

use std::collections::HashMap;

use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Error, Tokenizer};

use super::VocabTxt;

#[derive(Debug, Clone)]
pub struct General(Tokenizer);

impl General {
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let mut tokenizer = Tokenizer::from_bytes(bytes)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None)?;
        Ok(Self(tokenizer))
    }

    pub fn from_vocab(VocabTxt { model, normalizer, special }: VocabTxt) -> Result<Self, Error> {
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_normalizer(Some(normalizer));
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        let special: Vec<_> =
            special.into_iter().map(|name| AddedToken::from(name, true)).collect();
        tokenizer.add_special_tokens(&special);
        Ok(Self(tokenizer))
    }

    /// Ids of the text's word pieces.
    pub fn pieces(&self, text: &str) -> Result<Vec<u32>, Error> {
        Ok(self.0.encode_fast(text, false)?.get_ids().to_vec())
    }

    /// The ids that the file's template adds to an empty text.
    pub fn frame(&self) -> Result<Vec<u32>, Error> {
        Ok(self.0.encode_fast("", true)?.get_ids().to_vec())
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    /// All word pieces, including added tokens.
    pub fn vocabulary(&self) -> HashMap<String, u32> {
        self.0.get_vocab(true)
    }
}
