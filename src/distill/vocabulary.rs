//! A smaller vocabulary: which word pieces stay, and the tokenizer's files with only these.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};

use super::error::DistillError;
use super::student::BaseBytes;
use crate::base::BertTokenizer;

/// The word pieces of a student, as ids of the teacher, ascending. The student's id of a piece is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    kept: Vec<u32>,
    places: HashMap<u32, u32>,
}

impl Vocabulary {
    /// Chooses `size` pieces: special tokens, the ASCII characters, which can spell every ASCII word, then those that
    /// occur most often in `texts`, then those with the lowest ids, which are frequent ones in BERT's vocabularies.
    ///
    /// # Errors
    /// [`DistillError::VocabularySize`], [`DistillError::Tokenizer`] for a tokenizer other than WordPiece,
    /// [`DistillError::Text`] if a text cannot be tokenised.
    pub fn choose(
        teacher: &BaseBytes,
        tokenizer: &BertTokenizer,
        texts: &[String],
        size: usize,
    ) -> Result<Self, DistillError> {
        let pieces = tokenizer.word_pieces().ok_or_else(|| {
            DistillError::Tokenizer("the teacher's tokenizer is not WordPiece".to_owned())
        })?;
        let special = special_tokens(teacher)?;
        let stays = |piece: &str| {
            let piece = piece.strip_prefix("##").unwrap_or(piece);
            special.contains(piece) || (piece.len() == 1 && piece.is_ascii())
        };
        let mut kept: BTreeSet<u32> =
            pieces.iter().filter(|(piece, _)| stays(piece)).map(|(_, id)| *id).collect();
        let (least, most) = (kept.len(), pieces.len());
        if size < least || size > most {
            return Err(DistillError::VocabularySize { wanted: size, least, most });
        }
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for (at, text) in texts.iter().enumerate() {
            let encoded = tokenizer.encode(text);
            let encoded = encoded.map_err(|error| DistillError::Text { line: at + 1, error })?;
            encoded.ids.into_iter().for_each(|id| *counts.entry(id).or_default() += 1);
        }
        let mut others: Vec<u32> = pieces
            .iter()
            .filter(|(piece, id)| !kept.contains(id) && !piece.starts_with("[unused"))
            .map(|(_, id)| *id)
            .collect();
        others.sort_unstable_by_key(|id| {
            (std::cmp::Reverse(counts.get(id).copied().unwrap_or(0)), *id)
        });
        kept.extend(others.into_iter().take(size - least));
        Ok(Self::new(kept.into_iter().collect()))
    }

    fn new(kept: Vec<u32>) -> Self {
        let places = kept.iter().zip(0..).map(|(id, place)| (*id, place)).collect();
        Self { kept, places }
    }

    /// The teacher's ids, ascending.
    #[must_use]
    pub fn kept(&self) -> &[u32] {
        &self.kept
    }

    /// Number of pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Never true: special tokens always stay.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The tokenizer's files with only these pieces.
    pub(super) fn reduce(&self, teacher: &BaseBytes) -> Result<BaseBytes, DistillError> {
        let mut files = BaseBytes::default();
        for (name, bytes) in teacher.tokenizer() {
            let bytes = match *name {
                "vocab.txt" => self.lines(bytes)?,
                "tokenizer.json" => edited(name, bytes, |file| self.edit_tokenizer(file))?,
                "tokenizer_config.json" => edited(name, bytes, |file| {
                    if let Some(Value::Object(tokens)) = file.get_mut("added_tokens_decoder") {
                        *tokens = self.renamed_keys(tokens);
                    }
                    Ok(())
                })?,
                "added_tokens.json" => edited(name, bytes, |tokens| {
                    self.renumber(tokens);
                    Ok(())
                })?,
                _ => bytes.clone(),
            };
            files.push(name, bytes);
        }
        Ok(files)
    }

    fn lines(&self, bytes: &[u8]) -> Result<Vec<u8>, DistillError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| DistillError::Tokenizer(format!("vocab.txt: {error}")))?;
        let lines: Vec<&str> = text.lines().collect();
        let mut kept = String::new();
        for &id in &self.kept {
            let Some(line) = lines.get(id as usize) else {
                return Err(DistillError::Tokenizer(format!("vocab.txt has no line of id {id}")));
            };
            kept.push_str(line);
            kept.push('\n');
        }
        Ok(kept.into_bytes())
    }

    fn edit_tokenizer(&self, file: &mut Map<String, Value>) -> Result<(), DistillError> {
        let vocabulary = file.get_mut("model").and_then(|model| model.get_mut("vocab"));
        let Some(Value::Object(vocabulary)) = vocabulary else {
            return Err(DistillError::Tokenizer("tokenizer.json has no vocabulary".to_owned()));
        };
        self.renumber(vocabulary);
        if let Some(Value::Array(tokens)) = file.get_mut("added_tokens") {
            tokens.retain_mut(|token| self.move_id(token.get_mut("id")));
        }
        if let Some(padding) = file.get_mut("padding") {
            self.move_id(padding.get_mut("pad_id"));
        }
        let Some(Value::Object(template)) = file.get_mut("post_processor") else { return Ok(()) };
        // `BertProcessing` has pairs of token and id, `TemplateProcessing` a table of tokens.
        for pair in ["cls", "sep"].into_iter() {
            self.move_id(template.get_mut(pair).and_then(|pair| pair.get_mut(1)));
        }
        if let Some(Value::Object(tokens)) = template.get_mut("special_tokens") {
            let ids = tokens.values_mut().filter_map(|token| token.get_mut("ids"));
            for id in ids.filter_map(Value::as_array_mut).flatten() {
                self.move_id(Some(id));
            }
        }
        Ok(())
    }

    /// Replaces an id of the teacher by that of the student; false if the piece does not stay.
    fn move_id(&self, id: Option<&mut Value>) -> bool {
        let Some(id) = id else { return false };
        match id.as_u64().and_then(|old| self.place(old)) {
            Some(new) => {
                *id = new.into();
                true
            }
            None => false,
        }
    }

    /// The student's id of a piece of the teacher.
    pub(super) fn place(&self, id: u64) -> Option<u32> {
        self.places.get(&u32::try_from(id).ok()?).copied()
    }

    /// From piece to id, only those that stay, in the order of the ids.
    fn renumber(&self, pieces: &mut Map<String, Value>) {
        let old = std::mem::take(pieces);
        let mut kept: Vec<(u32, String)> = old
            .into_iter()
            .filter_map(|(piece, id)| Some((self.place(id.as_u64()?)?, piece)))
            .collect();
        kept.sort_unstable();
        pieces.extend(kept.into_iter().map(|(id, piece)| (piece, id.into())));
    }

    /// From id, as text, to token.
    fn renamed_keys(&self, tokens: &Map<String, Value>) -> Map<String, Value> {
        let kept = |(id, token): (&String, &Value)| {
            Some((self.place(id.parse().ok()?)?.to_string(), token.clone()))
        };
        tokens.iter().filter_map(kept).collect()
    }
}

fn parsed(name: &str, bytes: &[u8]) -> Result<Map<String, Value>, DistillError> {
    serde_json::from_slice(bytes)
        .map_err(|error| DistillError::Tokenizer(format!("{name}: {error}")))
}

fn edited(
    name: &str,
    bytes: &[u8],
    edit: impl FnOnce(&mut Map<String, Value>) -> Result<(), DistillError>,
) -> Result<Vec<u8>, DistillError> {
    let mut file = parsed(name, bytes)?;
    edit(&mut file)?;
    serde_json::to_vec(&file).map_err(|error| DistillError::Tokenizer(format!("{name}: {error}")))
}

/// The tokens that BERT always has, and those that the files name.
fn special_tokens(teacher: &BaseBytes) -> Result<HashSet<String>, DistillError> {
    let mut tokens: HashSet<String> =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).into();
    // As a text, or as an object with its rules.
    let content = |value: &Value| {
        value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
    };
    for (name, bytes) in teacher.tokenizer() {
        if *name == "vocab.txt" {
            continue;
        }
        let file = parsed(name, bytes)?;
        match *name {
            "added_tokens.json" => tokens.extend(file.keys().cloned()),
            "tokenizer.json" => {
                let added = file.get("added_tokens").and_then(Value::as_array);
                tokens.extend(added.into_iter().flatten().filter_map(content));
            }
            _ => {
                let named = file.iter().filter(|(key, _)| key.ends_with("_token"));
                tokens.extend(named.filter_map(|(_, value)| content(value)));
            }
        }
    }
    Ok(tokens)
}
