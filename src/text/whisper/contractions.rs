//! Contractions and titles in full.

use super::is_word;

/// Informal words and titles, from and to. Both ends must be bounds of words.
const WORDS: [(&str, &str); 39] = [
    ("won't", "will not"),
    ("can't", "can not"),
    ("let's", "let us"),
    ("ain't", "aint"),
    ("y'all", "you all"),
    ("wanna", "want to"),
    ("kinda", "kind of"),
    ("sorta", "sort of"),
    ("dunno", "do not know"),
    ("gotta", "got to"),
    ("gonna", "going to"),
    ("i'ma", "i am going to"),
    ("imma", "i am going to"),
    ("woulda", "would have"),
    ("coulda", "could have"),
    ("shoulda", "should have"),
    ("cause", "because"),
    ("ma'am", "madam"),
    ("mr", "mister "),
    ("mrs", "missus "),
    ("st", "saint "),
    ("dr", "doctor "),
    ("prof", "professor "),
    ("capt", "captain "),
    ("gov", "governor "),
    ("ald", "alderman "),
    ("gen", "general "),
    ("sen", "senator "),
    ("rep", "representative "),
    ("pres", "president "),
    ("rev", "reverend "),
    ("hon", "honorable "),
    ("asst", "assistant "),
    ("assoc", "associate "),
    ("lt", "lieutenant "),
    ("col", "colonel "),
    ("jr", "junior "),
    ("sr", "senior "),
    ("esq", "esquire "),
];

/// Endings with an apostrophe, from and to. The end must be a bound of a word. Longer ones are first.
const ENDINGS: [(&str, &str); 14] = [
    ("'d been", " had been"),
    ("'s been", " has been"),
    ("'d gone", " had gone"),
    ("'s gone", " has gone"),
    ("'d done", " had done"),
    ("'s got", " has got"),
    ("n't", " not"),
    ("'re", " are"),
    ("'s", " is"),
    ("'d", " would"),
    ("'ll", " will"),
    ("'t", " not"),
    ("'ve", " have"),
    ("'m", " am"),
];

/// Applies every rule in order, each to the result of the ones before it.
pub fn expand(text: &str) -> String {
    let words = WORDS.iter().map(|&(from, to)| (from, to, true));
    let endings = ENDINGS.iter().map(|&(from, to)| (from, to, false));
    let mut text = text.to_owned();
    for (from, to, whole) in words.chain(endings) {
        if text.contains(from) {
            text = replaced(&text, from, to, whole);
        }
    }
    text
}

fn replaced(text: &str, from: &str, to: &str, whole: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find(from) {
        let (start, end) = (at + found, at + found + from.len());
        let before = whole && text[..start].ends_with(is_word);
        if before || text[end..].starts_with(is_word) {
            // All rules begin with an ASCII character.
            at = start + 1;
            continue;
        }
        out.push_str(&text[done..start]);
        out.push_str(to);
        (done, at) = (end, end);
    }
    out + &text[done..]
}
