//! Regular expressions that mean the same in every engine.
//!
//! A pattern is checked by the `regex` crate and brought to a portable form: `\d`, `\w`, `\s` become ASCII classes, `.` is
//! "not a line feed", `$` is the end of the text, a lone `}` or `]` is escaped. What engines read differently (Unicode classes, word
//! boundaries, inline flags, look-around, class arithmetic, possessive quantifiers, a quantifier on nothing, on an anchor or on a
//! quantifier, braces that are no quantifier) is refused, whichever engine cleans: a pipeline may change it.

mod quantifiers;

use std::fmt;

use regex::Regex;
use thiserror::Error;

/// A regular expression in portable form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    portable: String,
}

/// Why a regular expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("pattern `{pattern}` {reason}")]
pub struct PatternRefusal {
    pattern: String,
    reason: String,
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.portable)
    }
}

impl Pattern {
    /// Reads a pattern that a user wrote.
    ///
    /// # Errors
    /// If it is not valid or not portable.
    pub fn parse(pattern: &str) -> Result<Self, PatternRefusal> {
        let refuse = |reason: String| PatternRefusal { pattern: pattern.to_owned(), reason };
        let portable =
            translate(pattern).map_err(|reason| refuse(format!("uses {reason}, which engines read differently")))?;
        Regex::new(&portable).map_err(|error| {
            let text = error.to_string();
            refuse(format!("is not valid: {}", text.lines().last().unwrap_or_default().trim_start_matches("error: ")))
        })?;
        let portable = quantifiers::settled(&portable)
            .map_err(|reason| refuse(format!("uses {reason}, which engines read differently")))?;
        Ok(Self { portable })
    }

    /// A pattern of our own, already portable.
    pub(crate) fn portable(pattern: &str) -> Self {
        Self { portable: pattern.to_owned() }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.portable
    }
}

/// The portable form, or what cannot be brought to it.
fn translate(pattern: &str) -> Result<String, &'static str> {
    let mut portable = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    let mut after_quantifier = false;
    while let Some(char) = chars.next() {
        let quantifies = !in_class && matches!(char, '*' | '+' | '?' | '}');
        match char {
            '\\' => portable.push_str(&escape(chars.next().ok_or("a lone backslash")?, in_class)?),
            '[' if in_class => return Err("a class inside of a class"),
            '[' => {
                in_class = true;
                portable.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    portable.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    portable.push_str("\\]");
                }
            }
            ']' if in_class => {
                in_class = false;
                portable.push(']');
            }
            '&' | '~' | '-' if in_class && chars.peek() == Some(&char) => return Err("class arithmetic"),
            '.' if !in_class => portable.push_str("[^\\n]"),
            '$' if !in_class => portable.push_str("\\z"),
            '+' if !in_class && after_quantifier => return Err("a possessive quantifier"),
            '(' if !in_class && chars.peek() == Some(&'?') => {
                chars.next();
                if chars.next_if_eq(&':').is_none() {
                    return Err("a `(?` group other than `(?:`");
                }
                portable.push_str("(?:");
            }
            other => portable.push(other),
        }
        after_quantifier = quantifies;
    }
    Ok(portable)
}

fn escape(char: char, in_class: bool) -> Result<String, &'static str> {
    let (class, inner) = match char {
        'd' => ("[0-9]", "0-9"),
        'w' => ("[0-9A-Za-z_]", "0-9A-Za-z_"),
        's' => ("[ \\t\\n\\r\\f\\x0b]", " \\t\\n\\r\\f\\x0b"),
        'D' if !in_class => ("[^0-9]", ""),
        'W' if !in_class => ("[^0-9A-Za-z_]", ""),
        'S' if !in_class => ("[^ \\t\\n\\r\\f\\x0b]", ""),
        'n' => ("\\n", "\\n"),
        't' => ("\\t", "\\t"),
        'r' => ("\\r", "\\r"),
        'A' if !in_class => ("\\A", ""),
        'z' if !in_class => ("\\z", ""),
        'D' | 'W' | 'S' => return Err("a negated class inside of a class"),
        'b' | 'B' | '<' | '>' => return Err("a word boundary"),
        'p' | 'P' => return Err("a Unicode class"),
        other if other.is_ascii_punctuation() => return Ok(format!("\\{other}")),
        _ => return Err("an escape that is not in the portable set"),
    };
    Ok(if in_class { inner } else { class }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_anchors_become_portable() {
        for (written, portable) in [
            (r"^\d+$", r"^[0-9]+\z"),
            (r"^[\w.]+\.txt$", r"^[0-9A-Za-z_.]+\.txt\z"),
            (r"a.b", r"a[^\n]b"),
            (r"(?:a|b)[]x]", r"(?:a|b)[\]x]"),
            (r"a}]", r"a\}\]"),
        ] {
            assert_eq!(Pattern::parse(written).map(|pattern| pattern.portable).as_deref(), Ok(portable));
        }
    }

    #[test]
    fn what_engines_read_differently_is_refused() {
        for written in [
            r"\bx",
            r"(?i)x",
            r"(?=x)",
            r"\p{L}",
            r"[a&&b]",
            r"a++",
            r"[[:alpha:]]",
            r"(x",
            r"\1",
            "x\\",
            r"\<x",
            "a**",
            "^*x",
        ] {
            assert!(Pattern::parse(written).is_err(), "{written}");
        }
    }
}
