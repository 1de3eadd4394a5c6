//! Patterns of the portable kind for Java, which reads some of what Rust takes in another way.
//!
//! Classes, groups, alternatives, anchors and escapes of the portable kind mean the same in both. What is not carried over is
//! what Rust takes and Java refuses or reads otherwise: a quantifier on nothing, on an anchor or on a quantifier, and braces
//! that are no quantifier.

/// The pattern for Java.
///
/// # Errors
/// If Java has no equal pattern of the same text, with the reason.
pub(super) fn java(portable: &str) -> Result<String, String> {
    let refuse = |what: &str| Err(format!("pattern `{portable}` has {what}, which Java reads differently"));
    let mut sql = String::with_capacity(portable.len());
    let mut rest = portable;
    let mut quantifiable = false;
    while let Some(char) = rest.chars().next() {
        let (piece, is_atom) = match char {
            '\\' => {
                let escaped = rest[1..].chars().next().unwrap_or_default();
                if matches!(escaped, '<' | '>') {
                    return refuse("a word boundary");
                }
                (if escaped == 'x' { take(rest, 4) } else { take(rest, 2) }, !matches!(escaped, 'A' | 'z'))
            }
            '[' => (class(rest), true),
            '*' | '+' | '?' | '{' => {
                if !quantifiable {
                    return refuse("a quantifier on nothing, on an anchor or on a quantifier");
                }
                let Some(quantifier) = quantifier(rest) else { return refuse("braces that are no quantifier") };
                (quantifier, false)
            }
            '(' => (if rest.starts_with("(?:") { "(?:" } else { "(" }, false),
            '|' | '^' => (take(rest, 1), false),
            '}' | ']' => {
                sql.push('\\');
                (take(rest, 1), true)
            }
            _ => (take(rest, 1), true),
        };
        sql.push_str(piece);
        rest = &rest[piece.len()..];
        quantifiable = is_atom;
    }
    Ok(sql)
}

/// The first `count` characters.
fn take(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}

/// The class at the start: up to the first bracket that no backslash precedes.
fn class(text: &str) -> &str {
    let mut escaped = false;
    for (place, char) in text.char_indices() {
        match char {
            ']' if !escaped => return &text[..=place],
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text
}

/// The quantifier at the start, with the question mark that makes it lazy.
fn quantifier(text: &str) -> Option<&str> {
    let length = if text.starts_with('{') {
        let inner = &text[1..text.find('}')?];
        let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if low.is_empty() || !digits(low) || !digits(high) {
            return None;
        }
        inner.len() + 2
    } else {
        1
    };
    let lazy = usize::from(text[length..].starts_with('?'));
    Some(&text[..length + lazy])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_read_alike_is_carried_over() {
        for same in [
            r"^[0-9]+\z",
            r"[^\n]*?x{2}",
            r"(?:a|b){1,3}?c",
            r"[\]\\x]\x0b",
            r"\.\-\$",
            "",
            "a||b",
            "()",
            "ä+",
            r"[ \t\n\r\f\x0b]*",
        ] {
            assert_eq!(java(same).as_deref(), Ok(same));
        }
        assert_eq!(java("a}]").as_deref(), Ok(r"a\}\]"));
    }

    #[test]
    fn what_java_reads_otherwise_is_refused() {
        for other in ["a**", "a{2}{3}", "^*", r"\A+", "(*a)", "a{,3}", "a{x}", r"\<a", "a|+b"] {
            assert!(java(other).is_err(), "{other}");
        }
    }
}
