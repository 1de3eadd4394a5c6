//! Where quantifiers and braces stand: what Rust takes and Java refuses or reads otherwise. (Classes, groups, alternatives,
//! anchors and escapes of the portable kind mean the same in both.)

/// The pattern with lone `}` and `]` escaped, or what cannot be settled.
pub(super) fn settled(pattern: &str) -> Result<String, &'static str> {
    let mut settled = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut quantifiable = false;
    while let Some(char) = rest.chars().next() {
        let (piece, is_atom) = match char {
            '\\' => {
                let escaped = rest[1..].chars().next().unwrap_or_default();
                (if escaped == 'x' { take(rest, 4) } else { take(rest, 2) }, !matches!(escaped, 'A' | 'z'))
            }
            '[' => (class(rest), true),
            '*' | '+' | '?' | '{' => {
                if !quantifiable {
                    return Err("a quantifier on nothing, on an anchor or on a quantifier");
                }
                let Some(quantifier) = quantifier(rest) else { return Err("braces that are no quantifier") };
                (quantifier, false)
            }
            '(' => (if rest.starts_with("(?:") { "(?:" } else { "(" }, false),
            '|' | '^' => (take(rest, 1), false),
            '}' | ']' => {
                settled.push('\\');
                (take(rest, 1), true)
            }
            _ => (take(rest, 1), true),
        };
        settled.push_str(piece);
        rest = &rest[piece.len()..];
        quantifiable = is_atom;
    }
    Ok(settled)
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
    fn what_engines_read_alike_stays() {
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
            assert_eq!(settled(same).as_deref(), Ok(same));
        }
        assert_eq!(settled("a}]").as_deref(), Ok(r"a\}\]"));
    }

    #[test]
    fn what_java_reads_otherwise_is_refused() {
        for other in ["a**", "a{2}{3}", "^*", r"\A+", "(*a)", "a{,3}", "a{x}", "a|+b"] {
            assert!(settled(other).is_err(), "{other}");
        }
    }
}
