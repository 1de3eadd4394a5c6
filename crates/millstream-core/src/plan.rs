//! The plan of a file: what happens to each of its columns and rows, decided from its footer before a row is read.
//!
//! A plan is pure and the same behind every engine. Its order of evaluation:
//! 1. each column of the source becomes its base type ([`crate::types::source_type`]);
//! 2. `prepare` (spaces off), `null_when` (tokens that mean NULL), `value` (the declared type): a value that was there and is
//!    NULL after `value` is **bad**; `fill` then takes the place of NULL, also of a bad value that became NULL;
//! 3. a row with a bad value that rejects is a reject, with the `reject` rules that it breaks as further reasons;
//! 4. other rows go on only if `filter` is TRUE;
//! 5. derived columns are calculated; a derived value that does not fit its type is bad and rejects;
//! 6. rules see the values as they are now; actions apply afterwards, in the order of the rules.

pub mod check;
mod columns;
pub mod reason;
mod rules;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::columns::Resolved;
use self::reason::Reason;
use crate::config::clean::{Action, Clean, OnBad};
use crate::expr::convert::convert;
use crate::expr::formats::TimeForms;
use crate::expr::literal::Literal;
use crate::expr::parse::{parse_condition, parse_sql};
use crate::expr::{Expr, Scope};
use crate::types::{ColumnType, ValueType};

/// Names that records and tables use themselves.
pub const RESERVED: [&str; 5] = ["_file", "_row", "_marks", "_partition", "ingested_at"];

/// The columns of the tables so far, in order. Types never change; columns are only added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSchema {
    /// The columns.
    pub columns: Vec<KnownColumn>,
}

/// A column of the tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub value_type: ValueType,
    /// Whether it was computed when it was added, so that files need not have it.
    pub derived: bool,
}

impl KnownSchema {
    /// The columns as Arrow has them; all may be NULL.
    #[must_use]
    pub fn arrow_schema(&self) -> Schema {
        let field = |column: &KnownColumn| Field::new(&column.name, column.value_type.arrow_type(), true);
        Schema::new(self.columns.iter().map(field).collect::<Vec<_>>())
    }

    fn find(&self, name: &str) -> Option<&KnownColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Why a file has no plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanRefusal {
    /// The file is quarantined, the others go on.
    #[error("{0}")]
    Quarantine(String),
    /// The run stops.
    #[error("{0}")]
    Fail(String),
}

/// What happens to the rows of a file.
#[derive(Debug, Clone)]
pub struct FilePlan {
    /// The columns of the tables with this file; kept with the stream.
    pub known: KnownSchema,
    /// Columns of clean rows: those of `known`, in order.
    pub output: SchemaRef,
    /// Where each of them comes from.
    pub output_from: Vec<OutputFrom>,
    /// Source columns that are read, in the order of the file.
    pub source: Vec<SourceColumn>,
    /// Typed columns.
    pub columns: Vec<PlannedColumn>,
    /// Over the typed columns; only TRUE goes on.
    pub filter: Option<Expr>,
    /// Derived columns.
    pub derived: Vec<PlannedDerived>,
    /// Rules, over the typed columns and then the derived ones.
    pub rules: Vec<PlannedRule>,
    /// Stands for what `[clean]` means: equal as long as it is.
    pub rules_hash: String,
}

/// Where a column of clean rows comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFrom {
    /// [`FilePlan::columns`] at this place.
    Column(usize),
    /// [`FilePlan::derived`] at this place.
    Derived(usize),
}

/// A column that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Place among the top-level columns of the file.
    pub index: usize,
    /// Name in the file.
    pub name: String,
    /// Type in the file.
    pub arrow_type: DataType,
    /// Base type: what the reader hands on.
    pub becomes: ValueType,
}

/// A typed column.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedColumn {
    /// Output name.
    pub name: String,
    /// Output type.
    pub value_type: ValueType,
    /// Place in [`FilePlan::source`]; none if the file does not have it: all NULL, then `fill`.
    pub source: Option<usize>,
    /// Over one column `name` of the base type; none if nothing is to be done.
    pub prepare: Option<Expr>,
    /// Over `name` as prepared: where TRUE the value is NULL (and not bad).
    pub null_when: Option<Expr>,
    /// Over `name` as prepared: the value in the output type, NULL where it does not fit; none if nothing is to be done.
    pub value: Option<Expr>,
    /// What a bad value does.
    pub on_bad: OnBad,
    /// Takes the place of NULL.
    pub fill: Option<Literal>,
}

impl PlannedColumn {
    /// Name of the rule that a bad value breaks.
    #[must_use]
    pub fn bad_rule(&self) -> String {
        format!("type:{}", self.name)
    }

    /// Name of the mark of a filled value.
    #[must_use]
    pub fn fill_mark(&self) -> String {
        format!("fill:{}", self.name)
    }
}

/// A derived column.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedDerived {
    /// Output name.
    pub name: String,
    /// Output type.
    pub column_type: ColumnType,
    /// Over the typed columns: the value in the type that the SQL has.
    pub raw: Expr,
    /// Over one column `name` of that type: the value in the output type; none if nothing is to be done.
    pub value: Option<Expr>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRule {
    /// Name.
    pub name: String,
    /// Place of its column among the typed and then the derived columns; none if it has none, or only a field of one.
    pub column: Option<usize>,
    /// A row breaks the rule where this is FALSE; NULL passes.
    pub passes: Expr,
    /// What happens to a row that broke it.
    pub action: Action,
    /// With action clamp: over the same columns, the value in its range.
    pub clamped: Option<Expr>,
    /// What is told of a row that broke it.
    pub reason: Reason,
}

impl PlanRefusal {
    fn quarantine(reason: String) -> Self {
        Self::Quarantine(reason)
    }

    fn fail(reason: String) -> Self {
        Self::Fail(reason)
    }
}

impl FilePlan {
    /// Plans a file.
    ///
    /// `known` are the columns of the tables before this file, empty for the first. `event_time` must come out as a timestamp.
    ///
    /// # Errors
    /// Names the column or rule that does not fit, and says whether only this file or the whole run is at fault.
    pub fn new(
        clean: &Clean,
        event_time: Option<&str>,
        known: &KnownSchema,
        file: &Schema,
    ) -> Result<Self, PlanRefusal> {
        let resolved = columns::resolve(clean, known, file)?;
        let typed = Scope::new(resolved.scope.clone());
        let filter = clean.keep.as_deref().map(|keep| parse_condition(keep, &typed)).transpose();
        let filter = filter.map_err(|error| PlanRefusal::fail(format!("clean.filter.keep: {error}")))?;
        let derived = plan_derived(clean, &typed)?;
        let rules = rules::plan_rules(clean, &resolved, &derived)?;
        let (known, output_from) = extend(known, &resolved, &derived)?;
        check_event_time(event_time, &known)?;
        let plan = Self {
            output: Arc::new(known.arrow_schema()),
            known,
            output_from,
            source: resolved.source,
            columns: resolved.columns,
            filter,
            derived,
            rules,
            rules_hash: check::rules_hash(clean),
        };
        if let Some(dedup) = &clean.dedup
            && let Some(lacking) = dedup.key.iter().find(|name| plan.output.index_of(name).is_err())
        {
            return Err(PlanRefusal::fail(format!(
                "clean.dedup.key: column `{lacking}` is not there; declare it with a type under [clean.columns]"
            )));
        }
        Ok(plan)
    }

    /// Places of the top-level columns of the file that are read, ascending.
    #[must_use]
    pub fn source_columns(&self) -> Vec<usize> {
        self.source.iter().map(|column| column.index).collect()
    }

    /// Whether a row can stop the run: then nothing of a split may be published before all of it was looked at.
    #[must_use]
    pub fn can_fail(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Fail)
            || self.columns.iter().any(|column| column.on_bad == OnBad::Fail)
    }

    /// Columns that filter, derived columns and rules read: the typed ones, then the derived ones.
    #[must_use]
    pub fn rule_schema(&self) -> Schema {
        let typed = self.columns.iter().map(|column| Field::new(&column.name, column.value_type.arrow_type(), true));
        let derived = self.derived.iter().map(|column| Field::new(&column.name, column.column_type.arrow_type(), true));
        Schema::new(typed.chain(derived).collect::<Vec<_>>())
    }
}

fn plan_derived(clean: &Clean, typed: &Scope) -> Result<Vec<PlannedDerived>, PlanRefusal> {
    let plan = |derived: &crate::config::clean::Derived| {
        let refuse = |error: String| PlanRefusal::fail(format!("clean.derive.{}: {error}", derived.name));
        let raw = parse_sql(&derived.sql, typed).map_err(|error| refuse(error.to_string()))?;
        let raw = if raw == Expr::Null { Expr::Literal(Literal::null(derived.column_type)) } else { raw };
        let column = Expr::column(&derived.name, raw.value_type());
        let value = convert(column.clone(), derived.column_type, &TimeForms::default())
            .map_err(|error| refuse(error.to_string()))?;
        Ok(PlannedDerived {
            name: derived.name.clone(),
            column_type: derived.column_type,
            raw,
            value: (value != column).then_some(value),
        })
    };
    clean.derive.iter().map(plan).collect()
}

/// The known columns with those of this file behind them, and where each comes from.
fn extend(
    known: &KnownSchema,
    resolved: &Resolved,
    derived: &[PlannedDerived],
) -> Result<(KnownSchema, Vec<OutputFrom>), PlanRefusal> {
    let mut known = known.clone();
    for column in &resolved.columns {
        if known.find(&column.name).is_none() {
            let value_type = column.value_type.clone();
            known.columns.push(KnownColumn { name: column.name.clone(), value_type, derived: false });
        }
    }
    for column in derived {
        let value_type = ValueType::Scalar(column.column_type);
        match known.find(&column.name) {
            None => known.columns.push(KnownColumn { name: column.name.clone(), value_type, derived: true }),
            Some(before) if before.value_type == value_type => {}
            Some(before) => return Err(columns::type_fixed(&column.name, &before.value_type, &value_type)),
        }
    }
    let place = |column: &KnownColumn| {
        let derived = derived.iter().position(|derived| derived.name == column.name).map(OutputFrom::Derived);
        let typed = || resolved.columns.iter().position(|typed| typed.name == column.name).map(OutputFrom::Column);
        derived.or_else(typed).ok_or_else(|| PlanRefusal::fail(format!("column `{}` has no source", column.name)))
    };
    let output_from = known.columns.iter().map(place).collect::<Result<_, _>>()?;
    Ok((known, output_from))
}

fn check_event_time(event_time: Option<&str>, known: &KnownSchema) -> Result<(), PlanRefusal> {
    let Some(name) = event_time else { return Ok(()) };
    match known.find(name).map(|column| &column.value_type) {
        Some(ValueType::Scalar(ColumnType::Timestamp)) => Ok(()),
        Some(other) => Err(PlanRefusal::fail(format!(
            "source.event_time: column `{name}` is `{other}`; declare it as timestamp under [clean.columns]"
        ))),
        None => Err(PlanRefusal::fail(format!(
            "source.event_time: column `{name}` is not there; declare it as timestamp under [clean.columns]"
        ))),
    }
}

#[cfg(test)]
mod tests;
