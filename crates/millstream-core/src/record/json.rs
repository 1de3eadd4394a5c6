//! Rows as JSON for topics that other programs read or write: one object a row, and back without loss.
//!
//! | type | in JSON |
//! |---|---|
//! | int8 to int64 | a number with all its digits |
//! | float32, float64 | the shortest number that reads back as the same float; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | decimal | a text with all digits of its scale, `"12.50"`: most readers of JSON make floats of numbers, and round |
//! | boolean, string | `true` or `false`, a text |
//! | binary | base64 (RFC 4648, section 4, with padding) |
//! | date | `"2019-01-31"` |
//! | timestamp | RFC 3339 in UTC, `"2019-01-01T00:00:00Z"`, with six digits of a fraction if it is not zero |
//! | list, struct | an array, an object |
//! | map | an array of `{"key":…,"value":…}`, for its keys need be neither texts nor distinct |
//! | NULL | `null` |
//!
//! Years outside of 0 to 9999 have a sign (`+10000-01-01`), as in ISO 8601. Of a NaN only that it is one is kept.
//!
//! What other programs write is taken where it has one meaning: decimals also as numbers (from the digits, never through
//! a float) and with an exponent, times with a distance from UTC and with up to nine digits of a fraction (those beyond
//! microseconds are cut off, as everywhere), maps with text keys also as objects, base64 without padding, keys in any
//! order, missing keys as NULL. Refused are integers with a point or an exponent, decimals with digits beyond their
//! scale, times without a zone, texts for integers and floats, numbers for texts, and a column that is twice in an object.

mod object;
mod read;
mod scalar;
#[cfg(test)]
mod tests;
pub(super) mod write;

use std::collections::BTreeSet;

use arrow::array::RecordBatchOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;

use self::object::Unknown;
use self::read::Columns;
use self::write::{Key, Object};
use super::RecordError;

/// A row as a Kafka record has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonRow {
    /// Text of the key columns; none if all of them are NULL or there are none.
    pub key: Option<Vec<u8>>,
    /// The JSON object.
    pub value: Vec<u8>,
}

/// Values that were read.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The rows, in the order of their values.
    pub batch: RecordBatch,
    /// For each row of `batch` the index of its value.
    pub rows: Vec<usize>,
    /// Index of each value that is no row, and why, in words for a person; ascending.
    pub bad: Vec<(usize, String)>,
    /// Keys that no column has, dotted where they are nested; what they hold was ignored. At most 100 of them, each cut
    /// at 80 characters.
    pub unknown: BTreeSet<String>,
}

/// Writes each row as a JSON object with its columns in order, and the text of its `key` columns.
///
/// The key is the value's text as in the table above, without the quotes; of several columns the text of a JSON array.
///
/// # Errors
/// When a column has a type that tables do not have (a dictionary of texts is taken), or `key` names a column that is
/// not there.
pub fn encode_rows(batch: &RecordBatch, key: &[String]) -> Result<Vec<JsonRow>, RecordError> {
    let object = Object::of_batch(batch)?;
    let key = Key::new(batch, key)?;
    let mut buffer = Vec::new();
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        buffer.clear();
        let key = key.write(row, &mut buffer).then(|| buffer.as_slice().to_vec());
        buffer.clear();
        object.write(row, &mut buffer);
        rows.push(JsonRow { key, value: buffer.as_slice().to_vec() });
    }
    Ok(rows)
}

/// Reads each value as a row of `schema`, which is that of the encoded batch with plain texts for dictionaries.
///
/// A value that is no row costs only itself: it is told in [`Decoded::bad`]. However deep a value is nested, it is read
/// only as deep as `schema` is.
///
/// # Errors
/// When `schema` has a type that tables do not have, or the values have 2 GiB or more in all.
pub fn decode_rows(values: &[&[u8]], schema: &SchemaRef) -> Result<Decoded, RecordError> {
    // Offsets of texts and lists are 32 bits wide, and no value becomes larger by reading it.
    let bytes = values.iter().map(|value| value.len()).sum::<usize>();
    if i32::try_from(bytes).is_err() {
        return Err(RecordError::TooLarge { bytes });
    }
    let mut columns = Columns::new(schema.fields())?;
    let mut unknown = Unknown::default();
    let (mut rows, mut bad) = (Vec::with_capacity(values.len()), Vec::new());
    for (index, value) in values.iter().enumerate() {
        match columns.push_row(value, &mut unknown) {
            Ok(()) => rows.push(index),
            Err(reason) => bad.push((index, reason)),
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = columns
        .finish()
        .and_then(|arrays| RecordBatch::try_new_with_options(schema.clone(), arrays, &options))
        .map_err(RecordError::Assemble)?;
    Ok(Decoded { batch, rows, bad, unknown: unknown.names })
}
