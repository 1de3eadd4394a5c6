//! Errors of queries: whose fault they are, in words for whoever wrote the SQL, and where in it.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use serde::Serialize;

use super::QueryError;

/// A place in SQL; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Place {
    /// Line.
    pub(crate) line: u64,
    /// Column of the first character.
    pub(crate) column: u64,
    /// Line of the end; none when only the beginning is known.
    pub(crate) end_line: Option<u64>,
    /// Column of the end.
    pub(crate) end_column: Option<u64>,
}

/// The error as clients get it.
pub(super) fn explain(error: &DataFusionError) -> QueryError {
    let text = error.strip_backtrace();
    match error.find_root() {
        DataFusionError::SQL(error, _) => syntax(error),
        DataFusionError::Plan(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Diagnostic(..)
        | DataFusionError::Collection(_)
        | DataFusionError::ArrowError(..)
        | DataFusionError::Execution(_) => QueryError::Refused { text, place: place(error) },
        DataFusionError::ResourcesExhausted(_) => QueryError::TooLarge(text),
        _ => QueryError::Failed(text),
    }
}

/// What the parser says, without the names of its types.
fn syntax(error: &ParserError) -> QueryError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_owned(),
    };
    let (text, place) = match text.rsplit_once(" at Line: ") {
        Some((what, at)) => (what.to_owned(), parsed_place(at)),
        None => (text, None),
    };
    QueryError::Refused { text: format!("the SQL cannot be read: {text}"), place }
}

/// `3, Column: 14`
fn parsed_place(text: &str) -> Option<Place> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Place { line: line.parse().ok()?, column: column.parse().ok()?, end_line: None, end_column: None })
}

/// Where the planner saw the mistake, if it says so.
fn place(error: &DataFusionError) -> Option<Place> {
    let span = error.iter().find_map(|error| error.diagnostic()?.span)?;
    // Parts that were made without a place have zeros.
    (span.start.line > 0).then_some(Place {
        line: span.start.line,
        column: span.start.column,
        end_line: Some(span.end.line),
        end_column: Some(span.end.column),
    })
}
