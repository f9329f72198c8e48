//! A `tokenizer.json` from the files that bases had before it: `vocab.json` with `merges.txt`, or SentencePiece's model.
//!
//! The rules are those that Transformers' classes have in their code (5.23.0: `tokenization_roberta.py`,
//! `tokenization_xlm_roberta.py` and `tokenization_camembert.py`; `convert_from_spm` in `convert_slow_tokenizer.py` for the
//! ids). The text that is made here is read as every other `tokenizer.json`, with the same checks.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::super::added::AddedToken;
use super::super::settings::{Family, Names};
use super::charsmap;
use super::sentencepiece::{CONTROL, Piece, SentencePiece, USER_DEFINED};
use crate::bounds::MAX_PIECES;

/// A `tokenizer.json`, and the tokens that its base has in addition to those with a name.
pub struct Converted {
    pub json: Vec<u8>,
    pub extra: Vec<AddedToken>,
}

/// RoBERTa's tokenizer from `vocab.json` and `merges.txt`.
pub fn byte_level(vocabulary: &[u8], merges: &[u8], prefix: bool) -> Result<Converted, String> {
    #[derive(Serialize)]
    struct Bpe<'a> {
        r#type: &'static str,
        vocab: &'a RawValue,
        merges: Vec<(&'a str, &'a str)>,
    }
    let vocab: &RawValue = serde_json::from_slice(vocabulary)
        .map_err(|error| format!("vocab.json cannot be read: {error}"))?;
    let text = std::str::from_utf8(merges)
        .map_err(|error| format!("merges.txt cannot be read: {error}"))?;
    let merges = pairs(text).map_err(|error| format!("merges.txt cannot be read: {error}"))?;
    let model = Bpe { r#type: "BPE", vocab, merges };
    let words = json!({"type": "ByteLevel", "add_prefix_space": prefix});
    Ok(Converted { json: file(Value::Null, words, &model)?, extra: Vec::new() })
}

/// The lines of `merges.txt`, which begins with its version.
fn pairs(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut pairs = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if at == 0 && line.starts_with("#version") || line.is_empty() {
            continue;
        }
        let pair = line.split_once(' ').filter(|(_, right)| !right.contains(' '));
        let Some(pair) = pair else {
            return Err(format!("line {} is {line:?}; expected two pieces", at + 1));
        };
        if pairs.len() == MAX_PIECES {
            return Err(format!("it has more than {MAX_PIECES} merges"));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

/// The tokenizer of XLM-RoBERTa or CamemBERT from SentencePiece's model.
pub fn unigram(
    bytes: &[u8],
    family: Family,
    names: &Names,
    prefix: bool,
) -> Result<Converted, String> {
    #[derive(Serialize)]
    struct Unigram<'a> {
        r#type: &'static str,
        unk_id: usize,
        vocab: Vec<(&'a str, f64)>,
    }
    let read = SentencePiece::read(bytes);
    let SentencePiece { pieces, charsmap } =
        read.map_err(|error| format!("sentencepiece.bpe.model cannot be read: {error}"))?;
    let Names { unknown, padding, start, end, mask } = names;
    // fairseq put its own special tokens before the pieces, in place of the first ones.
    let (mut vocab, skipped) = match family {
        Family::Camembert => {
            let own = [
                ("<s>NOTUSED", 0.0),
                (padding, 0.0),
                ("</s>NOTUSED", 0.0),
                (unknown, 0.0),
                ("<unk>NOTUSED", -100.0),
            ];
            (own.to_vec(), 1)
        }
        _ => (vec![(start.as_str(), 0.0), (padding, 0.0), (end, 0.0), (unknown, 0.0)], 3),
    };
    vocab.extend(pieces.iter().skip(skipped).map(|piece| (piece.text, f64::from(piece.score))));
    vocab.push((mask, 0.0));
    // CamemBERT's class looks the unknown token up, XLM-RoBERTa's has its id as a number.
    let first = vocab.iter().position(|(piece, _)| piece == unknown).unwrap_or(0);
    let unk_id = if family == Family::Camembert { first } else { 3 };
    let model = Unigram { r#type: "Unigram", unk_id, vocab };
    let normalizer = match charsmap {
        [] => Value::Null,
        table => json!({"type": "Precompiled", "precompiled_charsmap": charsmap::encode(table)}),
    };
    let scheme = if prefix { "always" } else { "never" };
    let words = json!({"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true},
    ]});
    let extra = pieces.iter().filter(|piece| matches!(piece.kind, CONTROL | USER_DEFINED));
    let token = |piece: &Piece<'_>| AddedToken {
        special: piece.kind == CONTROL,
        ..AddedToken::special(piece.text)
    };
    Ok(Converted { json: file(normalizer, words, &model)?, extra: extra.map(token).collect() })
}

fn file(normalizer: Value, words: Value, model: &impl Serialize) -> Result<Vec<u8>, String> {
    #[derive(Serialize)]
    struct File<'a, M> {
        version: &'static str,
        normalizer: Value,
        pre_tokenizer: Value,
        model: &'a M,
    }
    let file = File { version: "1.0", normalizer, pre_tokenizer: words, model };
    serde_json::to_vec(&file).map_err(|error| error.to_string())
}
