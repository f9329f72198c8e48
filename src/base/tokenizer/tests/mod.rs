//! LoRB's tokenizers give the same ids as the `tokenizers` crate, or reject the file.

mod bert;
mod converted;
mod general;
mod limits;
mod refused;

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::TokenizerFiles;
use super::file::File;
use super::read::{self, Inner};
use super::settings::Settings;
use super::template::Frame;
use crate::base::tests::tiny_config;

pub const GOLDEN: &str = include_str!("../../../../tests/golden/tiny/tokenizer.json");

/// Reads a `tokenizer.json` whose rules all count, as those of the class `PreTrainedTokenizerFast`.
pub fn from_json(bytes: &[u8]) -> Result<(Inner, Option<Frame>), String> {
    let config = &br#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#[..];
    let files = TokenizerFiles { config: Some(config), ..TokenizerFiles::default() };
    let settings = Settings::read(&files, &tiny_config()).unwrap();
    read::from_json(File::read(bytes)?, &settings, true, &mut Vec::new())
}

/// Case, composed and decomposed accents, all kinds of white space, punctuation, CJK, control and private characters,
/// overlong words, special tokens complete, truncated, adjacent, in lower case and inside a word.
pub const TEXTS: [&str; 22] = [
    "",
    " \t\n",
    "turn off the lights in the kitchen",
    "Turn OFF, the 2 lights: it's 10%!",
    "Café cafe\u{301} naïve ÅNGSTRÖM ﬁne \u{1e9e}ß",
    "a\u{a0}b\u{2003}c\u{3000}d\u{200b}e\u{ad}f",
    "\u{0}x\u{fffd}y\u{7f}z\u{e000}w\u{301}",
    "野口里佳 Noguchi かな 한국어 \u{20000}",
    "…—«quoted» “so” 3.14€ $5 ~a^b`c",
    "[MASK]",
    "the [MASK] is [SEP][CLS] here[PAD]after",
    "[mask] [MAS K] [[MASK]] [MASK",
    "turn [UNK] off",
    "DOMAIN word domainword domain",
    "domain words and domain",
    "\u{1F600} emoji \u{1F1E9}\u{1F1EA}",
    "ΑΣ ας İstanbul ıI",
    "supercalifragilisticexpialidocious",
    "off-off offoff off\u{301} OFF off",
    "  the   [MASK]  the",
    "e\u{323}\u{307} q\u{307}\u{323} \u{1100}\u{1161}\u{11a8} \u{0344}x \u{302e}y",
    "ﷺ ½ ² Ⅷ ﬀ ㎏ \u{1d400}",
];

/// Random texts of characters that the rules treat differently.
pub fn random_texts(count: usize) -> Vec<String> {
    let parts = [
        "the",
        "turn",
        "of",
        "f",
        "li",
        "ght",
        "s",
        " ",
        " ",
        "  ",
        "\t",
        "\u{a0}",
        "\u{2028}",
        "\u{85}",
        "\u{b}",
        ".",
        "!",
        "'",
        "-",
        "[MASK]",
        "[SEP]",
        "[M",
        "]",
        "É",
        "e\u{301}",
        "\u{301}",
        "\u{323}",
        "İ",
        "ß",
        "Σ",
        "野",
        "か",
        "\u{20000}",
        "\u{0}",
        "\u{ad}",
        "\u{fffd}",
        "\u{e000}",
        "\u{200d}",
        "domain",
        "DOMAIN ",
        "words",
        "off",
        "OFF",
        "ﷺ",
        "½",
        "\u{302e}",
        "🙂",
        "_",
        "$",
        "^",
        "|",
        "9",
    ];
    let mut state = 9u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    (0..count).map(|_| (0..next() % 14).map(|_| parts[next() % parts.len()]).collect()).collect()
}

/// Checks that the ids of all texts, the frame and the size equal those of the `tokenizers` crate.
pub fn same(json: &str) -> Inner {
    let (ours, frame) = from_json(json.as_bytes()).unwrap();
    let mut theirs = Tokenizer::from_bytes(json).unwrap();
    theirs.with_padding(None).with_truncation(None).unwrap();
    let around = theirs.encode_fast("", true).unwrap().get_ids().to_vec();
    assert_eq!(frame.map_or(vec![], |frame| vec![frame.start.1, frame.end.1]), around);
    assert_eq!(ours.len(), theirs.get_vocab(true).len());
    let long = ["ab".repeat(60), "野".repeat(200), "the off ".repeat(50)];
    let texts = TEXTS.into_iter().map(str::to_owned).chain(long).chain(random_texts(400));
    for text in texts {
        let expected = theirs.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
        assert_eq!(ours.pieces(&text, usize::MAX - 1).unwrap(), (expected, false), "{text:?}");
    }
    for token in ["[MASK]", "the", "domain", "nowhere", "off"] {
        assert_eq!(ours.id(token), theirs.token_to_id(token), "{token}");
    }
    ours
}

/// The golden file with a change.
pub fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut file: Value = serde_json::from_str(GOLDEN).unwrap();
    change(&mut file);
    file.to_string()
}

pub fn added(content: &str, normalized: bool, special: bool) -> Value {
    json!({"id": 900, "content": content, "single_word": false, "lstrip": true, "rstrip": false,
        "normalized": normalized, "special": special})
}
