//! Rows as text: a table for people, CSV, and one JSON object a line.

use serde_json::Value;

/// Longest text of a cell in a table, characters.
const MAX_CELL: usize = 60;

/// A table with a head; numbers are set to the right.
pub(super) fn table(columns: &[String], rows: &[Vec<Value>]) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|value| cut(&plain(value))).collect()).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let longest = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
            longest.unwrap_or(0).max(name.chars().count())
        })
        .collect();
    let to_right: Vec<bool> = (0..columns.len())
        .map(|column| {
            let mut values = rows.iter().filter_map(|row| row.get(column)).filter(|value| !value.is_null()).peekable();
            values.peek().is_some() && values.all(is_numeric)
        })
        .collect();
    let mut text = line(columns, &widths, &to_right);
    text += &line(&widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>(), &widths, &to_right);
    for row in &cells {
        text += &line(row, &widths, &to_right);
    }
    text
}

/// One line of a table.
fn line(cells: &[String], widths: &[usize], to_right: &[bool]) -> String {
    let padded = cells.iter().zip(widths).zip(to_right).map(|((cell, &width), &to_right)| {
        if to_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    });
    let mut text = padded.collect::<Vec<_>>().join("  ");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// CSV (RFC 4180) with a head line; NULL is empty, an empty text is quoted.
pub(super) fn csv(columns: &[String], rows: &[Vec<Value>]) -> String {
    let mut text = columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",") + "\r\n";
    for row in rows {
        let cells = row.iter().map(|value| match value {
            Value::Null => String::new(),
            Value::String(text) => quoted(text),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => quoted(&value.to_string()),
        });
        text += &cells.collect::<Vec<_>>().join(",");
        text += "\r\n";
    }
    text
}

/// One JSON object a line, its keys in the order of the columns.
pub(super) fn json_lines(columns: &[String], rows: &[Vec<Value>]) -> String {
    let line = |row: &Vec<Value>| {
        let pairs = columns.iter().zip(row).map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
        format!("{{{}}}\n", pairs.collect::<Vec<_>>().join(","))
    };
    rows.iter().map(line).collect::<Vec<_>>().concat()
}

/// A value without quotes around a text.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Decimals come as text.
fn is_numeric(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => text.parse::<f64>().is_ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Keeps a cell on one line, and control characters away from the terminal.
fn cut(text: &str) -> String {
    let clean = |character: char| if character.is_control() { '·' } else { character };
    if text.chars().count() <= MAX_CELL {
        return text.chars().map(clean).collect();
    }
    text.chars().take(MAX_CELL - 1).map(clean).chain(std::iter::once('…')).collect()
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests;
