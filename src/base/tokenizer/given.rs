//! A tokenizer from outside, such as one in another wasm module.

use std::fmt;
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
        let (count, limit) = (encoded.ids.len(), self.max_tokens);
        if !(2..=limit).contains(&count) {
            let what = format!("a text has {count} tokens; expected 2 to {limit}");
            return Err(BaseError::Tokenizer(what));
        }
        encoded.ids.iter().try_for_each(|id| self.check(*id))?;
        Ok(encoded)
    }

    pub fn mask(&self) -> Result<u32, BaseError> {
        let id = self.tokenizer.mask()?;
        self.check(id)?;
        Ok(id)
    }

    pub fn vocabulary_size(&self) -> usize {
        self.tokenizer.vocabulary_size()
    }

    fn check(&self, id: u32) -> Result<(), BaseError> {
        if id as usize >= self.embeddings {
            let what =
                format!("a token has id {id}, but the base has {} embeddings", self.embeddings);
            return Err(BaseError::Tokenizer(what));
        }
        Ok(())
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
        for (text, what) in [("0", "1 tokens"), (&many, "expected 2 to"), (&large, "has id")] {
            let error = given.encode(text).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        assert!(given.mask().is_err());
        assert!(given.word_pieces().is_none());
    }
}
