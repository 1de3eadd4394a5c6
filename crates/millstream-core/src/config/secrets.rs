//! Which parts of a pipeline file are never printed.
//!
//! Errs on the side of hiding: also a misspelt or misplaced token, a key or a login where only its file or a host belongs, and in
//! a file that is not valid TOML everything behind a name that sounds like a secret.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Span;
use super::kafka::PEM;
use super::nearest::distance;

/// Names of secrets; a name that holds one of them, or is one but for a letter, sounds like a secret too.
const SECRET_NAMES: [&str; 3] = ["token", "password", "secret"];
/// What else a name holds that sounds like a secret, such as settings of other Kafka clients.
const SECRET_PARTS: [&str; 4] = ["passphrase", "passwd", "credential", "jaas"];
/// Tables that hold addresses with credentials in them.
const SECRET_TABLES: [&str; 1] = ["spark"];
/// In names of settings with addresses, which have no credentials in them unless by mistake.
const ADDRESSES: [&str; 3] = ["broker", "servers", "kafka"];
/// The table of a login, whose fields have names of their own; anything else in its place may be the login itself.
const LOGIN: &str = "sasl";

/// Spans of all values that are or may be secret.
pub(super) fn find_in_document(table: &DeTable<'_>) -> Vec<Span> {
    let mut spans = Vec::new();
    for (key, value) in table {
        collect(key.get_ref(), value, false, &mut spans);
    }
    spans
}

/// `key` is the name that `value` or the list around it has; `secret` that of a table around it.
fn collect(key: &str, value: &Spanned<DeValue<'_>>, secret: bool, spans: &mut Vec<Span>) {
    let secret = secret || is_secret(key);
    match value.get_ref() {
        DeValue::Table(table) => table.iter().for_each(|(key, value)| collect(key.get_ref(), value, secret, spans)),
        DeValue::Array(items) => items.iter().for_each(|item| collect(key, item, secret, spans)),
        DeValue::String(text) => {
            if secret || holds_secret(key, text) {
                spans.push(value.span());
            }
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            if secret {
                spans.push(value.span());
            }
        }
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let near = |name: &&str| distance(&key, name) <= 1 || key.replace("null_token", "").contains(*name);
    SECRET_TABLES.contains(&key.as_str())
        || SECRET_NAMES.iter().any(near)
        || SECRET_PARTS.iter().any(|part| key.contains(part))
}

/// Whether a text has a secret in it that its name does not tell of: a key in place of its file, a login before a host.
fn holds_secret(key: &str, text: &str) -> bool {
    let key = key.to_lowercase();
    let login = text.contains('@') && (text.contains("://") || ADDRESSES.iter().any(|part| key.contains(part)));
    login || key == LOGIN || text.contains(PEM)
}

/// Spans that may be secret in text that is not valid TOML: from the `=` behind such a name to the end of the line, of
/// the text that begins there and spans lines, or of the file if a list, table or key (PEM) begins there.
pub(super) fn find_in_text(text: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = text.find(PEM).map(|start| start..text.len()).into_iter().collect();
    let mut at = 0;
    while at < text.len() {
        let line_end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
        let mut end = line_end;
        if let Some(offset) = secret_start(&text[at..line_end]) {
            let start = at + offset;
            let opens = text[start..line_end].trim_start().starts_with(['[', '{']);
            end = if opens { text.len() } else { multiline_end(text, start).unwrap_or(line_end) };
            spans.push(start..end);
        }
        at = end + 1;
    }
    spans
}

/// Spans that may be secret in comments: a token that was taken out of use by a `#`.
pub(super) fn find_in_comments(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let found = line.find('#').and_then(|hash| secret_start(&line[hash..]).map(|offset| hash + offset));
        if let Some(offset) = found {
            spans.push(at + offset..at + line.trim_end().len().max(offset));
        }
        at += line.len();
    }
    spans
}

/// Offset behind the first `=` that follows a name that sounds like a secret.
fn secret_start(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase().replace("null_token", "null_-----");
    let addresses = ADDRESSES.iter().filter(|_| lower.contains('@'));
    let names = SECRET_NAMES.iter().chain(&SECRET_PARTS).chain(&SECRET_TABLES).chain([&LOGIN]).chain(addresses);
    let name = names.filter_map(|name| lower.find(name)).min()?;
    lower[name..].find('=').map(|equals| name + equals + 1)
}

/// End of the multi-line text that opens behind `start` on the same line.
fn multiline_end(text: &str, start: usize) -> Option<usize> {
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    ["\"\"\"", "'''"].iter().find_map(|quote| {
        let open = start + text[start..line_end].find(quote)? + quote.len();
        let close = text[open..].find(quote).map_or(text.len(), |close| open + close + quote.len());
        let rest_of_line = text[close..].find('\n').map_or(text.len(), |newline| close + newline);
        Some(rest_of_line)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(text: &str) -> String {
        let mut text = text.to_owned();
        for span in find_in_text(&text).into_iter().rev() {
            text.replace_range(span, "***");
        }
        text
    }

    #[test]
    fn what_follows_a_secret_name_is_hidden_in_broken_text() {
        assert_eq!(masked("a = 1\ntoken = \"abc\nb = 2"), "a = 1\ntoken =***\nb = 2");
        assert_eq!(masked("token = \"\"\"a\nb\nc\"\"\" x\nd = 1"), "token =***\nd = 1");
        assert_eq!(masked("token = [\n\"x\"\n]\nb = 2"), "token =***");
        assert_eq!(masked("null_tokens = [1"), "null_tokens = [1");
        assert_eq!(masked("server = { http = 1, TOKEN = 'x' "), "server = { http = 1, TOKEN =***");
        assert_eq!(masked("brokers = \"a:9092\nkey_password = \"x"), "brokers = \"a:9092\nkey_password =***");
        assert_eq!(masked("brokers = \"ada:x@a:9092"), "brokers =***");
        assert_eq!(masked("sasl = \"ada:x\n[stream.kafka.sasl]\nx = 1"), "sasl =***\n[stream.kafka.sasl]\nx = 1");
        assert_eq!(masked("jaas_config = 'x\nkafka = [1"), "jaas_config =***\nkafka = [1");
        assert_eq!(masked("a = 1\nkey = \"\"\"-----BEGIN KEY\nx\ny"), "a = 1\nkey = \"\"\"***");
    }

    proptest! {
        #[test]
        fn any_text_is_scanned_to_its_end(text in "(token|=|\"\"\"|'''|\n|é|x| ){0,20}") {
            for span in find_in_text(&text) {
                prop_assert!(text.get(span).is_some());
            }
        }
    }
}
