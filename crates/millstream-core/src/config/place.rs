//! Where in the pipeline file a mistake is that was found after it was read: by the path of its key, and for SQL within the SQL.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigErrors, Mistake, Span, locate};
use super::secrets;
use crate::plan::check::Problem;

/// The problems with their places in `text`, in its order.
#[must_use]
pub fn place(text: &str, file: &Path, problems: &[Problem]) -> ConfigErrors {
    let (document, _) = DeTable::parse_recoverable(text);
    let mut hidden = secrets::find_in_document(document.get_ref());
    hidden.extend(secrets::find_in_comments(text));
    let mistakes = problems.iter().map(|problem| mistake(text, document.get_ref(), problem)).collect();
    locate(file, text, mistakes, &hidden)
}

/// A problem as a mistake of this document.
pub(super) fn mistake(text: &str, document: &DeTable<'_>, problem: &Problem) -> Mistake {
    let found = find(document, &problem.key);
    let (said, in_sql) = position(&problem.text);
    let span = found.map(|value| {
        let value = sql_of(value);
        let inside = in_value(text, value, |sql| in_sql.clone().or_else(|| named(sql, &said)).map(|at| at.range(sql)));
        inside.unwrap_or_else(|| value.span())
    });
    Mistake { span, key: problem.key.clone(), ..Mistake::of_whole_file(&said) }
}

/// The value at a path such as `clean.rules.fare.check` or `view[1].sql`, or the nearest around it.
fn find<'d>(table: &'d DeTable<'d>, path: &str) -> Option<&'d Spanned<DeValue<'d>>> {
    // Names may hold dots: the longest that fits is meant.
    let fits = |key: &str| {
        let rest = path.strip_prefix(key)?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
    };
    let fitting = table.iter().filter_map(|(key, value)| Some((fits(key.get_ref())?, value)));
    let (rest, value) = fitting.min_by_key(|(rest, _)| rest.len())?;
    if let Some((number, rest)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let item = value.get_ref().as_array().and_then(|items| items.get(number.parse::<usize>().ok()?));
        return Some(item.map_or(value, |item| inner(item, rest)));
    }
    Some(inner(value, rest))
}

fn inner<'d>(value: &'d Spanned<DeValue<'d>>, rest: &str) -> &'d Spanned<DeValue<'d>> {
    let below = value.get_ref().as_table().filter(|_| !rest.is_empty());
    below.and_then(|table| find(table, rest.strip_prefix('.')?)).unwrap_or(value)
}

/// Of a check, its SQL.
fn sql_of<'d>(value: &'d Spanned<DeValue<'d>>) -> &'d Spanned<DeValue<'d>> {
    let sql = value.get_ref().as_table().and_then(|table| table.get("sql").or_else(|| table.get("required_if")));
    sql.unwrap_or(value)
}

/// A place in SQL.
#[derive(Clone)]
enum At {
    /// Line and column, from 1.
    Line(usize, usize),
    /// Bytes.
    Bytes(Range<usize>),
    /// Behind its last word.
    End,
}

impl At {
    /// The word there, as bytes.
    fn range(self, sql: &str) -> Range<usize> {
        let (line, column) = match self {
            Self::Bytes(range) => return range,
            Self::End => return sql.trim_end().len()..sql.trim_end().len() + 1,
            Self::Line(line, column) => (line, column),
        };
        let start: usize = sql.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = sql.get(start..).unwrap_or_default();
        let start = start + rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>();
        let word = sql.get(start..).unwrap_or_default();
        let length: usize = word.chars().take_while(|letter| is_word(*letter)).map(char::len_utf8).sum();
        start..start + length.max(1)
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// What a parser says, without and with the place that it names at the end.
fn position(said: &str) -> (String, Option<At>) {
    let clean = said.replace("sql parser error: ", "");
    if clean.ends_with("found: EOF") {
        return (clean, Some(At::End));
    }
    let Some((before, place)) = clean.rsplit_once(" at Line: ") else { return (clean, None) };
    let Some((line, rest)) = place.split_once(", Column: ") else { return (clean, None) };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    match (line.parse(), digits.parse()) {
        (Ok(line), Ok(column)) => (format!("{before}{}", &rest[digits.len()..]), Some(At::Line(line, column))),
        _ => (clean, None),
    }
}

/// Where the SQL has the name that a message speaks of first.
fn named(sql: &str, said: &str) -> Option<At> {
    let name = said.split('`').nth(1).filter(|name| !name.is_empty() && *name != sql)?;
    let is_alone = |at: usize| {
        let before = sql[..at].chars().next_back();
        let behind = sql[at + name.len()..].chars().next();
        !before.is_some_and(is_word) && !behind.is_some_and(is_word)
    };
    let lower = sql.to_ascii_lowercase();
    let found = lower.match_indices(&name.to_ascii_lowercase()).map(|(at, _)| at).find(|&at| is_alone(at))?;
    Some(At::Bytes(found..found + name.len()))
}

/// The span of a part of a text value, if the file holds it letter by letter.
fn in_value(text: &str, value: &Spanned<DeValue<'_>>, part: impl FnOnce(&str) -> Option<Range<usize>>) -> Option<Span> {
    let content = value.get_ref().as_str()?;
    let span = value.span();
    let written = text.get(span.clone())?;
    let offset = written.find(content).filter(|offset| *offset <= 5)?;
    let part = part(content)?;
    let start = span.start + offset;
    let inside = |at: usize| start + at.min(content.len());
    // Behind the last letter there is the quote.
    Some(inside(part.start)..inside(part.end).max(inside(part.start) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(text: &str, key: &str, problem: &str) -> String {
        let problem = Problem { key: key.to_owned(), text: problem.to_owned() };
        place(text, Path::new("p.toml"), &[problem]).to_string()
    }

    #[test]
    fn sql_is_pointed_at_where_it_is_wrong() {
        let text = "[clean.rules]\n\"a.b\" = { check = { sql = \"fare > \" }, action = \"warn\" }\n";
        let said = "`fare > ` is no SQL: sql parser error: Expected: an expression, found: EOF at Line: 1, Column: 8";
        insta::assert_snapshot!(placed(text, "clean.rules.a.b.check", said), @r#"
        p.toml:2:35: clean.rules.a.b.check: `fare > ` is no SQL: Expected: an expression, found: EOF
          |
        2 | "a.b" = { check = { sql = "fare > " }, action = "warn" }
          |                                   ^
        "#);
        insta::assert_snapshot!(placed(text, "clean.rules.a.b.check", "column `fare` is not there"), @r#"
        p.toml:2:28: clean.rules.a.b.check: column `fare` is not there
          |
        2 | "a.b" = { check = { sql = "fare > " }, action = "warn" }
          |                            ^^^^
        "#);
    }

    #[test]
    fn a_text_of_several_lines_is_pointed_at_in_its_line() {
        let text = "[[view]]\nname = \"v\"\nsql = \"\"\"\nSELECT 1\nFROM nowhere\n\"\"\"\n";
        insta::assert_snapshot!(placed(text, "view[0].sql", "table `nowhere` is not there"), @r#"
        p.toml:5:6: view[0].sql: table `nowhere` is not there
          |
        5 | FROM nowhere
          |      ^^^^^^^
        "#);
        insta::assert_snapshot!(placed(text, "view[0].sql", "Expected: x, found: FROM at Line: 2, Column: 1"), @r#"
        p.toml:5:1: view[0].sql: Expected: x, found: FROM
          |
        5 | FROM nowhere
          | ^^^^
        "#);
    }

    #[test]
    fn what_is_not_found_is_told_of_the_whole_file() {
        insta::assert_snapshot!(placed("a = 1\n", "clean.rules.x", "wrong"), @r#"
        p.toml:1:1: clean.rules.x: wrong
        "#);
    }
}
