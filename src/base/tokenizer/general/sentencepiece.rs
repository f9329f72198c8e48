//! `sentencepiece.bpe.model`: the vocabulary of a SentencePiece tokenizer, as a message of Protocol Buffers.
//!
//! The message is `ModelProto` of <https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto>. A
//! message is a sequence of fields: a key, which is a number and a type of encoding, and a value. Unknown fields are
//! skipped, and every length is checked before the value is used.

use super::super::vocabulary::check_piece;
use crate::bounds::MAX_CHARSMAP_BYTES;

/// What a tokenizer needs of the file.
#[derive(Debug, Default, PartialEq)]
pub struct SentencePiece<'a> {
    /// In the order of their ids.
    pub pieces: Vec<Piece<'a>>,
    /// The table of character replacements; empty if there is none.
    pub charsmap: &'a [u8],
}

/// A piece of the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece<'a> {
    pub text: &'a str,
    pub score: f32,
    pub kind: u64,
}

/// Kinds of pieces that are found in a text before it is split.
pub const CONTROL: u64 = 3;
pub const USER_DEFINED: u64 = 4;

/// The kind of model that LoRB reads (`TrainerSpec.ModelType`).
const UNIGRAM: u64 = 1;

// Fields of ModelProto.
const PIECES: u64 = 1;
const TRAINER: u64 = 2;
const NORMALIZER: u64 = 3;
// Fields of SentencePiece.
const TEXT: u64 = 1;
const SCORE: u64 = 2;
const KIND: u64 = 3;
/// A field of TrainerSpec.
const MODEL_TYPE: u64 = 3;
/// A field of NormalizerSpec.
const CHARSMAP: u64 = 2;

impl<'a> SentencePiece<'a> {
    /// Reads a file. Of a field that may occur once, the last one counts, as the format demands.
    pub fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let (mut model, mut kind) = (Self::default(), UNIGRAM);
        for field in Fields(bytes) {
            match field? {
                (PIECES, Value::Bytes(bytes)) => {
                    let piece = piece(bytes)?;
                    check_piece(model.pieces.len(), piece.text)?;
                    model.pieces.push(piece);
                }
                (TRAINER, Value::Bytes(bytes)) => {
                    for field in Fields(bytes) {
                        if let (MODEL_TYPE, Value::Number(found)) = field? {
                            kind = found;
                        }
                    }
                }
                (NORMALIZER, Value::Bytes(bytes)) => {
                    for field in Fields(bytes) {
                        if let (CHARSMAP, Value::Bytes(found)) = field? {
                            model.charsmap = found;
                        }
                    }
                }
                _ => {}
            }
        }
        if kind != UNIGRAM {
            return Err(format!(
                "its model type is {kind}; LoRB reads Unigram, which is {UNIGRAM}"
            ));
        }
        let (length, limit) = (model.charsmap.len(), MAX_CHARSMAP_BYTES);
        if length > limit {
            return Err(format!(
                "its precompiled_charsmap has {length} bytes; expected at most {limit}"
            ));
        }
        if model.pieces.is_empty() {
            return Err("it has no pieces".to_owned());
        }
        Ok(model)
    }
}

fn piece(bytes: &[u8]) -> Result<Piece<'_>, String> {
    // A piece without a kind is a normal one.
    let mut piece = Piece { text: "", score: 0.0, kind: 1 };
    for field in Fields(bytes) {
        match field? {
            (TEXT, Value::Bytes(text)) => {
                piece.text = std::str::from_utf8(text).map_err(|_| "a piece is not UTF-8")?;
            }
            (SCORE, Value::Four(bytes)) => piece.score = f32::from_le_bytes(bytes),
            (KIND, Value::Number(kind)) => piece.kind = kind,
            _ => {}
        }
    }
    if !piece.score.is_finite() {
        return Err(format!("the piece {:?} has the score {}", piece.text, piece.score));
    }
    Ok(piece)
}

/// The value of a field.
enum Value<'a> {
    Number(u64),
    Four([u8; 4]),
    Eight,
    Bytes(&'a [u8]),
}

/// The fields of a message, by number. After an error, there are no more.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "it is not a SentencePiece model, or it is damaged".to_owned()))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => {
                self.take(8)?;
                Value::Eight
            }
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Four(self.take(4)?.try_into().ok()?),
            // Groups, which this format never had.
            _ => return None,
        };
        // Numbers of fields start at 1.
        (key >> 3 > 0).then_some((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number in groups of seven bits, the lowest first; at most 64 bits.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn field(id: u64, contents: &[u8]) -> Vec<u8> {
        [number(id << 3 | 2), number(contents.len() as u64), contents.to_vec()].concat()
    }

    fn encoded(text: &str, score: f32, kind: u64) -> Vec<u8> {
        let score = [number(SCORE << 3 | 5), score.to_le_bytes().to_vec()].concat();
        let kind = [number(KIND << 3), number(kind)].concat();
        field(PIECES, &[field(TEXT, text.as_bytes()), score, kind].concat())
    }

    #[test]
    fn fields_are_read_and_unknown_ones_are_skipped() {
        let unknown = [
            field(200, b"anything"),
            [number(7 << 3), vec![0xff; 9], vec![1]].concat(),
            [number(8 << 3 | 1), vec![3; 8]].concat(),
            [number(9 << 3 | 5), vec![3; 4]].concat(),
        ]
        .concat();
        let normalizer = [unknown.clone(), field(CHARSMAP, b"old"), field(CHARSMAP, b"map")];
        let trainer = [unknown.clone(), number(MODEL_TYPE << 3), number(UNIGRAM)].concat();
        let file = [
            encoded("<unk>", 0.0, 2),
            unknown.clone(),
            field(TRAINER, &trainer),
            field(PIECES, &[unknown, field(TEXT, "▁é".as_bytes())].concat()),
            field(NORMALIZER, &normalizer.concat()),
            encoded("x", -1.5, USER_DEFINED),
        ];
        let file = file.concat();
        let model = SentencePiece::read(&file).unwrap();
        assert_eq!(model.charsmap, b"map");
        let pieces = [("<unk>", 0.0, 2), ("▁é", 0.0, 1), ("x", -1.5, USER_DEFINED)];
        let pieces = pieces.map(|(text, score, kind)| Piece { text, score, kind });
        assert_eq!(model.pieces, pieces);
        // Every file that ends early is refused, or ends between two fields.
        let whole = model.pieces.len();
        for end in 0..file.len() {
            if let Ok(model) = SentencePiece::read(&file[..end]) {
                assert!(model.pieces.len() <= whole, "{end}");
            }
        }
    }

    #[test]
    fn hostile_files_are_refused() {
        let good = encoded("a", 0.0, 1);
        let bpe = field(TRAINER, &[number(MODEL_TYPE << 3), number(2)].concat());
        let long = "a".repeat(crate::bounds::MAX_PIECE_BYTES + 1);
        let table = field(NORMALIZER, &field(CHARSMAP, &vec![0; MAX_CHARSMAP_BYTES + 1]));
        let cases: [(Vec<u8>, &str); 14] = [
            (Vec::new(), "no pieces"),
            (bpe, "model type is 2"),
            (encoded(&long, 0.0, 1), "word piece has 257 bytes"),
            ([good.clone(), table].concat(), "precompiled_charsmap has"),
            (encoded("a", f32::NAN, 1), "has the score NaN"),
            (encoded("a", f32::NEG_INFINITY, 1), "has the score -inf"),
            (field(PIECES, &field(TEXT, &[0xff, 0xfe])), "not UTF-8"),
            // A length beyond the end, and the largest one.
            ([number(PIECES << 3 | 2), number(100), b"short".to_vec()].concat(), "damaged"),
            ([number(PIECES << 3 | 2), number(u64::MAX)].concat(), "damaged"),
            // A length beyond the end of the message, but not of the file.
            ([field(PIECES, &[TEXT as u8 * 8 + 2, 9, b'a']), good.clone()].concat(), "damaged"),
            // A number of more than 64 bits, and one that does not end.
            ([vec![8], vec![0xff; 9], vec![2]].concat(), "damaged"),
            (vec![0xff; 30], "damaged"),
            // A group, and a field without a number.
            (vec![PIECES as u8 * 8 + 3], "damaged"),
            (vec![0, 0], "damaged"),
        ];
        for (file, expected) in cases {
            let error = SentencePiece::read(&file).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert!(SentencePiece::read(&good).is_ok());
    }
}
