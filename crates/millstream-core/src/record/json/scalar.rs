//! Texts of decimals, dates and times, in both directions.

use crate::original::{civil, date_text, timestamp_text};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// The text of [`crate::original::decimal_text`]. `scale` is at most 38.
pub(super) fn write_decimal(out: &mut Vec<u8>, digits: i128, scale: u8) {
    let mut text = [b'0'; 40];
    let point = text.len() - usize::from(scale);
    let mut start = text.len();
    let mut rest = digits.unsigned_abs();
    // Division of 128 bits is slow, and hardly any value needs it.
    while u64::try_from(rest).is_err() {
        start -= 1;
        text[start] = digit(rest % 10);
        rest /= 10;
    }
    let mut low = u64::try_from(rest).unwrap_or_default();
    while low > 0 {
        start -= 1;
        text[start] = digit(low % 10);
        low /= 10;
    }
    if digits < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&text[start.min(point - 1)..point]);
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(&text[point..]);
    }
}

/// The text of [`date_text`].
pub(super) fn write_date(out: &mut Vec<u8>, days: i32) {
    let mut text = *b"0000-00-00";
    if put_date(&mut text, i64::from(days)) {
        out.extend_from_slice(&text);
    } else {
        out.extend_from_slice(date_text(days).as_bytes());
    }
}

/// The text of [`timestamp_text`].
pub(super) fn write_timestamp(out: &mut Vec<u8>, micros: i64) {
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (of_day / MICROS_PER_SECOND, of_day % MICROS_PER_SECOND);
    let mut text = *b"0000-00-00T00:00:00.000000";
    if !put_date(&mut text[..10], micros.div_euclid(MICROS_PER_DAY)) {
        out.extend_from_slice(timestamp_text(micros).as_bytes());
        return;
    }
    put(&mut text[11..13], seconds / 3600);
    put(&mut text[14..16], seconds / 60 % 60);
    put(&mut text[17..19], seconds % 60);
    put(&mut text[20..], fraction);
    out.extend_from_slice(if fraction == 0 { &text[..19] } else { &text });
    out.push(b'Z');
}

/// Whether the year has four digits.
fn put_date(text: &mut [u8], days: i64) -> bool {
    let (year, month, day) = civil(days);
    put(&mut text[..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..], day);
    (0..=9999).contains(&year)
}

fn put(text: &mut [u8], mut number: i64) {
    for place in text.iter_mut().rev() {
        *place = digit(number.unsigned_abs() % 10);
        number /= 10;
    }
}

fn digit(number: impl TryInto<u8>) -> u8 {
    b'0' + number.try_into().unwrap_or_default()
}

/// The decimal that a text is exactly.
///
/// # Errors
/// Tells why it is none of that precision and scale.
pub(super) fn parse_decimal(text: &str, precision: u8, scale: u8) -> Result<i128, &'static str> {
    const NOT_A_NUMBER: &str = "it is not a number";
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent).ok_or(NOT_A_NUMBER)?),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return Err(NOT_A_NUMBER),
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(NOT_A_NUMBER);
    }
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip_while(|byte| *byte == b'0').collect();
    let mut shift = exponent.saturating_add(i64::from(scale)).saturating_sub_unsigned(fraction.len() as u64);
    while digits.last() == Some(&b'0') {
        digits.pop();
        shift = shift.saturating_add(1);
    }
    if digits.is_empty() {
        return Ok(0);
    }
    if shift < 0 {
        return Err("it has too many digits behind the point");
    }
    if shift.saturating_add_unsigned(digits.len() as u64) > i64::from(precision) {
        return Err("it is too large");
    }
    digits.resize(digits.len() + usize::try_from(shift).unwrap_or_default(), b'0');
    // At most 38 digits, which fit.
    let value = digits.iter().fold(0_i128, |value, byte| value * 10 + i128::from(byte - b'0'));
    Ok(if negative { -value } else { value })
}

/// Saturates: beyond, it makes no difference.
fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    let mut value = if digits.is_empty() { None } else { Some(0_i64) };
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        value = value.map(|value| value.saturating_mul(10).saturating_add(digit));
    }
    value.map(|value| if negative { -value } else { value })
}

/// Days since 1970-01-01 of a date as [`date_text`] writes it.
///
/// # Errors
/// Tells why it is none.
pub(super) fn parse_date(text: &str) -> Result<i32, &'static str> {
    let days = parse_days(text.as_bytes()).ok_or("it is not a date such as 2019-01-31")?;
    i32::try_from(days).map_err(|_| "it is out of range")
}

/// Microseconds since 1970 of a time with its zone.
///
/// # Errors
/// Tells why it is none.
pub(super) fn parse_timestamp(text: &str) -> Result<i64, &'static str> {
    const NO_TIME: &str = "it is not a time such as 2019-01-31T12:00:00Z";
    let text = text.as_bytes();
    let split = text.iter().position(|byte| matches!(byte, b'T' | b't' | b' ')).ok_or(NO_TIME)?;
    let days = parse_days(&text[..split]).ok_or(NO_TIME)?;
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = &text[split + 1..] else { return Err(NO_TIME) };
    let part = |digits: [u8; 2], below: i64| number(&digits).filter(|number| *number < below).ok_or(NO_TIME);
    let seconds = (part([*h1, *h2], 24)? * 60 + part([*m1, *m2], 60)?) * 60 + part([*s1, *s2], 60)?;
    let (fraction, zone) = match rest {
        [b'.', rest @ ..] => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return Err(NO_TIME);
            }
            rest.split_at(digits)
        }
        rest => (&[] as &[u8], rest),
    };
    let mut micros = [b'0'; 6];
    for (place, digit) in micros.iter_mut().zip(fraction) {
        *place = *digit;
    }
    let fraction = number(&micros).ok_or(NO_TIME)?;
    let offset = match zone {
        [] => return Err("it has no zone, which is Z or a distance from UTC such as +02:00"),
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            let minutes = part([*h1, *h2], 24)? * 60 + part([*m1, *m2], 60)?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return Err(NO_TIME),
    };
    // Wider than the result: a date of any year, or an offset at the end of the range, must not overflow on the way.
    let seconds = i128::from(days) * 86_400 + i128::from(seconds - offset * 60);
    i64::try_from(seconds * i128::from(MICROS_PER_SECOND) + i128::from(fraction)).map_err(|_| "it is out of range")
}

/// `2019-01-31`; with a sign the year has four to seven digits.
fn parse_days(text: &[u8]) -> Option<i64> {
    let (before, rest) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let [b'-', m1, m2, b'-', d1, d2] = rest else { return None };
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let year = match before {
        [b'+', digits @ ..] if (4..=7).contains(&digits.len()) => number(digits)?,
        [b'-', digits @ ..] if (4..=7).contains(&digits.len()) => -number(digits)?,
        digits if digits.len() == 4 => number(digits)?,
        _ => return None,
    };
    // The inverse of `civil`, by the same source; a day that the month does not have becomes another one.
    let (month_from_march, year_from_march) = ((month + 9) % 12, year - i64::from(month <= 2));
    let of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let (era, year_of_era) = (year_from_march.div_euclid(400), year_from_march.rem_euclid(400));
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468;
    (civil(days) == (year, month, day)).then_some(days)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::original::decimal_text;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_of_other_writers_are_taken_exactly_or_not_at_all() {
        let cases = [
            ("12.5", Ok(1250)),
            ("12.500000", Ok(1250)),
            ("-0.05", Ok(-5)),
            ("0012", Ok(1200)),
            ("1.25e1", Ok(1250)),
            ("1250E-2", Ok(1250)),
            ("0e99999999999999999999", Ok(0)),
            ("-0", Ok(0)),
            ("99999999.99", Ok(9_999_999_999)),
            ("100000000", Err("it is too large")),
            ("1e99999999999999999999", Err("it is too large")),
            ("12.505", Err("it has too many digits behind the point")),
            ("1e-99999999999999999999", Err("it has too many digits behind the point")),
            ("", Err("it is not a number")),
            (".5", Err("it is not a number")),
            ("5.", Err("it is not a number")),
            ("1e", Err("it is not a number")),
            ("1e+-1", Err("it is not a number")),
            ("1.2.3", Err("it is not a number")),
            ("+1", Err("it is not a number")),
            ("1,5", Err("it is not a number")),
            ("NaN", Err("it is not a number")),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_decimal(text, 10, 2), expected, "{text}");
        }
    }

    #[test]
    fn times_of_other_writers_become_utc() {
        let at = |text: &str| parse_timestamp(text).map(timestamp_text);
        let good = [
            ("2019-06-01T02:00:00+02:00", "2019-06-01T00:00:00Z"),
            ("2019-06-01T02:00:00+0200", "2019-06-01T00:00:00Z"),
            ("2019-05-31t18:30:00.5-05:30", "2019-06-01T00:00:00.500000Z"),
            ("2019-06-01 00:00:00.123456789z", "2019-06-01T00:00:00.123456Z"),
            ("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999Z"),
            ("2020-02-29T00:00:00Z", "2020-02-29T00:00:00Z"),
        ];
        for (text, expected) in good {
            assert_eq!(at(text).as_deref(), Ok(expected), "{text}");
        }
        let bad = [
            "2019-06-01T02:00:00",
            "2019-06-01",
            "2019-02-29T00:00:00Z",
            "2019-13-01T00:00:00Z",
            "2019-00-01T00:00:00Z",
            "2019-01-00T00:00:00Z",
            "2019-06-01T24:00:00Z",
            "2019-06-01T00:00:60Z",
            "2019-06-01T00:00Z",
            "2019-06-01T00:00:00.Z",
            "2019-06-01T00:00:00.1234567890Z",
            "2019-06-01T00:00:00+2:00",
            "2019-06-01T00:00:00+24:00",
            "+9999999-01-01T00:00:00Z",
            "19-06-01T00:00:00Z",
            "2019-06-01T00:00:00Zé",
            "",
            "T",
        ];
        for text in bad {
            assert!(at(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn decimals_have_the_same_text_everywhere_and_read_back(
            digits in prop_oneof![any::<i128>(), any::<i64>().prop_map(i128::from), -1000..1000_i128],
            scale in 0..=38_u8,
        ) {
            let text = written(|out| write_decimal(out, digits, scale));
            prop_assert_eq!(&text, &decimal_text(digits, scale));
            if digits.unsigned_abs() < 10_u128.pow(38) {
                prop_assert_eq!(parse_decimal(&text, 38, scale), Ok(digits));
            }
        }

        #[test]
        fn dates_have_the_same_text_everywhere_and_read_back(days in prop_oneof![any::<i32>(), -800_000..3_000_000]) {
            let text = written(|out| write_date(out, days));
            prop_assert_eq!(&text, &date_text(days));
            prop_assert_eq!(parse_date(&text), Ok(days));
        }

        #[test]
        fn times_have_the_same_text_everywhere_and_read_back(
            micros in prop_oneof![
                any::<i64>(),
                Just(i64::MIN),
                Just(i64::MAX),
                -62_200_000_000_000_000..253_500_000_000_000_000_i64,
                (-62_200_000_000..253_500_000_000_i64).prop_map(|seconds| seconds * 1_000_000),
            ],
        ) {
            let text = written(|out| write_timestamp(out, micros));
            prop_assert_eq!(&text, &timestamp_text(micros));
            prop_assert_eq!(parse_timestamp(&text), Ok(micros));
        }

        #[test]
        fn no_text_breaks_the_readers(text in "[-+0-9eE.:TZ ]{0,40}|.{0,20}") {
            let _ = (parse_decimal(&text, 38, 10), parse_date(&text), parse_timestamp(&text));
        }
    }
}
