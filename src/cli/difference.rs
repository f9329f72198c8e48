//! Marks the words that differ between two texts.

/// A word, and whether the other text lacks it here.
pub type Marked<'a> = Vec<(&'a str, bool)>;

/// Marks the words of both texts that are not part of their longest common subsequence.
pub fn mark<'a>(a: &'a str, b: &'a str) -> (Marked<'a>, Marked<'a>) {
    let (a, b): (Vec<&str>, Vec<&str>) =
        (a.split_whitespace().collect(), b.split_whitespace().collect());
    // common[i][j]: length of the longest common subsequence of a[i..] and b[j..].
    let mut common = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            let skip = common[i + 1][j].max(common[i][j + 1]);
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { skip };
        }
    }
    let (mut i, mut j) = (0, 0);
    let (mut left, mut right): (Marked<'_>, Marked<'_>) = (Vec::new(), Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            left.push((a[i], false));
            right.push((b[j], false));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            left.push((a[i], true));
            i += 1;
        } else {
            right.push((b[j], true));
            j += 1;
        }
    }
    (left, right)
}

/// The words in one line, with marked ones in bold colour on a terminal, otherwise in brackets.
pub fn show(words: &Marked<'_>, terminal: bool) -> String {
    let (open, close) = if terminal { ("\x1b[1;32m", "\x1b[0m") } else { ("[", "]") };
    let word = |&(word, marked): &(&str, bool)| {
        if marked { format!("{open}{word}{close}") } else { word.to_owned() }
    };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_differ_are_marked_on_both_sides() {
        let (a, b) = mark("turn of the light now", "turn off the light");
        assert_eq!(show(&a, false), "turn [of] the light [now]");
        assert_eq!(show(&b, false), "turn [off] the light");
        assert_eq!(show(&b, true), "turn \x1b[1;32moff\x1b[0m the light");
        let (a, b) = mark("", "one two");
        assert!(a.is_empty());
        assert_eq!(show(&b, false), "[one] [two]");
    }
}
