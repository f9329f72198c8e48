//! Numbers and amounts in digits.
//!
//! Words are read one by one into a value, which is output when a word does not continue it. Values are decimal
//! digits, so their size has no limit.

mod value;
mod words;

use super::is_word;
use super::scan::words_with_bounds;
use value::Value;
use words::{Word, meaning};

const CURRENCIES: [char; 4] = ['£', '€', '$', '¢'];

/// A text with its numbers in digits, as words separated by single spaces.
pub fn in_digits(text: &str) -> String {
    let text = separated(&halves(text));
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut reader = Reader::default();
    let mut skip = false;
    for (at, &word) in words.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| meaning(words[at]));
        skip = reader.read(word, before, words.get(at + 1).copied());
    }
    reader.flush();
    amounts(&reader.out.join(" "))
}

/// Writes "and a half" after a number as "point five".
fn halves(text: &str) -> String {
    let mut segments = vec![];
    let (mut start, mut from) = (0, 0);
    while let Some(found) = text[from..].find("and") {
        let at = from + found;
        from = at + 3;
        if text[..at].ends_with(is_word) {
            continue;
        }
        if let Some(end) = a_half(&text[from..]) {
            segments.push(&text[start..at]);
            start = from + end;
            from = start;
        }
    }
    let mut pieces = vec![];
    for segment in segments {
        let Some(last) = segment.split_whitespace().next_back() else { continue };
        let number = matches!(
            meaning(last),
            Some(Word::Zero | Word::Ones(_) | Word::Tens(_) | Word::Multiplier(_))
        );
        pieces.extend([segment, if number { "point five" } else { "and a half" }]);
    }
    pieces.push(&text[start..]);
    pieces.join(" ")
}

/// The length of " a half" at the start of a text.
fn a_half(text: &str) -> Option<usize> {
    let mut rest = text;
    for word in ["a", "half"] {
        let trimmed = rest.trim_start();
        rest = trimmed.strip_prefix(word).filter(|_| trimmed.len() < rest.len())?;
    }
    (!rest.starts_with(is_word)).then(|| text.len() - rest.len())
}

/// Separates digits from letters, except endings of ordinals and plurals: `2nd`, `1960s`.
fn separated(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        let letter_digit = before.is_ascii_lowercase() && c.is_ascii_digit();
        if letter_digit || (before.is_ascii_digit() && c.is_ascii_lowercase()) {
            spaced.push(' ');
        }
        spaced.push(c);
        before = c;
    }
    let mut out = String::with_capacity(spaced.len());
    let mut rest = spaced.as_str();
    while let Some(at) = rest.find(char::is_whitespace) {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let word = tail.trim_start();
        let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
        let ending = matches!(&word[..end], "st" | "nd" | "rd" | "th" | "s");
        if !(ending && out.ends_with(|c: char| c.is_ascii_digit())) {
            out.push_str(&tail[..tail.len() - word.len()]);
        }
        rest = word;
    }
    out + rest
}

/// Digits, optionally with decimals.
fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match word.split_once('.') {
        Some((whole, decimals)) => digits(whole) && digits(decimals),
        None => digits(word),
    }
}

/// The value that is being read, and what was output.
#[derive(Default)]
struct Reader {
    value: Option<Value>,
    /// A sign or currency to put before the next output.
    prefix: Option<char>,
    out: Vec<String>,
}

impl Reader {
    fn write(&mut self, text: &str) {
        let prefix = self.prefix.take();
        self.out.push(prefix.into_iter().chain(text.chars()).collect());
        self.value = None;
    }

    fn flush(&mut self) {
        if let Some(value) = self.value.take() {
            self.write(value.digits());
        }
    }

    /// Reads one word. Returns whether the next one is used up too.
    fn read(&mut self, word: &str, before: Option<Word>, next: Option<&str>) -> bool {
        let bare = word.strip_prefix(CURRENCIES).unwrap_or(word);
        if is_number(bare) {
            self.read_digits(word, bare);
            return false;
        }
        let Some(read) = meaning(word) else {
            self.flush();
            self.write(word);
            return false;
        };
        let follows = next.and_then(meaning);
        // Whether the next word can be part of a number.
        let numeric = follows.is_some() || next.is_some_and(is_number);
        match read {
            Word::Zero => self.append_digits("0"),
            Word::Ones(ones) => {
                let value = self.with_ones(ones, before);
                self.value = Some(value);
            }
            Word::OnesWith(ones, ending) => {
                let value = self.with_ones(ones, before);
                self.write(&format!("{}{ending}", value.digits()));
            }
            Word::Tens(tens) => {
                let value = self.with_tens(tens);
                self.value = Some(value);
            }
            Word::TensWith(tens, ending) => {
                let value = self.with_tens(tens);
                self.write(&format!("{}{ending}", value.digits()));
            }
            Word::Multiplier(zeros) => {
                let value = self.multiplied(zeros);
                self.value = Some(value);
            }
            Word::MultiplierWith(zeros, ending) => {
                let value = self.multiplied(zeros);
                self.write(&format!("{}{ending}", value.digits()));
            }
            Word::Sign(sign) => {
                self.flush();
                if numeric { self.prefix = Some(sign) } else { self.write(word) }
            }
            Word::Currency(symbol) => match self.value.is_some() {
                true => {
                    self.prefix = Some(symbol);
                    self.flush();
                }
                false => self.write(word),
            },
            Word::Percent => match self.value.take() {
                Some(value) => self.write(&format!("{}%", value.digits())),
                None => self.write(word),
            },
            Word::Per => match self.value.take() {
                Some(value) if next == Some("cent") => {
                    self.write(&format!("{}%", value.digits()));
                    return true;
                }
                value => {
                    self.value = value;
                    self.flush();
                    self.write(word);
                }
            },
            Word::And | Word::Repeat(_) | Word::Point if !numeric => {
                self.flush();
                self.write(word);
            }
            Word::And => {
                // After hundred, thousand and so on it belongs to the number.
                if !matches!(before, Some(Word::Multiplier(_))) {
                    self.flush();
                    self.write(word);
                }
            }
            Word::Repeat(times) => {
                let digits = match follows {
                    Some(Word::Zero) => "0".to_owned(),
                    Some(Word::Ones(ones)) => ones.to_string(),
                    _ => {
                        self.flush();
                        self.write(word);
                        return false;
                    }
                };
                self.append_digits(&digits.repeat(times));
                return true;
            }
            Word::Point => {
                let decimals = matches!(follows, Some(Word::Zero | Word::Ones(_) | Word::Tens(_)));
                if decimals || next.is_some_and(is_number) {
                    self.append_digits(".");
                }
            }
        }
        false
    }

    /// A number in digits, optionally after a currency.
    fn read_digits(&mut self, word: &str, bare: &str) {
        if let Some(Value::Text(text)) = &mut self.value
            && text.ends_with('.')
        {
            text.push_str(word);
            return;
        }
        self.flush();
        self.prefix = word.chars().next().filter(|c| CURRENCIES.contains(c)).or(self.prefix);
        self.value = Some(Value::of_digits(bare));
    }

    /// Continues a sequence of digits; a value of 0 is not continued.
    fn append_digits(&mut self, digits: &str) {
        let before = self.value.take().filter(|value| !value.is_zero());
        let before = before.as_ref().map_or("", |value| value.digits());
        self.value = Some(Value::Text(format!("{before}{digits}")));
    }

    /// The value with a number below 20.
    fn with_ones(&mut self, ones: u32, before: Option<Word>) -> Value {
        let Some(value) = self.value.take() else { return Value::Whole(ones.to_string()) };
        let after_ones = matches!(before, Some(Word::Ones(_)));
        match value {
            Value::Text(text) if matches!(before, Some(Word::Tens(_))) && ones < 10 => {
                let kept = text.len().saturating_sub(1);
                Value::Text(format!("{}{ones}", &text[..kept]))
            }
            Value::Whole(_) if after_ones => value.followed_by(ones),
            Value::Whole(_) if value.ends_in_zeros(if ones < 10 { 1 } else { 2 }) => {
                value.plus_small(ones)
            }
            value => value.followed_by(ones),
        }
    }

    /// The value with twenty to ninety.
    fn with_tens(&mut self, tens: u32) -> Value {
        match self.value.take() {
            None => Value::Whole(tens.to_string()),
            Some(value @ Value::Whole(_)) if value.ends_in_zeros(2) => value.plus_small(tens),
            Some(value) => value.followed_by(tens),
        }
    }

    /// The value times a power of ten. What cannot be multiplied is output.
    fn multiplied(&mut self, zeros: usize) -> Value {
        let power = || Value::Whole(format!("1{}", "0".repeat(zeros)));
        let Some(value) = self.value.take() else { return power() };
        match value.times_power(zeros) {
            Some(product) => product,
            None => {
                self.write(value.digits());
                power()
            }
        }
    }
}

/// Joins amounts with their cents, writes amounts below 1 in cents, and a single 1 as a word.
fn amounts(text: &str) -> String {
    let text = join_cents(text);
    let text = only_cents(&text);
    let one = |word: &str| match word {
        "1" => "one".to_owned(),
        "1s" => "ones".to_owned(),
        _ => word.to_owned(),
    };
    words_with_bounds(&text).map(one).collect()
}

/// The digits at the start of a text.
fn leading_digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

/// One or two digits at the start of a text, at whose end a word ends.
fn cents(text: &str) -> Option<&str> {
    let digits = leading_digits(text);
    let sound = matches!(digits.len(), 1 | 2) && !text[digits.len()..].starts_with(is_word);
    sound.then_some(digits)
}

/// `$2 and ¢7` as `$2.07`.
fn join_cents(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['€', '£', '$']) {
        let symbol = rest[at..].chars().next().map_or(0, char::len_utf8);
        let (head, tail) = rest.split_at(at + symbol);
        out.push_str(head);
        rest = tail;
        let whole = leading_digits(tail);
        let joined = || {
            let after = tail[whole.len()..].strip_prefix(' ').filter(|_| !whole.is_empty())?;
            let after = after.strip_prefix("and ").unwrap_or(after).strip_prefix('¢')?;
            Some((cents(after)?, after))
        };
        if let Some((cents, after)) = joined() {
            out.push_str(&format!("{whole}.{cents:0>2}"));
            rest = &after[cents.len()..];
        }
    }
    out + rest
}

/// `$0.07` as `¢7`.
fn only_cents(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['€', '£', '$']) {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let mut characters = tail.chars();
        let symbol = characters.next();
        let amount = || {
            // The character between is usually a point.
            let mut inner = characters.as_str().strip_prefix('0')?.chars();
            inner.next()?;
            Some((cents(inner.as_str())?, inner.as_str()))
        };
        if let Some((cents, after)) = amount() {
            let cents_value = cents.trim_start_matches('0');
            out.push_str(&format!("¢{}", if cents_value.is_empty() { "0" } else { cents_value }));
            rest = &after[cents.len()..];
        } else {
            out.extend(symbol);
            rest = characters.as_str();
        }
    }
    out + rest
}
