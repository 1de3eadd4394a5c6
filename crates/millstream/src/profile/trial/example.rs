//! Rows of a trial as they are and as they would be.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use millstream_core::config::clean::Action;
use millstream_core::original::readable;
use millstream_core::plan::{FilePlan, OutputFrom};
use serde::Serialize;

/// Rows of each kind that are shown.
const OF_EACH: usize = 1;

/// A row before and after.
#[derive(Debug, Serialize)]
pub(crate) struct BeforeAfter {
    /// Its file.
    pub(crate) file: String,
    /// Its number there.
    pub(crate) row: i64,
    /// `delivered`, `marked` or `rejected`.
    pub(crate) fate: &'static str,
    /// Marks, or rules that it broke.
    pub(crate) rules: Vec<String>,
    /// Its values, column by column.
    pub(crate) values: Vec<Value>,
}

/// A value before and after.
#[derive(Debug, Serialize)]
pub(crate) struct Value {
    /// The column's name in the file, if it has it.
    pub(crate) from: Option<String>,
    /// The column's name afterwards.
    pub(crate) column: String,
    /// The value in the file.
    pub(crate) before: Option<String>,
    /// The value that is delivered, if it is.
    pub(crate) after: Option<String>,
}

/// As the pipeline file writes it.
pub(super) fn action_word(action: Action) -> &'static str {
    match action {
        Action::Reject => "reject",
        Action::Nullify => "nullify",
        Action::Clamp => "clamp",
        Action::Warn => "warn",
        Action::Fail => "fail",
    }
}

/// What a mark tells of a row: what was wrong with a value, or what became of it.
pub(super) fn mark_text(
    plan: &FilePlan,
    mark: &str,
    raw: (&RecordBatch, usize),
    clean: (&RecordBatch, usize),
) -> String {
    let rule = plan.rules.iter().find(|rule| rule.name == mark);
    if let Some(rule) = rule.filter(|rule| rule.action == Action::Warn) {
        let told = rule.reason.text(clean.0, clean.1);
        if !told.starts_with("does not hold") {
            return told;
        }
        let mut columns = rule.passes.columns();
        columns.dedup();
        let values = columns
            .iter()
            .filter_map(|name| Some(format!("{name} is {}", readable(clean.0.column_by_name(name)?, clean.1))));
        return values.collect::<Vec<_>>().join(", ");
    }
    let by_name = |name: &str| plan.columns.iter().position(|column| column.name == name);
    let place = match rule {
        Some(rule) => rule.column,
        None => mark.split_once(':').and_then(|(_, name)| by_name(name)),
    };
    let Some(place) = place else { return String::new() };
    let name = match place.checked_sub(plan.columns.len()) {
        None => plan.columns[place].name.as_str(),
        Some(derived) => plan.derived[derived].name.as_str(),
    };
    let before =
        plan.columns.get(place).and_then(|column| column.source).map(|source| readable(raw.0.column(source), raw.1));
    let after = clean.0.column_by_name(name).map_or_else(String::new, |values| readable(values, clean.1));
    match before {
        Some(before) => format!("{name} is {before}, becomes {after}"),
        None => format!("{name} becomes {after}"),
    }
}

/// Keeps the first delivered, marked and rejected row.
pub(super) fn collect(
    kept: &mut Vec<BeforeAfter>,
    file: &str,
    plan: &FilePlan,
    first_row: u64,
    raw: &RecordBatch,
    clean: &RecordBatch,
    rejects: &RecordBatch,
) {
    let has = |kept: &[BeforeAfter], fate| kept.iter().filter(|example| example.fate == fate).count() >= OF_EACH;
    let marks = clean.column_by_name("_marks").map(AsArray::as_list::<i32>);
    let numbers = clean.column_by_name("_row").map(AsArray::as_primitive::<Int64Type>);
    if let (Some(marks), Some(numbers)) = (marks, numbers) {
        for (fate, is_marked) in [("delivered", false), ("marked", true)] {
            if has(kept, fate) {
                continue;
            }
            let Some(row) = (0..clean.num_rows()).find(|&row| marks.is_valid(row) == is_marked) else { continue };
            let rules = if is_marked { texts(&marks.value(row)) } else { Vec::new() };
            let number = numbers.value(row);
            let values = values(plan, (raw, place(number, first_row)), Some((clean, row)));
            kept.push(BeforeAfter { file: file.to_owned(), row: number, fate, rules, values });
        }
    }
    if !has(kept, "rejected") && rejects.num_rows() > 0 {
        let number = rejects.column(0).as_primitive::<Int64Type>().value(0);
        let rules = texts(&rejects.column(1).as_list::<i32>().value(0));
        let values = values(plan, (raw, place(number, first_row)), None);
        kept.push(BeforeAfter { file: file.to_owned(), row: number, fate: "rejected", rules, values });
    }
}

fn place(number: i64, first_row: u64) -> usize {
    usize::try_from(number.cast_unsigned() - first_row).unwrap_or(0)
}

fn texts(list: &dyn Array) -> Vec<String> {
    list.as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

fn values(plan: &FilePlan, raw: (&RecordBatch, usize), clean: Option<(&RecordBatch, usize)>) -> Vec<Value> {
    let value = |(field, from): (&std::sync::Arc<arrow::datatypes::Field>, &OutputFrom)| {
        let source = match from {
            OutputFrom::Column(place) => plan.columns[*place].source,
            OutputFrom::Derived(_) => None,
        };
        let after = clean.and_then(|(batch, row)| Some(readable(batch.column_by_name(field.name())?, row)));
        Value {
            from: source.map(|source| plan.source[source].name.clone()),
            column: field.name().clone(),
            before: source.map(|source| readable(raw.0.column(source), raw.1)),
            after,
        }
    };
    plan.output.fields().iter().zip(&plan.output_from).map(value).collect()
}
