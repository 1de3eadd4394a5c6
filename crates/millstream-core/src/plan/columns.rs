//! From the columns of a file to typed columns: names, drift, and what each value goes through.

use arrow::datatypes::Schema;

use super::{KnownSchema, PlanRefusal, PlannedColumn, RESERVED, SourceColumn};
use crate::config::clean::{Clean, Column, OnAdded, OnBad, OnChanged, OnMissing, TextCase};
use crate::expr::Expr;
use crate::expr::convert::{convert, shift};
use crate::expr::formats::{TimeForms, Zone};
use crate::expr::functions::Function;
use crate::expr::literal::{Literal, number};
use crate::types::{ColumnType, SourceType, ValueType, source_type};

/// Characters that Delta Lake does not take in names.
const FORBIDDEN: [char; 9] = [' ', ',', ';', '{', '}', '(', ')', '\n', '\t'];

/// The typed columns of a file.
pub(super) struct Resolved {
    /// Columns that are read.
    pub(super) source: Vec<SourceColumn>,
    /// Columns that come out.
    pub(super) columns: Vec<PlannedColumn>,
    /// What SQL may name: the columns that come out, and those that hold nothing but NULL.
    pub(super) scope: Vec<(String, ValueType)>,
}

/// A column of the file with the name that it gets.
struct Found<'a> {
    index: usize,
    file_name: &'a str,
    output_name: &'a str,
    arrow_type: &'a arrow::datatypes::DataType,
    source: SourceType,
    declared: Option<&'a Column>,
}

pub(super) fn resolve(clean: &Clean, known: &KnownSchema, file: &Schema) -> Result<Resolved, PlanRefusal> {
    let found = name_columns(clean, known, file)?;
    let mut resolved = Resolved { source: Vec::new(), columns: Vec::new(), scope: Vec::new() };
    let derived = |name: &str| clean.derive.iter().any(|derived| derived.name == name);
    for name in output_names(clean, known, &found) {
        let in_file = found.iter().find(|column| column.output_name == name);
        let declared = clean.columns.iter().find(|column| column.name == name);
        let before = known.find(name);
        if derived(name) {
            continue;
        }
        let wanted = wanted_type(name, declared, before.map(|before| &before.value_type))?;
        let Some(column) = in_file else {
            if let Some(wanted) = wanted {
                if !before.is_some_and(|before| before.derived) {
                    missing(clean, name)?;
                }
                resolved.add_absent(name, wanted, declared)?;
            }
            continue;
        };
        let base = &column.source.becomes;
        let Some(wanted) = wanted.or_else(|| (*base != ValueType::Null).then(|| base.clone())) else {
            resolved.scope.push((name.to_owned(), ValueType::Null));
            continue;
        };
        if before.is_none() && declared.is_none() && !known.columns.is_empty() && !added(clean, column)? {
            continue;
        }
        if declared.is_none_or(|declared| declared.column_type.is_none()) {
            changed(clean, column, &wanted)?;
        }
        resolved.add(column, wanted, clean)?;
    }
    resolved.in_file_order();
    Ok(resolved)
}

/// Known columns first, then declared ones, then those of the file.
fn output_names<'a>(clean: &'a Clean, known: &'a KnownSchema, found: &[Found<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let declared = clean.columns.iter().map(|column| column.name.as_str());
    let in_file = found.iter().map(|column| column.output_name);
    for name in known.columns.iter().map(|column| column.name.as_str()).chain(declared).chain(in_file) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn name_columns<'a>(clean: &'a Clean, known: &KnownSchema, file: &'a Schema) -> Result<Vec<Found<'a>>, PlanRefusal> {
    let quarantine = |text: String| Err(PlanRefusal::quarantine(text));
    let mut found: Vec<Found<'a>> = Vec::new();
    for (index, field) in file.fields().iter().enumerate() {
        let file_name = field.name().as_str();
        if clean.drop.iter().any(|dropped| dropped == file_name) {
            continue;
        }
        let claims = |column: &&Column| column.name == file_name || column.from.iter().any(|from| from == file_name);
        let declared = clean.columns.iter().find(claims);
        let output_name = declared.map_or(file_name, |column| column.name.as_str());
        if output_name.is_empty() {
            return quarantine(format!(
                "column {} has no name; put \"\" into clean.drop, or into the `from` of a column",
                index + 1
            ));
        }
        if declared.is_none() {
            check_name(clean, known, file_name)?;
        }
        if let Some(twin) = found.iter().find(|other| other.output_name.eq_ignore_ascii_case(output_name)) {
            return quarantine(format!(
                "columns `{}` and `{file_name}` would both become `{}`; put one of them into clean.drop or into the `from` of another column",
                twin.file_name, twin.output_name
            ));
        }
        let source = source_type(field.data_type()).map_err(|error| {
            PlanRefusal::quarantine(format!(
                "column `{file_name}`: {error}; put it into clean.drop to go on without it"
            ))
        })?;
        found.push(Found { index, file_name, output_name, arrow_type: field.data_type(), source, declared });
    }
    Ok(found)
}

/// A column that passes under its own name must not clash with one of ours.
fn check_name(clean: &Clean, known: &KnownSchema, name: &str) -> Result<(), PlanRefusal> {
    let quarantine = |text: String| Err(PlanRefusal::quarantine(text));
    if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
        return quarantine(format!(
            "column `{name}` has a name that the tables use themselves; rename it with `from`, or drop it"
        ));
    }
    if name.contains(FORBIDDEN) || name.contains('=') {
        return quarantine(format!(
            "column `{name}` has a character in its name that Delta Lake does not take; rename it with `from`, or drop it"
        ));
    }
    if clean.derive.iter().any(|derived| derived.name.eq_ignore_ascii_case(name)) {
        return quarantine(format!("column `{name}` is in the file and in clean.derive; rename or drop one of them"));
    }
    let ours = known.columns.iter().map(|column| &column.name).chain(clean.columns.iter().map(|column| &column.name));
    match ours.into_iter().find(|ours| *ours != name && ours.eq_ignore_ascii_case(name)) {
        Some(ours) => quarantine(format!(
            "column `{name}` differs from `{ours}` only by case; add it to the `from` of `{ours}`, or drop it"
        )),
        None => Ok(()),
    }
}

/// The type that is fixed for a column by the tables or by its declaration.
fn wanted_type(
    name: &str,
    declared: Option<&Column>,
    before: Option<&ValueType>,
) -> Result<Option<ValueType>, PlanRefusal> {
    let declared = declared.and_then(|column| column.column_type).map(ValueType::Scalar);
    match (declared, before) {
        (Some(declared), Some(before)) if declared != *before => Err(type_fixed(name, before, &declared)),
        (declared, before) => Ok(declared.or_else(|| before.cloned())),
    }
}

pub(super) fn type_fixed(name: &str, before: &ValueType, now: &ValueType) -> PlanRefusal {
    PlanRefusal::fail(format!(
        "column `{name}` is `{before}` in the tables and cannot become `{now}`; keep the type, use another name, or start over with `millstream reset`"
    ))
}

fn missing(clean: &Clean, name: &str) -> Result<(), PlanRefusal> {
    let text = || format!("column `{name}` is not in the file (clean.drift.missing)");
    match clean.drift.missing {
        OnMissing::Fill => Ok(()),
        OnMissing::Quarantine => Err(PlanRefusal::quarantine(text())),
        OnMissing::Fail => Err(PlanRefusal::fail(text())),
    }
}

/// Whether a column that was not known is taken.
fn added(clean: &Clean, column: &Found<'_>) -> Result<bool, PlanRefusal> {
    let text = || format!("column `{}` was not known (clean.drift.added)", column.file_name);
    match clean.drift.added {
        OnAdded::Evolve => Ok(true),
        OnAdded::Ignore => Ok(false),
        OnAdded::Quarantine => Err(PlanRefusal::quarantine(text())),
        OnAdded::Fail => Err(PlanRefusal::fail(text())),
    }
}

fn changed(clean: &Clean, column: &Found<'_>, wanted: &ValueType) -> Result<(), PlanRefusal> {
    let base = &column.source.becomes;
    let widens = base.scalar().zip(wanted.scalar()).is_some_and(|(base, wanted)| base.widens_to(wanted));
    if base == wanted || widens || *base == ValueType::Null {
        return Ok(());
    }
    let text =
        || format!("column `{}` is `{base}` in this file and was `{wanted}` (clean.drift.changed)", column.file_name);
    match clean.drift.changed {
        OnChanged::Cast => Ok(()),
        OnChanged::Quarantine => Err(PlanRefusal::quarantine(text())),
        OnChanged::Fail => Err(PlanRefusal::fail(text())),
    }
}

impl Resolved {
    /// Sorts what is read as the file has it.
    fn in_file_order(&mut self) {
        self.source.sort_by_key(|source| source.index);
        for column in &mut self.columns {
            column.source = column.source.and_then(|index| self.source.iter().position(|source| source.index == index));
        }
    }

    fn add_absent(&mut self, name: &str, value_type: ValueType, declared: Option<&Column>) -> Result<(), PlanRefusal> {
        let fill = fill_of(name, &value_type, declared)?;
        self.scope.push((name.to_owned(), value_type.clone()));
        self.columns.push(PlannedColumn {
            name: name.to_owned(),
            value_type,
            source: None,
            prepare: None,
            null_when: None,
            value: None,
            on_bad: OnBad::Reject,
            fill,
        });
        Ok(())
    }

    fn add(&mut self, column: &Found<'_>, wanted: ValueType, clean: &Clean) -> Result<(), PlanRefusal> {
        let name = column.output_name;
        let base = column.source.becomes.clone();
        if base == ValueType::Null {
            return self.add_absent(name, wanted, column.declared);
        }
        let forms = match column.declared {
            Some(declared) => TimeForms::new(&declared.formats, declared.time_zone.as_deref()),
            None => TimeForms::new(&[], None),
        };
        let forms = forms.map_err(|error| PlanRefusal::fail(format!("clean.columns.{name}: {error}")))?;
        let input = Expr::column(name, base.clone());
        let zone = if column.source.local_time { forms.zone() } else { Zone::default() };
        let mut value = in_zone(input.clone(), zone);
        if base == ValueType::Scalar(ColumnType::Text)
            && let Some(case) = column.declared.and_then(|declared| declared.case)
        {
            let function = match case {
                TextCase::Upper => Function::Upper,
                TextCase::Lower => Function::Lower,
            };
            value = Expr::Call { function, args: vec![value] };
        }
        let value = retype(value, &wanted, &forms).map_err(|reason| {
            PlanRefusal::quarantine(format!(
                "column `{}`: {reason}; declare another type for `{name}`, or drop it",
                column.file_name
            ))
        })?;
        let fill = fill_of(name, &wanted, column.declared)?;
        self.scope.push((name.to_owned(), wanted.clone()));
        self.columns.push(PlannedColumn {
            name: name.to_owned(),
            value_type: wanted,
            source: Some(column.index),
            prepare: prepare(&input, column.declared),
            null_when: null_when(&input, column.declared, &clean.null_tokens),
            value: (value != input).then_some(value),
            on_bad: column.declared.map_or(OnBad::Reject, |declared| declared.on_bad),
            fill,
        });
        self.source.push(SourceColumn {
            index: column.index,
            name: column.file_name.to_owned(),
            arrow_type: column.arrow_type.clone(),
            becomes: base,
        });
        Ok(())
    }
}

fn retype(value: Expr, wanted: &ValueType, forms: &TimeForms) -> Result<Expr, String> {
    let from = value.value_type();
    match wanted.scalar() {
        Some(to) => convert(value, to, forms).map_err(|error| error.to_string()),
        None if from == *wanted => Ok(value),
        None => Err(format!("values of type `{from}` cannot become `{wanted}`")),
    }
}

/// A local time moved to UTC; NULL where that leaves the range of times.
fn in_zone(input: Expr, zone: Zone) -> Expr {
    let micros = zone.to_utc_micros();
    if micros == 0 {
        return input;
    }
    shift(input, micros)
}

fn prepare(input: &Expr, declared: Option<&Column>) -> Option<Expr> {
    let trims =
        declared.is_some_and(|declared| declared.trim) && input.value_type() == ValueType::Scalar(ColumnType::Text);
    trims.then(|| Expr::Call { function: Function::Trim, args: vec![input.clone()] })
}

/// Tokens of all columns count for text; those of the column itself also for other types, as values of that type.
fn null_when(input: &Expr, declared: Option<&Column>, everywhere: &[String]) -> Option<Expr> {
    let of = input.value_type().scalar()?;
    let own = declared.map_or(&[] as &[String], |declared| declared.null_tokens.as_slice());
    let list: Vec<Literal> = if of == ColumnType::Text {
        everywhere.iter().chain(own).map(|token| Literal::text(token)).collect()
    } else {
        own.iter().filter_map(|token| token_value(token, of)).collect()
    };
    (!list.is_empty()).then(|| Expr::InList { expr: Box::new(input.clone()), list })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn token_value(token: &str, of: ColumnType) -> Option<Literal> {
    match of {
        ColumnType::Boolean => token.parse().ok().map(Literal::boolean),
        ColumnType::Date | ColumnType::Timestamp => Literal::text(token).fold(of),
        ColumnType::Binary | ColumnType::Text => None,
        _ => number(token)?.fold(of),
    }
}

fn fill_of(name: &str, value_type: &ValueType, declared: Option<&Column>) -> Result<Option<Literal>, PlanRefusal> {
    let Some(fill) = declared.and_then(|declared| declared.fill.as_ref()) else { return Ok(None) };
    let literal = Literal::written(fill);
    let folded = value_type.scalar().and_then(|to| literal.fold(to));
    folded
        .map(Some)
        .ok_or_else(|| PlanRefusal::fail(format!("clean.columns.{name}: fill `{literal}` is not a {value_type}")))
}
