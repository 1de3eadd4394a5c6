//! The text of a pipeline file in a form that others may read: it travels with the progress, so that a file ends under the rules
//! that it began with.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Span;

/// The settings that can hold a secret, and what stands in their place.
const SECRET_SETTINGS: [(&[&str], &str); 5] = [
    (&["server", "token"], "\"***\""),
    (&["stream", "kafka", "sasl", "password"], "\"***\""),
    (&["stream", "kafka", "tls", "key_password"], "\"***\""),
    (&["clean", "spark", "token"], "\"***\""),
    (&["clean", "spark", "connect"], "\"sc://***\""),
];

/// A valid pipeline file with `***` for the secrets that it can hold, and without comments, for they may hold any. It says the same.
pub(super) fn without_secrets(text: &str, document: &DeTable<'_>) -> String {
    let mut outside = Outside::default();
    outside.visit(&mut Vec::new(), document);
    let Outside { secrets, mut opaque } = outside;
    opaque.sort_by_key(|span| span.start);
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for span in opaque {
        kept.push_str(&uncommented(&text[at..span.start]));
        let secret = secrets.iter().find(|(secret, _)| *secret == span);
        kept.push_str(secret.map_or(&text[span.clone()], |(_, instead)| instead));
        at = span.end;
    }
    kept + &uncommented(&text[at..])
}

/// Values and names of a document; a `#` outside of them begins a comment.
#[derive(Default)]
struct Outside {
    opaque: Vec<Span>,
    /// With what stands in their place.
    secrets: Vec<(Span, &'static str)>,
}

impl Outside {
    fn visit<'d>(&mut self, path: &mut Vec<&'d str>, table: &'d DeTable<'_>) {
        for (key, value) in table {
            path.push(key.get_ref());
            self.opaque.push(key.span());
            self.visit_value(path, value);
            path.pop();
        }
    }

    fn visit_value<'d>(&mut self, path: &mut Vec<&'d str>, value: &'d Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.visit(path, table),
            DeValue::Array(items) => items.iter().for_each(|item| self.visit_value(path, item)),
            DeValue::String(_) => {
                self.opaque.push(value.span());
                if let Some((_, instead)) = SECRET_SETTINGS.iter().find(|(secret, _)| *secret == path.as_slice()) {
                    self.secrets.push((value.span(), instead));
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }
}

/// Text between values, without its comments.
fn uncommented(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| match comment_start(line) {
        Some(hash) if line.ends_with('\n') => format!("{}\n", line[..hash].trim_end()),
        Some(hash) => line[..hash].to_owned(),
        None => line.to_owned(),
    });
    lines.collect()
}

/// Offset of the first `#` that is not part of a name in quotes: names of tables that are there again are not in the document twice.
fn comment_start(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in line.char_indices() {
        match quote {
            None if letter == '#' => return Some(at),
            None => quote = Some(letter).filter(|letter| "\"'".contains(*letter)),
            Some(open) if letter == open && !escaped => quote = None,
            Some(_) => {}
        }
        escaped = quote == Some('"') && letter == '\\' && !escaped;
    }
    None
}
