//! Text from files and names, made safe to show in a terminal or a report.

use std::borrow::Cow;

/// Mark of an omission.
const OMITTED: &str = " […] ";

/// Whether showing the character can change more than its own place: control characters move the cursor and start
/// escape sequences, and directional ones reorder the text around them.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with control characters and directional characters as escapes, such as `\n` and `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    replaced(text, is_unsafe)
}

/// The same for text of several lines: line breaks and tabs are unchanged.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| !matches!(c, '\n' | '\t') && is_unsafe(c))
}

/// The same as HTML or SVG, also inside quotes: control characters are not allowed in either.
#[must_use]
pub fn html_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable_lines(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

fn replaced(text: &str, escape: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&escape) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' if escape(c) => out.extend(c.escape_default()),
            c if escape(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// At most `characters` characters of the text and a mark: its start and its end, because an error has its place at
/// the start and its remedy at the end. Words of more than a quarter of that, such as names from a file, are shortened
/// first.
#[must_use]
pub fn shortened(text: &str, characters: usize) -> Cow<'_, str> {
    // A character has at least one byte.
    if text.len() <= characters / 4 {
        return Cow::Borrowed(text);
    }
    let words: Vec<Cow<'_, str>> =
        text.split(' ').map(|word| middle_omitted(word, characters / 4)).collect();
    let text = if words.iter().all(|word| matches!(word, Cow::Borrowed(_))) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(words.join(" "))
    };
    match text {
        Cow::Borrowed(text) => middle_omitted(text, characters),
        Cow::Owned(text) => Cow::Owned(middle_omitted(&text, characters).into_owned()),
    }
}

/// The first two and the last third of `characters` characters.
fn middle_omitted(text: &str, characters: usize) -> Cow<'_, str> {
    if text.len() <= characters || text.chars().count() <= characters {
        return Cow::Borrowed(text);
    }
    let tail = characters / 3;
    let head = text.char_indices().nth(characters - tail).map_or(text.len(), |(at, _)| at);
    let end = text.char_indices().rev().nth(tail.saturating_sub(1)).map_or(0, |(at, _)| at);
    Cow::Owned(format!("{}{OMITTED}{}", &text[..head], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_act_on_a_terminal_become_escapes() {
        let cases = [
            ("plain, 日本語, é", "plain, 日本語, é"),
            ("\x1b[31mred", r"\u{1b}[31mred"),
            ("a\nb\tc\rd", r"a\nb\tc\rd"),
            ("bell\x07 del\x7f csi\u{9b}", r"bell\u{7} del\u{7f} csi\u{9b}"),
            ("\u{202e}evil\u{2066}\u{200f}", r"\u{202e}evil\u{2066}\u{200f}"),
            ("\0", r"\u{0}"),
        ];
        for (text, expected) in cases {
            assert_eq!(printable(text), expected);
        }
        assert_eq!(printable_lines("a\n\x1bb\tc\r\n"), "a\n\\u{1b}b\tc\\r\n");
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
        // No character of the first 70,000 that is a control character is left.
        let all: String = (0..70_000).filter_map(char::from_u32).collect();
        assert!(!printable(&all).contains(char::is_control));
    }

    #[test]
    fn long_texts_lose_their_middle_and_long_words_first() {
        assert_eq!(shortened("short", 100), "short");
        let name = "x".repeat(10_000_000);
        let text = format!("model.safetensors: tensor {name} has another shape; try another base");
        let short = shortened(&text, 2000);
        assert!(short.chars().count() < 700, "{}", short.len());
        assert!(short.starts_with("model.safetensors: tensor xxx"), "{short}");
        assert!(short.ends_with("xxx has another shape; try another base"), "{short}");
        let words = format!("start {} end", "é ".repeat(5000));
        let short = shortened(&words, 2000);
        assert!(short.starts_with("start é") && short.ends_with("é  end"), "{short}");
        assert_eq!(short.chars().count(), 2000 + OMITTED.chars().count());
    }
}
