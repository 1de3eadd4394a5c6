//! Formats of dates and times in text: a closed list of directives, turned into a pattern that gates the text and, where
//! needed, a template that brings it to the one form that is cast.
//!
//! `%Y` year of four digits, `%m`, `%d`, `%H`, `%M`, `%S` of two; `%f` one to six digits of a fraction; `%.f` the same with
//! its point, may be absent; `%z` `Z` or `+HH:MM`; `%%` a percent sign. Without formats: `YYYY-MM-DD` for a date,
//! `YYYY-MM-DD HH:MM:SS`, also with `T`, fraction and zone, for a timestamp.

use thiserror::Error;

use super::Piece;
use super::pattern::Pattern;

const YEAR: &str = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])";
const MONTH: &str = "(?:0[1-9]|1[0-2])";
const DAY: &str = "(?:0[1-9]|[12][0-9]|3[01])";
const HOUR: &str = "(?:[01][0-9]|2[0-3])";
const SIXTY: &str = "[0-5][0-9]";
const FRACTION: &str = "[0-9]{1,6}";
const ZONE: &str = "(?:Z|[+-](?:0[0-9]|1[0-7]):[0-5][0-9])";

/// How texts of one form become dates or times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeForm {
    /// Texts of this form, whole.
    pub pattern: Pattern,
    /// How they are rewritten before the cast; none if they need not be.
    pub template: Option<Vec<Piece>>,
}

/// Formats and zone of a column, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeForms {
    formats: Vec<Format>,
    zone: Zone,
}

/// A fixed distance from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Zone {
    minutes: i32,
}

/// What is wrong with a format or a zone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FormatRefusal {
    /// A directive outside of the list, or twice, or one is lacking.
    #[error("format `{format}` {reason}; allowed: %Y %m %d %H %M %S %f %.f %z %%, of which %Y, %m and %d are needed")]
    Format {
        /// As written.
        format: String,
        /// What is wrong.
        reason: String,
    },
    /// A zone that is not fixed.
    #[error("time zone `{zone}` is not `UTC` or a fixed distance such as `+02:00`, at most 17:59")]
    Zone {
        /// As written.
        zone: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Format {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Directive(char),
    /// `%.f`
    OptionalFraction,
}

impl Zone {
    /// Reads `UTC` or `+HH:MM`.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self, FormatRefusal> {
        let refuse = || FormatRefusal::Zone { zone: text.to_owned() };
        if text == "UTC" || text == "Z" {
            return Ok(Self::default());
        }
        let (sign, rest) = match text.as_bytes().first() {
            Some(b'+') => (1, &text[1..]),
            Some(b'-') => (-1, &text[1..]),
            _ => return Err(refuse()),
        };
        let (hours, minutes) = rest.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2).ok_or_else(refuse)?;
        let hours: i32 = hours.parse().ok().filter(|hours| (0..18).contains(hours)).ok_or_else(refuse)?;
        let minutes: i32 = minutes.parse().ok().filter(|minutes| (0..60).contains(minutes)).ok_or_else(refuse)?;
        Ok(Self { minutes: sign * (hours * 60 + minutes) })
    }

    /// Microseconds to add to a local time to get UTC.
    #[must_use]
    pub fn to_utc_micros(self) -> i64 {
        -i64::from(self.minutes) * 60_000_000
    }

    fn suffix(self) -> String {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", self.minutes.abs() / 60, self.minutes.abs() % 60)
    }
}

impl TimeForms {
    /// Checks formats and zone of a column.
    ///
    /// # Errors
    /// Names the first format, or the zone, that is not allowed.
    pub fn new(formats: &[String], zone: Option<&str>) -> Result<Self, FormatRefusal> {
        let zone = zone.map_or(Ok(Zone::default()), Zone::parse)?;
        let formats = formats.iter().map(|format| Format::parse(format)).collect::<Result<_, _>>()?;
        Ok(Self { formats, zone })
    }

    /// The zone of times that carry none.
    #[must_use]
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// Forms of a date: the text, or its rewriting, is `YYYY-MM-DD`.
    #[must_use]
    pub fn dates(&self) -> Vec<TimeForm> {
        if self.formats.is_empty() {
            return vec![TimeForm { pattern: whole(&format!("{YEAR}-{MONTH}-{DAY}")), template: None }];
        }
        self.formats.iter().map(Format::date).collect()
    }

    /// Forms of a timestamp: the text, or its rewriting, is `YYYY-MM-DD HH:MM:SS[.ffffff][zone]` with a space or a `T`;
    /// without a zone it is UTC.
    #[must_use]
    pub fn timestamps(&self) -> Vec<TimeForm> {
        if !self.formats.is_empty() {
            return self.formats.iter().map(|format| format.timestamp(self.zone)).collect();
        }
        let local = format!(r"{YEAR}-{MONTH}-{DAY}[ T]{HOUR}:{SIXTY}:{SIXTY}(?:\.{FRACTION})?");
        if self.zone == Zone::default() {
            return vec![TimeForm { pattern: whole(&format!("{local}{ZONE}?")), template: None }];
        }
        let shifted = vec![Piece::Group(1), Piece::Text(self.zone.suffix())];
        vec![
            TimeForm { pattern: whole(&format!("{local}{ZONE}")), template: None },
            TimeForm { pattern: whole(&format!("({local})")), template: Some(shifted) },
        ]
    }
}

fn whole(pattern: &str) -> Pattern {
    Pattern::portable(&format!(r"^(?:{pattern})\z"))
}

impl Format {
    fn parse(format: &str) -> Result<Self, FormatRefusal> {
        let refuse = |reason: String| FormatRefusal::Format { format: format.to_owned(), reason };
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut chars = format.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                text.push(char);
                continue;
            }
            let part = match chars.next() {
                Some('%') => {
                    text.push('%');
                    continue;
                }
                Some('.') if chars.next() == Some('f') => Part::OptionalFraction,
                Some(directive @ ('Y' | 'm' | 'd' | 'H' | 'M' | 'S' | 'f' | 'z')) => Part::Directive(directive),
                Some(other) => return Err(refuse(format!("has `%{other}`"))),
                None => return Err(refuse("ends in `%`".to_owned())),
            };
            if parts.contains(&part) {
                return Err(refuse("has a directive twice".to_owned()));
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(part);
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        let parsed = Self { parts };
        match ['Y', 'm', 'd'].into_iter().find(|needed| parsed.group(*needed).is_none()) {
            Some(lacking) => Err(refuse(format!("lacks `%{lacking}`"))),
            None if parsed.group('f').is_some() && parsed.parts.contains(&Part::OptionalFraction) => {
                Err(refuse("has a fraction twice".to_owned()))
            }
            None => Ok(parsed),
        }
    }

    /// Number of the group of a directive (`.` for the optional fraction).
    fn group(&self, directive: char) -> Option<usize> {
        let mut number = 0;
        for part in &self.parts {
            let found = match part {
                Part::Text(_) => continue,
                Part::Directive(found) => *found,
                Part::OptionalFraction => '.',
            };
            number += 1;
            if found == directive {
                return Some(number);
            }
        }
        None
    }

    fn pattern(&self) -> Pattern {
        let mut pattern = String::new();
        for part in &self.parts {
            let group = match part {
                Part::Text(text) => {
                    pattern.push_str(&regex::escape(text));
                    continue;
                }
                Part::OptionalFraction => {
                    pattern.push_str(&[r"((?:\.", FRACTION, ")?)"].concat());
                    continue;
                }
                Part::Directive('Y') => YEAR,
                Part::Directive('m') => MONTH,
                Part::Directive('d') => DAY,
                Part::Directive('H') => HOUR,
                Part::Directive('f') => FRACTION,
                Part::Directive('z') => ZONE,
                Part::Directive(_) => SIXTY,
            };
            pattern.push_str(&["(", group, ")"].concat());
        }
        whole(&pattern)
    }

    fn date(&self) -> TimeForm {
        let ready = self.parts == Self::iso_date();
        TimeForm { pattern: self.pattern(), template: (!ready).then(|| self.date_template()) }
    }

    fn iso_date() -> Vec<Part> {
        let dash = || Part::Text("-".to_owned());
        vec![Part::Directive('Y'), dash(), Part::Directive('m'), dash(), Part::Directive('d')]
    }

    fn date_template(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (separator, directive) in [("", 'Y'), ("-", 'm'), ("-", 'd')] {
            self.append(&mut pieces, separator, directive, "");
        }
        pieces
    }

    fn timestamp(&self, zone: Zone) -> TimeForm {
        let mut iso = Self::iso_date();
        for (separator, directive) in [(" ", 'H'), (":", 'M'), (":", 'S')] {
            iso.extend([Part::Text(separator.to_owned()), Part::Directive(directive)]);
        }
        let tail = self.parts.strip_prefix(iso.as_slice());
        let zoned = self.group('z').is_some();
        let ready = (zoned || zone == Zone::default())
            && tail.is_some_and(|tail| {
                tail.iter().all(|part| matches!(part, Part::OptionalFraction | Part::Directive('z')))
            })
            && tail != Some(&[Part::Directive('z'), Part::OptionalFraction]);
        if ready {
            return TimeForm { pattern: self.pattern(), template: None };
        }
        let mut pieces = self.date_template();
        for (separator, directive) in [(" ", 'H'), (":", 'M'), (":", 'S')] {
            self.append(&mut pieces, separator, directive, "00");
        }
        if let Some(group) = self.group('.') {
            pieces.push(Piece::Group(group));
        }
        if self.group('f').is_some() {
            self.append(&mut pieces, ".", 'f', "");
        }
        match self.group('z') {
            Some(group) => pieces.push(Piece::Group(group)),
            None => pieces.push(Piece::Text(zone.suffix())),
        }
        TimeForm { pattern: self.pattern(), template: Some(pieces) }
    }

    fn append(&self, pieces: &mut Vec<Piece>, separator: &str, directive: char, absent: &str) {
        if !separator.is_empty() {
            pieces.push(Piece::Text(separator.to_owned()));
        }
        match self.group(directive) {
            Some(group) => pieces.push(Piece::Group(group)),
            None => pieces.push(Piece::Text(absent.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(format: &str, zone: Option<&str>, text: &str) -> Option<String> {
        let forms = TimeForms::new(&[format.to_owned()], zone).unwrap();
        let form = forms.timestamps().remove(0);
        let pattern = regex::Regex::new(form.pattern.as_str()).unwrap();
        let found = pattern.captures(text)?;
        let Some(template) = form.template else { return Some(text.to_owned()) };
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Group(group) => found.get(*group).map_or(String::new(), |group| group.as_str().to_owned()),
        };
        Some(template.iter().map(piece).collect())
    }

    #[test]
    fn formats_bring_texts_to_one_form() {
        let cases = [
            ("%Y-%m-%d %H:%M:%S", None, "2018-11-01 02:03:04", "2018-11-01 02:03:04"),
            ("%Y-%m-%d %H:%M:%S%.f", None, "2018-11-01 02:03:04.5", "2018-11-01 02:03:04.5"),
            ("%d/%m/%Y %H:%M", None, "31/12/2018 02:03", "2018-12-31 02:03:00+00:00"),
            ("%Y%m%d", Some("-05:00"), "20181231", "2018-12-31 00:00:00-05:00"),
            ("%Y-%m-%dT%H:%M:%S.%f%z", Some("+01:00"), "2018-11-01T02:03:04.25Z", "2018-11-01 02:03:04.25Z"),
        ];
        for (format, zone, text, expected) in cases {
            assert_eq!(rewritten(format, zone, text).as_deref(), Some(expected), "{format}");
        }
    }

    #[test]
    fn texts_of_another_form_do_not_pass() {
        for text in [
            "2018-11",
            "12:30",
            "2018-13-01 00:00:00",
            "0000-01-01 00:00:00",
            "2018-11-01 24:00:00",
            "2018-11-01 00:00:60",
            "2018-11-01 00:00:00 ",
            "2018-11-01 00:00:00\n",
        ] {
            assert_eq!(rewritten("%Y-%m-%d %H:%M:%S", None, text), None, "{text}");
        }
    }

    #[test]
    fn directives_outside_of_the_list_are_refused() {
        for format in ["%y-%m-%d", "%Y-%m", "%Y-%m-%d %p", "%Y-%Y-%m-%d", "%", "%Y-%m-%d %S.%f%.f"] {
            assert!(TimeForms::new(&[format.to_owned()], None).is_err(), "{format}");
        }
        for zone in ["Europe/Berlin", "+2", "+19:00", ""] {
            assert!(TimeForms::new(&[], Some(zone)).is_err(), "{zone}");
        }
    }
}
