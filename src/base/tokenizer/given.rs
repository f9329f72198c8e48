//! A tokenizer from outside, such as one in another wasm module.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Encoded;
use crate::base::{BaseError, BertConfig};

/// What the model needs of a tokenizer.
pub trait Tokenize: fmt::Debug + Send + Sync {
    /// The ids of a text, truncated, with the tokens around it.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] if the text has no ids.
    fn encode(&self, text: &str) -> Result<Encoded, BaseError>;

    /// The id of the mask token.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] if there is none.
    fn mask(&self) -> Result<u32, BaseError>;

    /// Number of word pieces, including added tokens.
    fn vocabulary_size(&self) -> usize;

    /// What the user should know about its files, one line each.
    fn notes(&self) -> Vec<String>;
}

/// Such a tokenizer, whose answers are checked: a wrong id would have no row in the token embedding.
#[derive(Debug, Clone)]
pub struct Given {
    tokenizer: Arc<dyn Tokenize>,
    pub notes: Vec<String>,
    max_tokens: usize,
    embeddings: usize,
}

impl Given {
    pub fn new(tokenizer: Arc<dyn Tokenize>, config: &BertConfig) -> Self {
        let (max_tokens, embeddings) = (config.max_tokens(), config.vocab_size);
        Self { notes: tokenizer.notes(), tokenizer, max_tokens, embeddings }
    }

    pub fn encode(&self, text: &str) -> Result<Encoded, BaseError> {
        let encoded = self.tokenizer.encode(text)?;
        self.check(&encoded.ids, 2..=self.max_tokens)?;
        Ok(encoded)
    }

    pub fn mask(&self) -> Result<u32, BaseError> {
        let id = self.tokenizer.mask()?;
        self.check(&[id], 1..=1)?;
        Ok(id)
    }

    pub fn vocabulary_size(&self) -> usize {
        self.tokenizer.vocabulary_size()
    }

    fn check(&self, ids: &[u32], counts: RangeInclusive<usize>) -> Result<(), BaseError> {
        let known = |id: &u32| (*id as usize) < self.embeddings;
        if counts.contains(&ids.len()) && ids.iter().all(known) {
            return Ok(());
        }
        let what = "it gives ids without an embedding, or too many or too few of them";
        Err(BaseError::Tokenizer(what.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::BertTokenizer;
    use crate::base::tests::tiny_config;

    /// A tokenizer that gives the ids in its text.
    #[derive(Debug)]
    struct Numbers;

    impl Tokenize for Numbers {
        fn encode(&self, text: &str) -> Result<Encoded, BaseError> {
            let ids = text.split_whitespace().map(|id| id.parse().unwrap()).collect();
            Ok(Encoded { ids, truncated: true })
        }

        fn mask(&self) -> Result<u32, BaseError> {
            Ok(u32::MAX)
        }

        fn vocabulary_size(&self) -> usize {
            7
        }

        fn notes(&self) -> Vec<String> {
            vec!["a note".to_owned()]
        }
    }

    #[test]
    fn ids_without_an_embedding_and_wrong_counts_are_refused() {
        let config = tiny_config();
        let given = BertTokenizer::given(Arc::new(Numbers), &config);
        let most = config.vocab_size - 1;
        let encoded = given.encode(&format!("0 {most}")).unwrap();
        assert_eq!(encoded, Encoded { ids: vec![0, most as u32], truncated: true });
        assert_eq!((given.vocabulary_size(), given.notes()), (7, &["a note".to_owned()][..]));
        let many = "1 ".repeat(config.max_tokens() + 1);
        let large = format!("0 {}", most + 1);
        for text in ["0", &many, &large] {
            let error = given.encode(text).unwrap_err();
            assert!(error.to_string().contains("ids without an embedding"), "{text}: {error}");
        }
        assert!(given.mask().is_err());
        assert!(given.word_pieces().is_none());
    }
}
