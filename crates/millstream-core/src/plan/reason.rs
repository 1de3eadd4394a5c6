//! What is told of a row that broke a rule: `fare_amount is -3.5, allowed 0 to 500`.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;

use crate::config::clean::CompareOp;
use crate::original::readable;

/// How the reason of a rule reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// `column is value, must`.
    Value {
        /// The column.
        column: String,
        /// What holds for values that pass.
        must: String,
    },
    /// `column is null`, maybe with the condition under which that is wrong.
    Missing {
        /// The column.
        column: String,
        /// Condition of `required_if`.
        when: Option<String>,
    },
    /// `column is value, must be > other, which is value`.
    Compare {
        /// The column.
        column: String,
        /// What must hold.
        op: CompareOp,
        /// The other column.
        with: String,
    },
    /// The SQL that does not hold.
    Sql {
        /// As written.
        sql: String,
    },
}

impl Reason {
    /// The text for a row; `values` are the columns that the rule saw.
    #[must_use]
    pub fn text(&self, values: &RecordBatch, row: usize) -> String {
        match self {
            Self::Value { column, must } => format!("{column} is {}, {must}", shown(values, column, row)),
            Self::Missing { column, when: None } => format!("{column} is null"),
            Self::Missing { column, when: Some(when) } => format!("{column} is null, required if {when}"),
            Self::Compare { column, op, with } => format!(
                "{column} is {}, must be {} {with}, which is {}",
                shown(values, column, row),
                op.symbol(),
                shown(values, with, row)
            ),
            Self::Sql { sql } => format!("does not hold: {sql}"),
        }
    }
}

/// The text for a value that does not fit its type; `values` is the column as the file has it.
#[must_use]
pub fn bad_value(column: &str, wanted: &str, values: &ArrayRef, row: usize) -> String {
    format!("{column} is {}, which does not fit {wanted}", readable(values, row))
}

/// The value of a column, or of field `b` of struct column `a` for `a.b`.
fn shown(values: &RecordBatch, name: &str, row: usize) -> String {
    if let Some(column) = values.column_by_name(name) {
        return readable(column, row);
    }
    let mut parts = name.split('.');
    let mut at = parts.next().and_then(|first| values.column_by_name(first));
    for part in parts {
        at = at
            .filter(|column| matches!(column.data_type(), DataType::Struct(_)) && column.is_valid(row))
            .and_then(|column| column.as_struct().column_by_name(part));
    }
    at.map_or_else(|| "null".to_owned(), |column| readable(column, row))
}
