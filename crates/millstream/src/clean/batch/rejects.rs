//! Rejects: for the rows that broke something, what they broke, why, and their original values. Done row by row, for these
//! rows only.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_core::lists::{text_list_type, text_lists};
use millstream_core::original::row_json;
use millstream_core::plan::FilePlan;
use millstream_core::plan::reason::bad_value;

use super::{CleanError, Under};

/// Something broken, and the rows that broke it.
#[derive(Debug)]
pub(super) struct Breach {
    pub(super) what: Broken,
    pub(super) rows: BooleanBuffer,
}

/// What a row broke.
#[derive(Debug)]
pub(super) enum Broken {
    /// The type of a typed column.
    Column(usize),
    /// The type of a derived column, with the values that did not fit.
    Derived(usize, ArrayRef),
    /// A rule.
    Rule(usize),
}

impl Broken {
    fn rule(&self, plan: &FilePlan) -> String {
        match self {
            Self::Column(place) => plan.columns[*place].bad_rule(),
            Self::Derived(place, _) => format!("type:{}", plan.derived[*place].name),
            Self::Rule(place) => plan.rules[*place].name.clone(),
        }
    }

    fn reason(&self, plan: &FilePlan, raw: &RecordBatch, seen: Option<&RecordBatch>, row: usize) -> String {
        match self {
            Self::Column(place) => {
                let column = &plan.columns[*place];
                let wanted = column.value_type.to_string();
                match column.source {
                    Some(source) => bad_value(&column.name, &wanted, raw.column(source), row),
                    None => format!("{} does not fit {wanted}", column.name),
                }
            }
            Self::Derived(place, values) => {
                let column = &plan.derived[*place];
                bad_value(&column.name, &column.column_type.to_string(), values, row)
            }
            Self::Rule(place) => seen.map_or_else(String::new, |seen| plan.rules[*place].reason.text(seen, row)),
        }
    }
}

/// Columns of rejects.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("_row", DataType::Int64, false),
        Field::new("rules", text_list_type(), true),
        Field::new("reasons", text_list_type(), true),
        Field::new("original", DataType::Utf8, true),
    ]))
}

/// The rejected rows of a batch.
pub(super) fn batch(
    plan: &FilePlan,
    under: &Under<'_>,
    seen: &RecordBatch,
    rejected: &BooleanBuffer,
) -> Result<RecordBatch, CleanError> {
    let schema = schema();
    if rejected.count_set_bits() == 0 {
        return Ok(RecordBatch::new_empty(schema));
    }
    let (mut numbers, mut rules, mut reasons, mut originals) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in rejected.set_indices() {
        let broken = || under.breaches.iter().filter(|breach| breach.rows.value(row));
        numbers.push(i64::try_from(under.numbers.of(row)).unwrap_or(i64::MAX));
        rules.push(broken().map(|breach| breach.what.rule(plan)).collect());
        reasons.push(broken().map(|breach| breach.what.reason(plan, under.raw, Some(seen), row)).collect());
        originals.push(row_json(under.raw, row));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(numbers)),
        Arc::new(text_lists(&rules)),
        Arc::new(text_lists(&reasons)),
        Arc::new(StringArray::from(originals)),
    ];
    RecordBatch::try_new(schema, columns).map_err(CleanError::arrange("rejects"))
}

/// The error of the first row of a breach that stops the run.
pub(super) fn fail(plan: &FilePlan, under: &Under<'_>, seen: Option<&RecordBatch>, breach: &Breach) -> CleanError {
    let row = breach.rows.set_indices().next().unwrap_or_default();
    CleanError::Fail {
        rule: breach.what.rule(plan),
        row: under.numbers.of(row),
        reason: breach.what.reason(plan, under.raw, seen, row),
    }
}
