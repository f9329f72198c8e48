//! American spelling of British words.

use std::collections::HashMap;
use std::sync::OnceLock;

/// British and American spellings: the list of differences that Whisper's normaliser uses (MIT licence; from the
/// comparison at tysto.com), as stems with their endings. A line `> a b` begins words in which `a` becomes `b`; the
/// lines after it have a beginning and the endings that follow `a`, with `-` for none.
const SPELLINGS: &str = include_str!("spelling.txt");

/// Every word in its American spelling; words are separated by single spaces.
pub fn american(text: &str) -> String {
    static TABLE: OnceLock<HashMap<String, String>> = OnceLock::new();
    let table = TABLE.get_or_init(table);
    let words = text.split_whitespace();
    words.map(|word| table.get(word).map_or(word, String::as_str)).collect::<Vec<_>>().join(" ")
}

/// American spellings by British ones.
fn table() -> HashMap<String, String> {
    let none = |text: &'static str| if text == "-" { "" } else { text };
    let mut table = HashMap::new();
    let (mut british, mut american) = ("", "");
    for line in SPELLINGS.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ').map(none);
        let beginning = words.next().unwrap_or_default();
        if beginning == ">" {
            british = words.next().unwrap_or_default();
            american = words.next().unwrap_or_default();
            continue;
        }
        for ending in words {
            let spelling = |middle: &str| format!("{beginning}{middle}{ending}");
            table.insert(spelling(british), spelling(american));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_and_endings_give_the_whole_list() {
        let table = table();
        assert_eq!(table.len(), 1738);
        for (british, american) in &table {
            let letters = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase());
            assert!(letters(british) && letters(american), "{british} {american}");
            assert!(!table.contains_key(american), "{british} {american}");
        }
        let expected = "the color of the theater organization was gray";
        assert_eq!(american("the colour of the  theatre organisation was grey"), expected);
    }
}
