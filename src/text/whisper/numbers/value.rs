//! Values as decimal digits.

/// A number that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A whole number, without leading zeros.
    Whole(String),
    /// Digits in sequence, as in a telephone number, or with a decimal point.
    Text(String),
}

impl Value {
    /// The value of digits with optional decimals: a whole number if the decimals are zeros.
    pub fn of_digits(text: &str) -> Self {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if decimals.bytes().all(|b| b == b'0') {
            Self::Whole(trimmed(whole).to_owned())
        } else {
            Self::Text(text.to_owned())
        }
    }

    pub fn digits(&self) -> &str {
        match self {
            Self::Whole(digits) | Self::Text(digits) => digits,
        }
    }

    /// Whether it is the whole number 0.
    pub fn is_zero(&self) -> bool {
        matches!(self, Self::Whole(digits) if digits == "0")
    }

    /// Whether the last digits of a whole number are zeros, so that a smaller number can be added.
    pub fn ends_in_zeros(&self, count: usize) -> bool {
        self.is_zero() || self.digits().bytes().rev().take_while(|&b| b == b'0').count() >= count
    }

    /// The sum with a number below 100, for which the whole number ends in zeros.
    pub fn plus_small(&self, small: u32) -> Self {
        Self::Whole(add(self.digits(), &small.to_string()))
    }

    /// The digits followed by other digits.
    pub fn followed_by(&self, number: u32) -> Self {
        Self::Text(format!("{}{number}", self.digits()))
    }

    /// The product with a power of ten. Of a whole number, only the part below 1000 is multiplied: `two million three
    /// hundred thousand` is 2,300,000. `None` for digits that are not a number or whose product is not whole.
    pub fn times_power(&self, zeros: usize) -> Option<Self> {
        match self {
            Self::Whole(digits) => {
                let place = digits.len().saturating_sub(3);
                let (high, low) = digits.split_at(place);
                let product = format!("{low}{}", "0".repeat(zeros));
                Some(Self::Whole(add(&format!("{high}000"), &product)))
            }
            Self::Text(text) => {
                let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
                let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
                let decimals = decimals.trim_end_matches('0');
                let sound = digits(whole)
                    && digits(decimals)
                    && decimals.len() <= zeros
                    && text.bytes().any(|b| b.is_ascii_digit());
                let shift = "0".repeat(zeros.saturating_sub(decimals.len()));
                let product = format!("{whole}{decimals}{shift}");
                sound.then(|| Self::Whole(trimmed(&product).to_owned()))
            }
        }
    }
}

/// Digits without leading zeros.
fn trimmed(digits: &str) -> &str {
    match digits.trim_start_matches('0') {
        "" => "0",
        rest => rest,
    }
}

/// The sum of two numbers in digits.
fn add(a: &str, b: &str) -> String {
    let (mut a, mut b) = (a.bytes().rev(), b.bytes().rev());
    let mut sum = Vec::new();
    let mut carry = 0;
    loop {
        let (x, y) = (a.next(), b.next());
        if x.is_none() && y.is_none() && carry == 0 {
            break;
        }
        let digit = |byte: Option<u8>| byte.map_or(0, |byte| byte - b'0');
        let total = digit(x) + digit(y) + carry;
        sum.push(char::from(b'0' + total % 10));
        carry = total / 10;
    }
    let text: String = sum.into_iter().rev().collect();
    trimmed(&text).to_owned()
}
