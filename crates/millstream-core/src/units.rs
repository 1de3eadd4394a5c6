//! Durations, sizes and rates as people write them: `"10s"`, `"512MiB"`, `"50000 rows/s"`.
//!
//! Whole numbers only, one unit, no sums: a value has one spelling that is easy to read back.

use std::num::NonZeroU64;
use std::time::Duration;

/// Units of a duration and their milliseconds, smallest first.
const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of a size and their bytes. The first of two with the same factor is the one that is written.
const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// How a duration is written.
pub const DURATION_FORM: &str = "a whole number and a unit (ms, s, m, h, d), such as \"10s\"";
/// How a size is written.
pub const SIZE_FORM: &str =
    "bytes as a whole number, or with a unit (kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as \"512MiB\"";
/// How a rate is written.
pub const RATE_FORM: &str = "\"max\" or rows per second, such as \"50000 rows/s\"";

/// A text that is not the quantity that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not in the form that the quantity has.
    #[error("`{text}` is not {quantity}")]
    Form {
        /// What was written.
        text: String,
        /// What it should be, with its article.
        quantity: &'static str,
    },
    /// In the right form, past what fits 64 bits.
    #[error("`{text}` is too large")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

/// Reads a duration: `20ms`, `10s`, `5m`, `24h`, `45d`. A space before the unit is allowed.
///
/// # Errors
/// When the text has another form or more milliseconds than 64 bits hold.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text, "a duration")?;
    let (_, factor) = DURATION_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| UnitError::Form { text: text.to_owned(), quantity: "a duration" })?;
    multiply(text, number, *factor).map(Duration::from_millis)
}

/// Writes a duration with the largest unit that leaves a whole number; parts of a millisecond are dropped.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let unit = DURATION_UNITS.iter().rev().find(|(_, factor)| millis != 0 && millis.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => format!("{}{name}", millis / factor),
        None => format!("{}s", millis / 1_000),
    }
}

/// Reads a size in bytes: `1048576`, `900KiB`, `1GB`. A space before the unit is allowed.
///
/// # Errors
/// When the text has another form or more bytes than 64 bits hold.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split(text, "a size")?;
    if unit.is_empty() {
        return multiply(text, number, 1);
    }
    let (_, factor) = SIZE_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| UnitError::Form { text: text.to_owned(), quantity: "a size" })?;
    multiply(text, number, *factor)
}

/// Writes a size with the largest unit that leaves a whole number, powers of 1024 before powers of 1000.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let divides = |factor: u64| bytes != 0 && bytes.is_multiple_of(factor);
    let binary = SIZE_UNITS[6..].iter().rev().find(|(_, factor)| divides(*factor));
    let decimal = SIZE_UNITS[1..6].iter().rev().filter(|(name, _)| *name != "KB").find(|(_, factor)| divides(*factor));
    match binary.or(decimal) {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// A size as people say it: `2.1GB`.
#[must_use]
pub fn about_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut unit = 0;
    #[expect(clippy::cast_precision_loss, reason = "two digits for people")]
    let mut size = bytes as f64 / 1000.0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if size < 9.95 { format!("{size:.1}{}", UNITS[unit]) } else { format!("{size:.0}{}", UNITS[unit]) }
}

/// Reads rows per second: `50000 rows/s`. The space is optional.
///
/// # Errors
/// When the text has another form, is zero, or does not fit 64 bits.
pub fn parse_rows_per_second(text: &str) -> Result<NonZeroU64, UnitError> {
    let quantity = "a rate";
    let (number, unit) = split(text, quantity)?;
    if unit != "rows/s" {
        return Err(UnitError::Form { text: text.to_owned(), quantity });
    }
    let rows = multiply(text, number, 1)?;
    NonZeroU64::new(rows).ok_or_else(|| UnitError::Form { text: text.to_owned(), quantity })
}

/// Writes rows per second.
#[must_use]
pub fn format_rows_per_second(rows: NonZeroU64) -> String {
    format!("{rows} rows/s")
}

/// Digits and what follows them; at most one space between.
fn split<'t>(text: &'t str, quantity: &'static str) -> Result<(&'t str, &'t str), UnitError> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::Form { text: text.to_owned(), quantity });
    }
    Ok((number, rest.strip_prefix(' ').unwrap_or(rest)))
}

fn multiply(text: &str, number: &str, factor: u64) -> Result<u64, UnitError> {
    let number: Option<u64> = number.parse().ok();
    number.and_then(|number| number.checked_mul(factor)).ok_or_else(|| UnitError::TooLarge { text: text.to_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_with_each_unit() {
        let cases =
            [("20ms", 20), ("10s", 10_000), ("5m", 300_000), ("24h", 86_400_000), ("45 d", 3_888_000_000), ("0s", 0)];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_each_unit() {
        let cases =
            [("17", 17), ("17B", 17), ("1kB", 1_000), ("1KB", 1_000), ("900KiB", 921_600), ("512MiB", 536_870_912)];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_size("1GB"), Ok(1_000_000_000));
        assert_eq!(parse_size("2TiB"), Ok(2_199_023_255_552));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "s", "10", "1.5s", "-1s", "10 sec", "1h30m", "10  s", " 10s", "10s ", "１s"] {
            assert!(matches!(parse_duration(text), Err(UnitError::Form { .. })), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "-1", "1mb", "1 Mib", "1_000"] {
            assert!(matches!(parse_size(text), Err(UnitError::Form { .. })), "{text}");
        }
        for text in ["", "max", "50000", "0 rows/s", "5 rows/min", "1e3 rows/s"] {
            assert!(matches!(parse_rows_per_second(text), Err(UnitError::Form { .. })), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_does_not_wrap() {
        for text in ["18446744073709551615d", "99999999999999999999ms"] {
            assert!(matches!(parse_duration(text), Err(UnitError::TooLarge { .. })), "{text}");
        }
        assert!(matches!(parse_size("18446744073709551615TiB"), Err(UnitError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_back_the_same(millis: u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_duration_of_whole_units_reads_back_the_same(count in 0u64..1_000_000, unit in 0usize..5) {
            let duration = Duration::from_millis(count * DURATION_UNITS[unit].1);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_written_size_reads_back_the_same(count in 0u64..1_000_000, unit in 0usize..10) {
            let bytes = count * SIZE_UNITS[unit].1;
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_bytes_read_back_the_same(bytes: u64) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            prop_assert_eq!(parse_size(&bytes.to_string()), Ok(bytes));
        }

        #[test]
        fn a_written_rate_reads_back_the_same(rows in 1u64..) {
            let rows = NonZeroU64::new(rows).unwrap();
            prop_assert_eq!(parse_rows_per_second(&format_rows_per_second(rows)), Ok(rows));
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in ".{0,12}") {
            let _ = (parse_duration(&text), parse_size(&text), parse_rows_per_second(&text));
        }
    }
}
