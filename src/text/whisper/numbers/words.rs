//! The words that can be part of a number.

/// What a word means in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Zero,
    /// 1 to 19.
    Ones(u32),
    /// 1 to 19, or 0, with the ending of a plural or an ordinal.
    OnesWith(u32, &'static str),
    /// 20 to 90.
    Tens(u32),
    TensWith(u32, &'static str),
    /// A power of ten, by its number of zeros.
    Multiplier(usize),
    MultiplierWith(usize, &'static str),
    /// A sign before a number.
    Sign(char),
    /// A currency after a number.
    Currency(char),
    Percent,
    Per,
    And,
    /// `double` and `triple`, with the number of repetitions.
    Repeat(usize),
    Point,
}

const ONES: [&str; 19] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

const TENS: [&str; 8] =
    ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

const MULTIPLIERS: [(&str, usize); 12] = [
    ("hundred", 2),
    ("thousand", 3),
    ("million", 6),
    ("billion", 9),
    ("trillion", 12),
    ("quadrillion", 15),
    ("quintillion", 18),
    ("sextillion", 21),
    ("septillion", 24),
    ("octillion", 27),
    ("nonillion", 30),
    ("decillion", 33),
];

/// Ordinals that are not their number with `th`. Whisper's rules form `nineth` regularly, so `ninth` is not a number.
const ORDINALS: [(&str, Word); 6] = [
    ("zeroth", Word::OnesWith(0, "th")),
    ("first", Word::OnesWith(1, "st")),
    ("second", Word::OnesWith(2, "nd")),
    ("third", Word::OnesWith(3, "rd")),
    ("fifth", Word::OnesWith(5, "th")),
    ("twelfth", Word::OnesWith(12, "th")),
];

/// What a word means in a number; `None` for other words.
pub fn meaning(word: &str) -> Option<Word> {
    let special = match word {
        "o" | "oh" | "zero" => Word::Zero,
        "sixes" => Word::OnesWith(6, "s"),
        "minus" | "negative" => Word::Sign('-'),
        "plus" | "positive" => Word::Sign('+'),
        "pound" | "pounds" => Word::Currency('£'),
        "euro" | "euros" => Word::Currency('€'),
        "dollar" | "dollars" => Word::Currency('$'),
        "cent" | "cents" => Word::Currency('¢'),
        "percent" => Word::Percent,
        "per" => Word::Per,
        "and" => Word::And,
        "double" => Word::Repeat(2),
        "triple" => Word::Repeat(3),
        "point" => Word::Point,
        _ => return number(word),
    };
    Some(special)
}

fn number(word: &str) -> Option<Word> {
    if let Some((_, ordinal)) = ORDINALS.iter().find(|(name, _)| *name == word) {
        return Some(*ordinal);
    }
    for (at, name) in ONES.iter().enumerate() {
        let number = at as u32 + 1;
        match word.strip_prefix(name) {
            Some("") => return Some(Word::Ones(number)),
            Some("s") if number != 6 => return Some(Word::OnesWith(number, "s")),
            Some("h") if name.ends_with('t') => return Some(Word::OnesWith(number, "th")),
            Some("th") if regular(number) && !name.ends_with('t') => {
                return Some(Word::OnesWith(number, "th"));
            }
            _ => {}
        }
    }
    for (at, name) in TENS.iter().enumerate() {
        let number = 10 * (at as u32 + 2);
        let stem = name.trim_end_matches('y');
        match word.strip_prefix(stem) {
            Some("y") => return Some(Word::Tens(number)),
            Some("ies") => return Some(Word::TensWith(number, "s")),
            Some("ieth") => return Some(Word::TensWith(number, "th")),
            _ => {}
        }
    }
    for (name, zeros) in MULTIPLIERS {
        match word.strip_prefix(name) {
            Some("") => return Some(Word::Multiplier(zeros)),
            Some("s") => return Some(Word::MultiplierWith(zeros, "s")),
            Some("th") => return Some(Word::MultiplierWith(zeros, "th")),
            _ => {}
        }
    }
    None
}

/// Whether the ordinal is the number with `th`.
fn regular(number: u32) -> bool {
    number > 3 && number != 5 && number != 12
}
