//! Columns that grow by one JSON value at a time. A row that fails half-way is taken back by cutting every column to the
//! rows before it.

mod values;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBufferBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;

use self::values::Values;
use super::super::RecordError;
use super::object::{Entries, Path, Step, Token, Unknown, items};
use crate::original::shortened;
use crate::types::source_type;

/// The columns of rows, or of a struct.
pub(super) struct Columns {
    list: Vec<Column>,
    /// By name.
    places: HashMap<String, usize>,
    rows: usize,
}

struct Column {
    field: FieldRef,
    valid: BooleanBufferBuilder,
    values: Values,
}

impl Columns {
    pub(super) fn new(fields: &Fields) -> Result<Self, RecordError> {
        Self::within("", fields)
    }

    fn within(parent: &str, fields: &Fields) -> Result<Self, RecordError> {
        let list = fields.iter().map(|field| Column::new(parent, field)).collect::<Result<_, _>>()?;
        let places = fields.iter().enumerate().map(|(place, field)| (field.name().clone(), place)).collect();
        Ok(Self { list, places, rows: 0 })
    }

    /// Adds the row of a value, or nothing.
    ///
    /// # Errors
    /// Tells a person why it is no row.
    pub(super) fn push_row(&mut self, value: &[u8], unknown: &mut Unknown) -> Result<(), String> {
        let rows = self.rows;
        let pushed = row_entries(value).and_then(|entries| self.push(&entries, None, unknown));
        if pushed.is_err() {
            self.truncate(rows);
        }
        pushed
    }

    pub(super) fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.list.into_iter().map(Column::finish).collect()
    }

    fn push(&mut self, entries: &Entries<'_>, parent: Option<&Path<'_>>, unknown: &mut Unknown) -> Result<(), String> {
        for (index, (key, raw)) in entries.0.iter().enumerate() {
            // Most writers keep the order of the columns.
            let in_order = self.list.get(index).is_some_and(|column| column.field.name() == key);
            let place = if in_order { Some(index) } else { self.places.get(key.as_ref()).copied() };
            let Some(column) = place.and_then(|place| self.list.get_mut(place)) else {
                unknown.add(parent, key);
                continue;
            };
            let path = Path { parent, step: Step::Name(key) };
            if column.len() > self.rows {
                return Err(format!("column `{path}` is there twice"));
            }
            column.push(raw, &path, unknown)?;
        }
        for column in self.list.iter_mut().filter(|column| column.len() == self.rows) {
            if !column.field.is_nullable() {
                let path = Path { parent, step: Step::Name(column.field.name()) };
                return Err(format!("column `{path}` is missing"));
            }
            column.push_null();
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds the entries of a map that is written as an object with its keys for keys.
    fn push_pairs(&mut self, entries: &Entries<'_>, path: &Path<'_>, unknown: &mut Unknown) -> Result<(), String> {
        let [keys, values] = self.list.as_mut_slice() else {
            return Err(format!("column `{path}` has no keys and values"));
        };
        let mut seen = HashSet::new();
        for (key, raw) in &entries.0 {
            let path = Path { parent: Some(path), step: Step::Name(key) };
            if !seen.insert(key) {
                return Err(format!("column `{path}` is there twice"));
            }
            keys.push_text(key, &path)?;
            values.push(raw, &path, unknown)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn push_null(&mut self) {
        self.list.iter_mut().for_each(Column::push_null);
        self.rows += 1;
    }

    fn truncate(&mut self, rows: usize) {
        self.list.iter_mut().for_each(|column| column.truncate(rows));
        self.rows = rows;
    }
}

/// The entries of a whole value.
fn row_entries(value: &[u8]) -> Result<Entries<'_>, String> {
    let text = std::str::from_utf8(value).map_err(|error| format!("the value is not UTF-8: {error}"))?;
    match text.trim_ascii_start().chars().next() {
        Some('{') => serde_json::from_str(text).map_err(|error| format!("the value is not JSON: {error}")),
        Some(_) => Err(format!("the value is not a JSON object: `{}`", shortened(text))),
        None => Err("the value is empty".to_owned()),
    }
}

impl Column {
    fn new(parent: &str, field: &FieldRef) -> Result<Self, RecordError> {
        let path = if parent.is_empty() { field.name().clone() } else { format!("{parent}.{}", field.name()) };
        let values = Values::new(&path, field.data_type())?;
        Ok(Self { field: Arc::clone(field), valid: BooleanBufferBuilder::new(0), values })
    }

    fn len(&self) -> usize {
        self.valid.len()
    }

    /// Adds a JSON value; of one that fails a part may stay.
    fn push(&mut self, raw: &str, path: &Path<'_>, unknown: &mut Unknown) -> Result<(), String> {
        let field = Arc::clone(&self.field);
        let unfit = |why: &str| {
            let wanted = source_type(field.data_type())
                .map_or_else(|_| field.data_type().to_string(), |source| source.becomes.to_string());
            format!("column `{path}`: `{}` is not a value of type {wanted}: {why}", shortened(raw))
        };
        let token = Token::new(raw).map_err(unfit)?;
        if matches!(token, Token::Null) {
            if !field.is_nullable() {
                return Err(format!("column `{path}` is null, which it must not be"));
            }
            self.push_null();
            return Ok(());
        }
        match (&mut self.values, token) {
            (Values::Struct(columns), Token::Object(raw)) => {
                columns.push(&entries(raw).map_err(|why| unfit(&why))?, Some(path), unknown)?;
            }
            (Values::List(ends, item), Token::List(raw)) => {
                for (index, raw) in items(raw).map_err(|error| unfit(&error.to_string()))?.into_iter().enumerate() {
                    item.push(raw, &Path { parent: Some(path), step: Step::Index(index) }, unknown)?;
                }
                ends.push(item.len()).map_err(unfit)?;
            }
            (Values::Map(ends, pairs), Token::List(raw)) => {
                for (index, raw) in items(raw).map_err(|error| unfit(&error.to_string()))?.into_iter().enumerate() {
                    let path = Path { parent: Some(path), step: Step::Index(index) };
                    let entries = entries(raw).map_err(|why| format!("column `{path}`: {why}"))?;
                    pairs.push(&entries, Some(&path), unknown)?;
                }
                ends.push(pairs.rows).map_err(unfit)?;
            }
            (Values::Map(ends, pairs), Token::Object(raw)) => {
                let entries = entries(raw).map_err(|why| unfit(&why))?;
                pairs.push_pairs(&entries, path, unknown)?;
                ends.push(pairs.rows).map_err(unfit)?;
            }
            (values, token) => values.push(&token).map_err(unfit)?,
        }
        self.valid.append(true);
        Ok(())
    }

    fn push_text(&mut self, text: &str, path: &Path<'_>) -> Result<(), String> {
        if *self.field.data_type() != DataType::Utf8 {
            return Err(format!(
                "column `{path}`: a map with keys that are no texts must be a list of keys and values"
            ));
        }
        self.values.push(&Token::Text(text.into())).map_err(|why| format!("column `{path}`: {why}"))?;
        self.valid.append(true);
        Ok(())
    }

    /// Adds NULL, also where it is not allowed: below a NULL it does not show.
    fn push_null(&mut self) {
        self.valid.append(false);
        self.values.push_any();
    }

    fn truncate(&mut self, rows: usize) {
        self.valid.truncate(rows);
        self.values.truncate(rows);
    }

    fn finish(mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = Some(NullBuffer::new(self.valid.finish())).filter(|nulls| nulls.null_count() > 0);
        self.values.finish(self.field.data_type(), nulls)
    }
}

fn entries(raw: &str) -> Result<Entries<'_>, String> {
    if !raw.starts_with('{') {
        return Err("an object is expected".to_owned());
    }
    serde_json::from_str(raw).map_err(|error| error.to_string())
}
