//! What a text looks like: a number, a truth value, a date, and in which format.

/// Formats that are looked for, as `formats` of a column takes them. Of two that fit, the first is meant.
pub const FORMATS: [&str; 20] = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d-%m-%Y",
    "%Y%m%d",
];

/// Texts that may stand for NULL; the first of them hardly mean anything else.
pub const NULL_TOKENS: [&str; 15] =
    ["", "N/A", "n/a", "#N/A", "NULL", "null", "NaN", "nan", "NA", "none", "None", "-", "--", "?", "."];
/// How many of [`NULL_TOKENS`] hardly mean anything else.
pub const CERTAIN_TOKENS: usize = 8;

/// Texts of a column, by what they look like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shapes {
    /// Texts that were looked at, without those that may stand for NULL.
    pub texts: u64,
    /// How often each of [`NULL_TOKENS`] is there.
    pub tokens: [u64; NULL_TOKENS.len()],
    /// Whole numbers of at most 18 digits without a zero in front.
    pub integers: u64,
    /// Digits with a zero in front: a code rather than a number.
    pub codes: u64,
    /// Numbers with a point, or an exponent.
    pub decimals: u64,
    /// `true`, `false`, `yes`, `no`.
    pub booleans: u64,
    /// Texts that each format reads.
    pub formats: [u64; FORMATS.len()],
    /// Texts with spaces at an end.
    pub padded: u64,
    /// Characters of the longest.
    pub longest: u64,
}

impl Shapes {
    /// Takes in a text.
    pub fn observe(&mut self, text: &str) {
        if text.len() <= 4
            && let Some(token) = NULL_TOKENS.iter().position(|token| *token == text)
        {
            self.tokens[token] += 1;
            return;
        }
        self.texts += 1;
        let trimmed = text.trim_matches(' ');
        self.padded += u64::from(trimmed.len() != text.len());
        self.longest = self.longest.max(text.chars().count() as u64);
        match number(trimmed.as_bytes()) {
            Some(Number::Whole) => self.integers += 1,
            Some(Number::Code) => self.codes += 1,
            Some(Number::Point) => self.decimals += 1,
            None => {}
        }
        let booleans = ["true", "false", "yes", "no"];
        self.booleans += u64::from(booleans.iter().any(|word| word.eq_ignore_ascii_case(trimmed)));
        let bytes = trimmed.as_bytes();
        if bytes.len() >= 8 && bytes.len() <= 40 && bytes[0].is_ascii_digit() {
            for (count, format) in self.formats.iter_mut().zip(FORMATS) {
                *count += u64::from(reads(format.as_bytes(), bytes));
            }
        }
    }

    /// The formats that read every text, in the order of [`FORMATS`].
    #[must_use]
    pub fn formats_of_all(&self) -> Vec<&'static str> {
        let fits = |(count, format): (&u64, &'static str)| (*count == self.texts && self.texts > 0).then_some(format);
        self.formats.iter().zip(FORMATS).filter_map(fits).collect()
    }
}

enum Number {
    Whole,
    Code,
    Point,
}

fn number(text: &[u8]) -> Option<Number> {
    let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let whole = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = &unsigned[whole..];
    let mut digits = whole;
    if rest.is_empty() {
        return match whole {
            0 => None,
            1..=18 if whole == 1 || unsigned[0] != b'0' => Some(Number::Whole),
            _ => Some(Number::Code),
        };
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let behind = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits += behind;
        rest = &fraction[behind..];
    }
    if digits == 0 {
        return None;
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+")).unwrap_or(exponent);
        let fits = (1..=3).contains(&exponent.len()) && exponent.iter().all(u8::is_ascii_digit);
        return fits.then_some(Number::Point);
    }
    rest.is_empty().then_some(Number::Point)
}

/// Whether a format reads the whole of a text, with months to 12 and days to 31.
fn reads(format: &[u8], text: &[u8]) -> bool {
    let (mut format, mut text) = (format, text);
    while let Some((&letter, rest)) = format.split_first() {
        if letter != b'%' {
            let Some(behind) = text.strip_prefix(&[letter]) else { return false };
            (format, text) = (rest, behind);
            continue;
        }
        let Some(behind) = piece(rest[0], text) else { return false };
        text = behind;
        format = &rest[if rest[0] == b'.' { 2 } else { 1 }..];
    }
    text.is_empty()
}

/// What is left of a text behind a piece of a format.
fn piece(directive: u8, text: &[u8]) -> Option<&[u8]> {
    let digits = |count: usize, range: std::ops::RangeInclusive<u32>| {
        let found = text.get(..count).filter(|found| found.iter().all(u8::is_ascii_digit))?;
        let value = found.iter().fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
        range.contains(&value).then_some(&text[count..])
    };
    match directive {
        b'Y' => digits(4, 1..=9999),
        b'm' => digits(2, 1..=12),
        b'd' => digits(2, 1..=31),
        b'H' => digits(2, 0..=23),
        b'.' => match text.strip_prefix(b".") {
            None => Some(text),
            Some(fraction) => {
                let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
                (1..=6).contains(&count).then_some(&fraction[count..])
            }
        },
        b'z' => match text {
            [b'Z', rest @ ..] => Some(rest),
            [b'+' | b'-', h1, h2, b':', m1, m2, rest @ ..]
                if [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()) =>
            {
                Some(rest)
            }
            _ => None,
        },
        _ => digits(2, 0..=59),
    }
}
