//! Rows through plan and cleaner, as the pipeline sends them.

mod convert;
mod once;
mod rules;
mod sql;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use millstream_core::config::clean::{Check, Clean, Column, Derived, Literal, Rule};
use millstream_core::original::readable;
use millstream_core::plan::KnownSchema;

use super::*;

fn column(name: &str, of: &str) -> Column {
    Column {
        name: name.to_owned(),
        from: Vec::new(),
        column_type: of.parse().ok(),
        formats: Vec::new(),
        time_zone: None,
        on_bad: OnBad::Reject,
        null_tokens: Vec::new(),
        trim: false,
        case: None,
        fill: None,
    }
}

fn rule(name: &str, column: &str, check: Check, action: Action) -> Rule {
    let column = Some(column.to_owned()).filter(|column| !column.is_empty());
    Rule { name: name.to_owned(), column, check, action }
}

fn range(min: Option<i64>, max: Option<i64>) -> Check {
    Check::Range { min: min.map(Literal::Integer), max: max.map(Literal::Integer) }
}

fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn floats(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(arrow::array::Float64Array::from(values.to_vec()))
}

fn integers(values: &[Option<i32>]) -> ArrayRef {
    Arc::new(arrow::array::Int32Array::from(values.to_vec()))
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(arrow::array::StringArray::from(values.to_vec()))
}

fn cleaned(clean: &Clean, batch: &RecordBatch) -> Result<Cleaned, CleanError> {
    let plan = FilePlan::new(clean, None, &KnownSchema::default(), batch.schema_ref()).unwrap();
    let raw = batch.project(&plan.source_columns()).unwrap();
    BatchCleaner::new(Arc::new(plan)).unwrap().clean(100, &raw)
}

/// The values of a column of clean rows, as people read them.
fn shown(cleaned: &Cleaned, name: &str) -> Vec<String> {
    let column = cleaned.clean.column_by_name(name).unwrap();
    (0..column.len()).map(|row| readable(column, row).trim_matches('`').to_owned()).collect()
}

fn numbers(batch: &RecordBatch) -> Vec<i64> {
    batch.column_by_name("_row").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

/// The texts of a list column, joined; empty for NULL.
fn lists(batch: &RecordBatch, name: &str) -> Vec<String> {
    let lists = batch.column_by_name(name).unwrap().as_list::<i32>();
    let text = |items: Option<ArrayRef>| {
        let items = items.map(|items| items.as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>());
        items.unwrap_or_default().join("; ")
    };
    lists.iter().map(text).collect()
}
