//! Results compared with those of the package `whisper-normalizer` 0.1.15, and the documented differences from it.

use std::io::Read;

use super::normalize;

#[test]
fn results_are_those_of_the_python_package() {
    let packed = include_bytes!("../../../tests/golden/whisper.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    let pairs: Vec<(String, String)> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(pairs.len() > 2500, "{}", pairs.len());
    let mut different = Vec::new();
    for (given, expected) in &pairs {
        // The package keeps the white space that brackets leave at the end of numbers; words are what counts.
        let expected: Vec<&str> = expected.split_whitespace().collect();
        let found = normalize(given);
        if found != expected.join(" ") {
            different.push(format!("{given:?}\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    let count = different.len();
    assert!(different.is_empty(), "{count} differ:\n{}", different[..count.min(12)].join("\n"));
}

#[test]
fn the_differences_from_the_package_are_those_that_are_documented() {
    for (given, expected) in [
        ("Don’t", "do not"),
        ("it`s late", "it is late"),
        ("turn\u{200b}off", "turn off"),
        ("\u{feff}turn\u{ad} off\0", "turn off"),
        ("archaeology", "archeology"),
        ("  Mr.  Smith ", "mister smith"),
    ] {
        assert_eq!(normalize(given), expected, "{given:?}");
    }
}

#[test]
fn numbers_of_any_size_are_whole() {
    // Only the last three digits are multiplied, as in "two million three hundred thousand".
    let number = format!("{}7 thousand", "9".repeat(60));
    assert_eq!(normalize(&number), format!("1{}996000", "0".repeat(55)));
    let words = "nine decillion ".repeat(50);
    assert_eq!(normalize(&words), format!("45{}", "0".repeat(34)));
}
