//! What is wrong with a pipeline file: every mistake with its place, and how it is printed.
//!
//! Never holds or prints a secret: text from the file is masked before it gets here.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A range of bytes in the pipeline file.
pub(super) type Span = Range<usize>;

/// All that is wrong with a pipeline file, in the order of the file. `Display` prints each with its source line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The pipeline file, as it was named.
    pub file: PathBuf,
    /// At least one.
    pub errors: Vec<ConfigError>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path of the key, such as `clean.rules.fare.action`; empty for a mistake in the TOML itself.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// The known key that is nearest to an unknown one.
    pub did_you_mean: Option<String>,
    /// What is allowed.
    pub allowed: Option<String>,
    /// The source line with a caret below, secrets masked; empty for something that is missing from the whole file.
    excerpt: String,
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{}:{error}", self.file.display())?;
        }
        Ok(())
    }
}

/// Everything but the name of the file: `12:9: clean.rules.fare.action: unknown action …`, then the source line.
impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(formatter, "{}: ", self.key)?;
        }
        formatter.write_str(&self.problem)?;
        if let Some(key) = &self.did_you_mean {
            write!(formatter, "; did you mean `{key}`?")?;
        }
        if let Some(allowed) = &self.allowed {
            let separator = if self.did_you_mean.is_some() { "" } else { ";" };
            write!(formatter, "{separator} allowed: {allowed}")?;
        }
        if self.excerpt.is_empty() { Ok(()) } else { write!(formatter, "\n{}", self.excerpt) }
    }
}

/// A mistake before its place is known as line and column.
#[derive(Debug)]
pub(super) struct Mistake {
    /// Where; none for what is missing from the whole file.
    pub(super) span: Option<Span>,
    /// Path of the key.
    pub(super) key: String,
    /// What is wrong.
    pub(super) problem: String,
    /// Nearest known key.
    pub(super) did_you_mean: Option<String>,
    /// What is allowed.
    pub(super) allowed: Option<String>,
}

impl Mistake {
    /// A mistake that has no place of its own.
    pub(super) fn of_whole_file(problem: &str) -> Self {
        Self { span: None, key: String::new(), problem: problem.to_owned(), did_you_mean: None, allowed: None }
    }
}

/// Places mistakes in the text, in its order. Spans of `hidden` are printed as `***`.
pub(super) fn locate(file: &Path, text: &str, mut mistakes: Vec<Mistake>, hidden: &[Span]) -> ConfigErrors {
    mistakes.sort_by_key(|mistake| mistake.span.as_ref().map_or(0, |span| span.start));
    let hidden = merged(hidden);
    let errors = mistakes.into_iter().map(|mistake| place(text, mistake, &hidden)).collect();
    ConfigErrors { file: file.to_owned(), errors }
}

/// The same spans without overlaps or touching ends.
fn merged(spans: &[Span]) -> Vec<Span> {
    let mut spans = spans.to_vec();
    spans.sort_by_key(|span| span.start);
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            Some(_) | None => merged.push(span),
        }
    }
    merged
}

fn place(text: &str, mistake: Mistake, hidden: &[Span]) -> ConfigError {
    let (line, column, excerpt) = match mistake.span {
        None => (1, 1, String::new()),
        Some(span) => {
            let start = floor(text, span.start);
            let line = Line::around(text, start);
            (line.number, text[line.start..start].chars().count() + 1, line.excerpt(&(start..span.end), hidden))
        }
    };
    ConfigError {
        line,
        column,
        key: mistake.key,
        problem: mistake.problem,
        did_you_mean: mistake.did_you_mean,
        allowed: mistake.allowed,
        excerpt,
    }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

struct Line<'t> {
    number: usize,
    start: usize,
    text: &'t str,
}

impl<'t> Line<'t> {
    fn around(text: &'t str, at: usize) -> Self {
        let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
        let number = text[..start].matches('\n').count() + 1;
        Self { number, start, text: text[start..end].trim_end_matches('\r') }
    }

    /// The line and a caret under `span`; what is hidden shows as `***`, control characters as spaces.
    fn excerpt(&self, span: &Span, hidden: &[Span]) -> String {
        let mut shown = String::new();
        let mut width = 0;
        let mut caret: Option<Span> = None;
        for (offset, letter) in self.text.char_indices() {
            let at = self.start + offset;
            let secret = hidden.iter().find(|secret| secret.contains(&at));
            let begin = if let Some(secret) = secret {
                if at == secret.start.max(self.start) {
                    shown.push_str("***");
                    width += 3;
                }
                width.max(3) - 3
            } else {
                shown.push(if letter.is_control() { ' ' } else { letter });
                width += 1;
                width - 1
            };
            if span.contains(&at) {
                caret = Some(caret.map_or(begin, |caret| caret.start)..width);
            }
        }
        let caret = caret.unwrap_or(width..width + 1);
        let number = self.number.to_string();
        let margin = " ".repeat(number.len());
        let below = format!("{}{}", " ".repeat(caret.start), "^".repeat(caret.len().max(1)));
        format!("{margin} |\n{number} | {}\n{margin} | {below}\n", shown.trim_end())
    }
}
