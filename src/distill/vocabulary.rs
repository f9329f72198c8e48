//! Another vocabulary: word pieces of the teacher that stay, or pieces learnt from the texts, and the tokenizer's files with
//! these.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainerBuilder};
use tokenizers::utils::parallelism::set_parallelism;
use tokenizers::{AddedToken, Model, Trainer};

use super::error::DistillError;
use super::student::BaseBytes;
use crate::base::BertTokenizer;

/// What a piece within a word begins with.
const CONTINUED: &str = "##";

/// Most characters that become pieces when pieces are learnt; words with rarer ones are unknown.
const MOST_CHARACTERS: usize = 1000;

/// Most pieces that are learnt; multilingual bases have 250,000.
const MOST_LEARNT: usize = 1 << 18;

/// How a student's word pieces are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pieces {
    /// This many of the teacher's.
    Pruned(usize),
    /// At most this many, learnt from the texts.
    Retrained(usize),
}

/// A word piece of a student.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    text: String,
    /// The pieces of the teacher that spell it; one, if the teacher has it.
    of: Vec<u32>,
}

/// The word pieces of a student. The student's id of a piece is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    pieces: Vec<Piece>,
    /// From the teacher's id of a piece that stays to the student's.
    places: HashMap<u32, u32>,
}

impl Vocabulary {
    /// Chooses the pieces by counting `texts`.
    ///
    /// # Errors
    /// [`DistillError::VocabularySize`], [`DistillError::Tokenizer`] for a tokenizer other than WordPiece,
    /// [`DistillError::Text`] if a text cannot be tokenised.
    pub fn choose(
        teacher: &BaseBytes,
        tokenizer: &BertTokenizer,
        texts: &[String],
        pieces: Pieces,
    ) -> Result<Self, DistillError> {
        match pieces {
            Pieces::Pruned(size) => Self::pruned(teacher, tokenizer, texts, size),
            Pieces::Retrained(size) => Self::retrained(teacher, tokenizer, texts, size),
        }
    }

    /// Chooses `size` pieces: special tokens, the ASCII characters, which can spell every ASCII word, then those that
    /// occur most often in `texts`, then those with the lowest ids, which are frequent ones in BERT's vocabularies.
    fn pruned(
        teacher: &BaseBytes,
        tokenizer: &BertTokenizer,
        texts: &[String],
        size: usize,
    ) -> Result<Self, DistillError> {
        let pieces = word_pieces(tokenizer)?;
        let mut kept: BTreeSet<u32> = always(teacher, &pieces)?.into_iter().collect();
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
        let texts: HashMap<u32, &str> = pieces.iter().map(|(piece, id)| (*id, *piece)).collect();
        let piece = |id: u32| Piece { text: texts[&id].to_owned(), of: vec![id] };
        Ok(Self::new(kept.into_iter().map(piece).collect()))
    }

    /// Learns at most `size` pieces from the words of `texts`, as BERT's vocabulary was: pairs of neighbours that occur most
    /// often are merged. Special tokens and the ASCII characters come first.
    fn retrained(
        teacher: &BaseBytes,
        tokenizer: &BertTokenizer,
        texts: &[String],
        size: usize,
    ) -> Result<Self, DistillError> {
        let known = word_pieces(tokenizer)?;
        let by_id: HashMap<u32, &str> = known.iter().map(|(piece, id)| (*id, *piece)).collect();
        let first = always(teacher, &known)?;
        let (least, most) = (first.len(), MOST_LEARNT);
        if size < least || size > most {
            return Err(DistillError::VocabularySize { wanted: size, least, most });
        }
        let mut lines = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            let encoded = tokenizer.encode(text);
            let encoded = encoded.map_err(|error| DistillError::Text { line: at + 1, error })?;
            lines.push(words(&encoded.ids, &by_id));
        }
        let learnt =
            learnt(&lines, size).map_err(|error| DistillError::Tokenizer(error.to_string()))?;
        let mut seen = HashSet::new();
        let spelled = Spelling { known: &known, unknown: known.get("[UNK]").copied() };
        let first = first.into_iter().map(|id| by_id[&id].to_owned());
        let pieces = (first.chain(learnt))
            .filter(|piece| !piece.is_empty() && seen.insert(piece.clone()))
            .take(size)
            .map(|text| Piece { of: spelled.of(&text), text });
        Ok(Self::new(pieces.collect()))
    }

    fn new(pieces: Vec<Piece>) -> Self {
        let place = |(piece, place): (&Piece, u32)| match piece.of[..] {
            [id] => Some((id, place)),
            _ => None,
        };
        // Two pieces may be the teacher's unknown token; the first is that token.
        let mut places = HashMap::new();
        for (id, place) in pieces.iter().zip(0..).filter_map(place) {
            places.entry(id).or_insert(place);
        }
        Self { pieces, places }
    }

    /// For each piece, the teacher's pieces that spell it.
    pub(super) fn spellings(&self) -> impl Iterator<Item = &[u32]> {
        self.pieces.iter().map(|piece| &piece.of[..])
    }

    /// Number of pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Never true: special tokens always stay.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The tokenizer's files with only these pieces.
    pub(super) fn reduce(&self, teacher: &BaseBytes) -> Result<BaseBytes, DistillError> {
        let mut files = BaseBytes::default();
        for (name, bytes) in teacher.tokenizer() {
            let bytes = match *name {
                "vocab.txt" => self.lines(),
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

    fn lines(&self) -> Vec<u8> {
        let lines = self.pieces.iter().map(|piece| format!("{}\n", piece.text));
        lines.collect::<String>().into_bytes()
    }

    fn edit_tokenizer(&self, file: &mut Map<String, Value>) -> Result<(), DistillError> {
        let vocabulary = file.get_mut("model").and_then(|model| model.get_mut("vocab"));
        let Some(Value::Object(vocabulary)) = vocabulary else {
            return Err(DistillError::Tokenizer("tokenizer.json has no vocabulary".to_owned()));
        };
        let pieces = self.pieces.iter().zip(0u32..);
        *vocabulary = pieces.map(|(piece, id)| (piece.text.clone(), id.into())).collect();
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

fn word_pieces(tokenizer: &BertTokenizer) -> Result<HashMap<&str, u32>, DistillError> {
    tokenizer.word_pieces().ok_or_else(|| {
        DistillError::Tokenizer("the teacher's tokenizer is not WordPiece".to_owned())
    })
}

/// The ids of the pieces that every student has, ascending: special tokens, and the ASCII characters.
fn always(teacher: &BaseBytes, pieces: &HashMap<&str, u32>) -> Result<Vec<u32>, DistillError> {
    let special = special_tokens(teacher)?;
    let stays = |piece: &str| {
        let piece = piece.strip_prefix(CONTINUED).unwrap_or(piece);
        special.contains(piece) || (piece.len() == 1 && piece.is_ascii())
    };
    let mut kept: Vec<u32> =
        pieces.iter().filter(|(piece, _)| stays(piece)).map(|(_, id)| *id).collect();
    kept.sort_unstable();
    Ok(kept)
}

/// The words of a text as the teacher splits it, with spaces between, without special tokens and unknown words.
fn words(ids: &[u32], pieces: &HashMap<u32, &str>) -> String {
    let mut line = String::new();
    for piece in ids.iter().filter_map(|id| pieces.get(id)) {
        if piece.starts_with('[') && piece.ends_with(']') && piece.len() > 2 {
            continue;
        }
        match piece.strip_prefix(CONTINUED) {
            Some(rest) => line.push_str(rest),
            None => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(piece);
            }
        }
    }
    line
}

/// At most `size` pieces from words with spaces between, in the order in which they were learnt.
fn learnt(lines: &[String], size: usize) -> tokenizers::Result<Vec<String>> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for letter in lines.iter().flat_map(|line| line.chars()).filter(|letter| *letter != ' ') {
        *counts.entry(letter).or_default() += 1;
    }
    let mut frequent: Vec<(u64, char)> =
        counts.into_iter().map(|(letter, count)| (count, letter)).collect();
    frequent.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    frequent.truncate(MOST_CHARACTERS);
    let alphabet: BTreeSet<char> = frequent.into_iter().map(|(_, letter)| letter).collect();
    let known = |word: &&str| word.chars().all(|letter| alphabet.contains(&letter));
    // The trainer breaks ties by ids, and gives those of characters within words in the order of a hash table, unless
    // they are there before.
    let within =
        alphabet.iter().map(|letter| AddedToken::from(format!("{CONTINUED}{letter}"), true));
    let mut trainer = WordPieceTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(size)
        .special_tokens(within.collect())
        .build();
    // Its threads would be those of the whole program, which are not chosen yet.
    set_parallelism(false);
    let split = |line: &str| Ok(line.split(' ').filter(known).map(str::to_owned).collect());
    trainer.feed(lines.iter(), split)?;
    let mut model = WordPiece::default();
    trainer.train(&mut model)?;
    let mut pieces: Vec<(u32, String)> =
        model.get_vocab().into_iter().map(|(piece, id)| (id, piece)).collect();
    pieces.sort_unstable();
    Ok(pieces.into_iter().map(|(_, piece)| piece).collect())
}

/// Spells pieces with those of the teacher.
struct Spelling<'a> {
    known: &'a HashMap<&'a str, u32>,
    unknown: Option<u32>,
}

impl Spelling<'_> {
    /// The piece itself if the teacher has it; else the longest pieces from its start on, as WordPiece splits words. The
    /// unknown token for a character that the teacher does not have.
    fn of(&self, piece: &str) -> Vec<u32> {
        if let Some(id) = self.known.get(piece) {
            return vec![*id];
        }
        let (mut rest, mut within) = match piece.strip_prefix(CONTINUED) {
            Some(rest) => (rest, true),
            None => (piece, false),
        };
        let mut ids = Vec::new();
        while !rest.is_empty() {
            let ends = rest.char_indices().map(|(at, letter)| at + letter.len_utf8());
            let found = ends.rev().find_map(|end| {
                let prefix = if within { CONTINUED } else { "" };
                let id = self.known.get(format!("{prefix}{}", &rest[..end]).as_str());
                id.map(|id| (*id, end))
            });
            let Some((id, end)) = found else { return self.unknown.into_iter().collect() };
            ids.push(id);
            (rest, within) = (&rest[end..], true);
        }
        ids
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
