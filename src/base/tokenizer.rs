//! The base's tokenizer.

#[cfg(any(target_family = "wasm", test))]
mod bert;
#[cfg(not(target_family = "wasm"))]
mod general;
#[cfg(test)]
mod tests;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;

use super::{BaseError, BertConfig, arch};

#[cfg(target_family = "wasm")]
use bert::Bert as Inner;
#[cfg(not(target_family = "wasm"))]
use general::General as Inner;

/// The tokenizer's file.
#[derive(Debug, Clone, Copy)]
pub enum TokenizerFile<'a> {
    /// The bytes of `tokenizer.json`.
    Json(&'a [u8]),
    /// The bytes of `vocab.txt`, one word piece per line, and whether text is lower-cased and stripped of accents
    /// (`do_lower_case` in `tokenizer_config.json`, true by default).
    Vocab(&'a [u8], bool),
}

/// A tokenised text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// `[CLS]`, word pieces, `[SEP]`: 2 to `max_tokens` ids below `vocab_size`.
    pub ids: Vec<u32>,
    /// Whether the text was truncated.
    pub truncated: bool,
}

/// Maps text to word-piece ids.
#[derive(Debug, Clone)]
pub struct BertTokenizer {
    inner: Inner,
    tokens: &'static arch::Tokenizer,
    start: u32,
    end: u32,
    limit: usize,
}

impl BertTokenizer {
    /// Reads a tokenizer and checks it against the base. Truncation and padding settings of the file are ignored: LoRB
    /// packs without padding and truncates at the base's limit.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] when the file is malformed or lacks the tokens around a text,
    /// [`BaseError::VocabularyTooLarge`] when an id has no row in the token embedding.
    pub fn from_file(file: TokenizerFile<'_>, config: &BertConfig) -> Result<Self, BaseError> {
        let tokens = &config.architecture.tokenizer;
        let inner = match file {
            TokenizerFile::Json(bytes) => Inner::from_json(bytes)
                .map_err(|e| BaseError::Tokenizer(format!("tokenizer.json cannot be read: {e}")))?,
            TokenizerFile::Vocab(bytes, lowercase) => match tokens.kind {
                arch::TokenizerKind::WordPiece => {
                    Inner::from_vocab(VocabTxt::read(bytes, lowercase, tokens)?).map_err(fault)?
                }
            },
        };
        let (start, end) = frame(&inner, tokens)?;
        // The largest id; the first name among equal ids, so that the message is deterministic.
        let last = inner.vocabulary().into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(&a.0)));
        match last {
            Some((token, id)) if id as usize >= config.vocab_size => {
                Err(BaseError::VocabularyTooLarge { token, id, vocab_size: config.vocab_size })
            }
            Some(_) => Ok(Self { inner, tokens, start, end, limit: config.max_tokens() }),
            None => Err(BaseError::Tokenizer("the vocabulary is empty".into())),
        }
    }

    /// Tokenises one text as Transformers does, with `[CLS]` before and `[SEP]` after it. An empty text
    /// gives these two.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] if a word is unknown and the vocabulary has no token for unknown words.
    pub fn encode(&self, text: &str) -> Result<Encoded, BaseError> {
        let pieces = self.inner.pieces(text).map_err(fault)?;
        let room = self.limit - 2;
        let kept = &pieces[..pieces.len().min(room)];
        let mut ids = Vec::with_capacity(kept.len() + 2);
        ids.push(self.start);
        ids.extend_from_slice(kept);
        ids.push(self.end);
        Ok(Encoded { ids, truncated: pieces.len() > room })
    }

    /// The id of `[MASK]`.
    ///
    /// # Errors
    /// [`BaseError::Tokenizer`] if the vocabulary has no such token.
    pub fn mask(&self) -> Result<u32, BaseError> {
        token_id(&self.inner, self.tokens.mask)
    }

    /// Number of word pieces, including added tokens.
    #[must_use]
    pub fn vocabulary_size(&self) -> usize {
        self.inner.vocabulary().len()
    }
}

fn fault(error: tokenizers::Error) -> BaseError {
    BaseError::Tokenizer(error.to_string())
}

/// BERT's own tokenizer for a vocabulary: clean text, split at white space, punctuation and CJK characters, then greedy
/// longest match of word pieces.
struct VocabTxt {
    model: WordPiece,
    normalizer: BertNormalizer,
    /// Names of special tokens that the vocabulary has.
    special: Vec<String>,
}

impl VocabTxt {
    fn read(bytes: &[u8], lowercase: bool, tokens: &arch::Tokenizer) -> Result<Self, BaseError> {
        let vocab = WordPiece::read_bytes(bytes)
            .map_err(|e| BaseError::Tokenizer(format!("vocab.txt cannot be read: {e}")))?;
        let arch::Tokenizer { padding, unknown, start, end, mask, .. } = *tokens;
        let special = [padding, unknown, start, end, mask];
        for token in [unknown, start, end] {
            if !vocab.contains_key(token) {
                return Err(BaseError::Tokenizer(format!("vocab.txt has no line {token}")));
            }
        }
        let present = special.iter().filter(|token| vocab.contains_key(**token));
        let special = present.map(ToString::to_string).collect();
        let model =
            WordPiece::builder().vocab(vocab).unk_token(unknown.into()).build().map_err(fault)?;
        // Accents are stripped if text is lower-cased (`None`), as in BERT's training.
        let normalizer = BertNormalizer::new(true, true, None, lowercase);
        Ok(Self { model, normalizer, special })
    }
}

/// The ids put before and after a text: what the file's template adds to an empty text, else the
/// architecture's own.
fn frame(tokenizer: &Inner, tokens: &arch::Tokenizer) -> Result<(u32, u32), BaseError> {
    let empty = tokenizer.frame().map_err(fault)?;
    match *empty {
        [start, end] => Ok((start, end)),
        [] => Ok((token_id(tokenizer, tokens.start)?, token_id(tokenizer, tokens.end)?)),
        ref other => Err(BaseError::Tokenizer(format!(
            "its template adds {} tokens to a text; expected {} and {}",
            other.len(),
            tokens.start,
            tokens.end
        ))),
    }
}

fn token_id(tokenizer: &Inner, token: &str) -> Result<u32, BaseError> {
    let missing = || BaseError::Tokenizer(format!("the vocabulary has no token {token}"));
    tokenizer.id(token).ok_or_else(missing)
}
