//! The base's WordPiece tokenizer.

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Tokenizer};

use super::{BaseError, BertConfig};

/// The tokenizer's file as found beside the weights.
#[derive(Debug, Clone, Copy)]
pub enum TokenizerFile<'a> {
    /// The bytes of `tokenizer.json`.
    Json(&'a [u8]),
    /// The bytes of `vocab.txt`, one word piece a line, and whether text is lower-cased and
    /// stripped of accents (`do_lower_case` in `tokenizer_config.json`, true where that is not
    /// said).
    Vocab(&'a [u8], bool),
}

/// A tokenised text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// `[CLS]`, word pieces, `[SEP]`: 2 to `max_position_embeddings` ids below `vocab_size`.
    pub ids: Vec<u32>,
    /// Whether word pieces were cut off at the end to fit.
    pub truncated: bool,
}

/// Text to ids of word pieces.
#[derive(Debug, Clone)]
pub struct BertTokenizer {
    inner: Tokenizer,
    cls: u32,
    sep: u32,
    limit: usize,
}

impl BertTokenizer {
    /// Reads a tokenizer and checks it against the base. Truncation and padding stored in the file
    /// are dropped: LoRB packs without padding and cuts at the base's own limit.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] when the file is malformed or knows no `[CLS]` and `[SEP]`,
    /// [`BaseError::VocabularyTooLarge`] when an id has no row in the token embedding.
    pub fn from_file(file: TokenizerFile<'_>, config: &BertConfig) -> Result<Self, BaseError> {
        let mut inner = match file {
            TokenizerFile::Json(bytes) => Tokenizer::from_bytes(bytes)
                .map_err(|e| BaseError::Tokenizer(format!("tokenizer.json cannot be read: {e}")))?,
            TokenizerFile::Vocab(bytes, lowercase) => from_vocab(bytes, lowercase)?,
        };
        inner.with_padding(None);
        inner.with_truncation(None).map_err(fault)?;
        let (cls, sep) = frame(&inner)?;
        // The largest id; among equals the first name, so that the message is always the same.
        let last =
            inner.get_vocab(true).into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)));
        match last {
            Some((token, id)) if id as usize >= config.vocab_size => {
                Err(BaseError::VocabularyTooLarge { token, id, vocab_size: config.vocab_size })
            }
            Some(_) => Ok(Self { inner, cls, sep, limit: config.max_position_embeddings }),
            None => Err(BaseError::Tokenizer("the vocabulary is empty".into())),
        }
    }

    /// Tokenises one text as Transformers does, `[CLS]` before and `[SEP]` behind it. An empty text
    /// gives these two.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] when the vocabulary lacks the token for unknown words and one is
    /// met.
    pub fn encode(&self, text: &str) -> Result<Encoded, BaseError> {
        let encoding = self.inner.encode_fast(text, false).map_err(fault)?;
        let pieces = encoding.get_ids();
        let room = self.limit - 2;
        let kept = &pieces[..pieces.len().min(room)];
        let mut ids = Vec::with_capacity(kept.len() + 2);
        ids.push(self.cls);
        ids.extend_from_slice(kept);
        ids.push(self.sep);
        Ok(Encoded { ids, truncated: pieces.len() > room })
    }

    /// The id of `[MASK]`.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] when the vocabulary has no such token.
    pub fn mask(&self) -> Result<u32, BaseError> {
        token_id(&self.inner, "[MASK]")
    }

    /// Word pieces known, added tokens included.
    #[must_use]
    pub fn vocabulary_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

fn fault(error: tokenizers::Error) -> BaseError {
    BaseError::Tokenizer(error.to_string())
}

/// BERT's own tokenizer over a vocabulary: clean text, split at white space, punctuation and CJK
/// characters, then greedy longest match of word pieces.
fn from_vocab(bytes: &[u8], lowercase: bool) -> Result<Tokenizer, BaseError> {
    let vocab = WordPiece::read_bytes(bytes)
        .map_err(|e| BaseError::Tokenizer(format!("vocab.txt cannot be read: {e}")))?;
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    for token in &special[1..4] {
        if !vocab.contains_key(*token) {
            return Err(BaseError::Tokenizer(format!("vocab.txt has no line {token}")));
        }
    }
    let present: Vec<_> = special
        .iter()
        .filter(|t| vocab.contains_key(**t))
        .map(|t| AddedToken::from(*t, true))
        .collect();
    let model =
        WordPiece::builder().vocab(vocab).unk_token("[UNK]".into()).build().map_err(fault)?;
    let mut tokenizer = Tokenizer::new(model);
    // Accents are stripped where text is lower-cased (`None`), as BERT was trained.
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)));
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.add_special_tokens(&present);
    Ok(tokenizer)
}

/// The ids put before and behind a text: what the file's template adds to an empty text, else
/// `[CLS]` and `[SEP]`.
fn frame(tokenizer: &Tokenizer) -> Result<(u32, u32), BaseError> {
    let empty = tokenizer.encode_fast("", true).map_err(fault)?;
    match *empty.get_ids() {
        [cls, sep] => Ok((cls, sep)),
        [] => Ok((token_id(tokenizer, "[CLS]")?, token_id(tokenizer, "[SEP]")?)),
        ref other => Err(BaseError::Tokenizer(format!(
            "its template adds {} tokens to a text; BERT's adds [CLS] and [SEP]",
            other.len()
        ))),
    }
}

fn token_id(tokenizer: &Tokenizer, token: &str) -> Result<u32, BaseError> {
    let missing = || BaseError::Tokenizer(format!("the vocabulary has no token {token}"));
    tokenizer.token_to_id(token).ok_or_else(missing)
}
