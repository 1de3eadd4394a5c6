//! Cleans batches by the plan of their file, with DataFusion's physical expressions. Synchronous and vectorised: nothing is
//! done row by row for rows that break nothing, and a column that passes as it is is not copied.

mod columns;
mod emit;
mod explain;
mod one_form;
mod rejects;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, Scalar, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{filter_record_batch, nullif};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use millstream_core::config::clean::{Action, OnBad};
use millstream_core::lists::{covering, row_numbers, text_list_type};
use millstream_core::plan::{FilePlan, OutputFrom};
use thiserror::Error;

use self::columns::{ColumnSteps, Typed};
use self::rejects::{Breach, Broken};

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Cleaned {
    /// Rows that passed: the columns of the plan's output, then `_row: Int64` and `_marks: List<Utf8>`.
    pub(crate) clean: RecordBatch,
    /// Rows that did not: `_row: Int64`, `rules: List<Utf8>`, `reasons: List<Utf8>`, `original: Utf8`.
    pub(crate) rejects: RecordBatch,
    /// Rows that the filter left out.
    pub(crate) filtered: u64,
}

/// Why a batch could not be cleaned.
#[derive(Debug, Error)]
pub(crate) enum CleanError {
    /// A row broke a rule whose action is `fail`; nothing of the batch may be published.
    #[error("row {row} breaks `{rule}`, whose action is fail: {reason}")]
    Fail {
        /// The rule.
        rule: String,
        /// Number of the row in its file.
        row: u64,
        /// What is wrong with the row.
        reason: String,
    },
    /// An expression was not taken, or not carried out, by DataFusion.
    #[error("`{what}` cannot be computed")]
    Expression {
        /// Of which column or rule.
        what: String,
        /// What DataFusion says.
        source: DataFusionError,
    },
    /// Arrow could not put columns together.
    #[error("`{what}` cannot be put together")]
    Arrange {
        /// Which column or batch.
        what: String,
        /// What Arrow says.
        source: ArrowError,
    },
}

impl CleanError {
    fn expression(what: &str) -> impl FnOnce(DataFusionError) -> Self + use<> {
        let what = what.to_owned();
        move |source| Self::Expression { what, source }
    }

    /// For what Arrow says over `what`.
    pub(crate) fn arrange(what: &str) -> impl FnOnce(ArrowError) -> Self + use<> {
        let what = what.to_owned();
        move |source| Self::Arrange { what, source }
    }
}

/// Cleans the batches of one file.
#[derive(Debug)]
pub(crate) struct BatchCleaner {
    plan: Arc<FilePlan>,
    typed_schema: SchemaRef,
    rule_schema: SchemaRef,
    clean_schema: SchemaRef,
    columns: Vec<ColumnSteps>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    derived: Vec<(Arc<dyn PhysicalExpr>, ColumnSteps)>,
    rules: Vec<RuleSteps>,
}

#[derive(Debug)]
struct RuleSteps {
    passes: Arc<dyn PhysicalExpr>,
    clamped: Option<Arc<dyn PhysicalExpr>>,
}

/// The numbers that the rows of a batch have in their file.
enum Numbers<'a> {
    /// Consecutive, from this one on.
    From(u64),
    /// Each its own.
    Each(&'a [u64]),
}

impl Numbers<'_> {
    fn of(&self, row: usize) -> u64 {
        match self {
            Self::From(first) => first + row as u64,
            Self::Each(numbers) => numbers[row],
        }
    }

    /// As a column of so many rows.
    fn column(&self, rows: usize) -> Int64Array {
        match self {
            Self::From(first) => row_numbers(*first, rows),
            Self::Each(numbers) => {
                Int64Array::from_iter_values(numbers.iter().map(|&number| i64::try_from(number).unwrap_or(i64::MAX)))
            }
        }
    }
}

/// A batch on its way.
struct Under<'a> {
    raw: &'a RecordBatch,
    numbers: Numbers<'a>,
    /// Typed columns, then derived ones.
    values: Vec<ArrayRef>,
    /// What rows broke, in the order in which it is told.
    breaches: Vec<Breach>,
    /// Marks of delivered rows, in their order.
    marks: Vec<(String, BooleanBuffer)>,
    /// Rows that a bad value of a source column rejects.
    bad: BooleanBuffer,
}

impl BatchCleaner {
    /// Prepares the expressions of a plan.
    pub(crate) fn new(plan: Arc<FilePlan>) -> Result<Self, CleanError> {
        let rule_schema = Arc::new(plan.rule_schema());
        let typed_fields = rule_schema.fields()[..plan.columns.len()].to_vec();
        let typed_schema = Arc::new(Schema::new(typed_fields));
        let columns =
            plan.columns.iter().map(|column| ColumnSteps::of_column(&plan, column)).collect::<Result<_, _>>()?;
        let on_typed = |what: &str, expr| emit::physical(expr, &typed_schema).map_err(CleanError::expression(what));
        let filter = plan.filter.as_ref().map(|keep| on_typed("clean.filter.keep", keep)).transpose()?;
        let derived = plan
            .derived
            .iter()
            .map(|derived| Ok((on_typed(&derived.name, &derived.raw)?, ColumnSteps::of_derived(derived)?)))
            .collect::<Result<_, CleanError>>()?;
        let rules = plan
            .rules
            .iter()
            .map(|rule| {
                let on_rules = |expr| emit::physical(expr, &rule_schema).map_err(CleanError::expression(&rule.name));
                Ok(RuleSteps {
                    passes: on_rules(&rule.passes)?,
                    clamped: rule.clamped.as_ref().map(on_rules).transpose()?,
                })
            })
            .collect::<Result<_, CleanError>>()?;
        let mut fields = plan.output.fields().to_vec();
        fields.push(Arc::new(Field::new("_row", DataType::Int64, false)));
        fields.push(Arc::new(Field::new("_marks", text_list_type(), true)));
        let clean_schema = Arc::new(Schema::new(fields));
        Ok(Self { plan, typed_schema, rule_schema, clean_schema, columns, filter, derived, rules })
    }

    /// Columns of clean rows.
    pub(crate) fn clean_schema(&self) -> &SchemaRef {
        &self.clean_schema
    }

    /// Cleans a batch of consecutive rows, the first of which has the number `first_row` in its file. `raw` holds the
    /// columns that the plan reads.
    pub(crate) fn clean(&self, first_row: u64, raw: &RecordBatch) -> Result<Cleaned, CleanError> {
        self.clean_numbered(Numbers::From(first_row), raw)
    }

    /// Cleans rows that need not be consecutive: `numbers` are theirs in the file.
    pub(crate) fn clean_picked(&self, numbers: &[u64], raw: &RecordBatch) -> Result<Cleaned, CleanError> {
        self.clean_numbered(Numbers::Each(numbers), raw)
    }

    fn clean_numbered(&self, numbers: Numbers<'_>, raw: &RecordBatch) -> Result<Cleaned, CleanError> {
        let rows = raw.num_rows();
        let mut under = self.under(raw, numbers);
        self.type_columns(&mut under)?;
        let typed = batch(&self.typed_schema, under.values.clone(), rows)?;
        let passed = match &self.filter {
            None => BooleanBuffer::new_set(rows),
            Some(filter) => true_rows(&evaluate_condition("clean.filter.keep", filter, &typed)?),
        };
        let open = &passed & &!&under.bad;
        self.derive(&mut under, &typed)?;
        let seen = batch(&self.rule_schema, under.values.clone(), rows)?;
        let broken = self.broken_rules(&under, &seen, &open)?;
        let mut rejected = under.bad.clone();
        for breach in under.breaches.iter().chain(&broken.rejecting) {
            rejected = &rejected | &(&breach.rows & &open);
        }
        let delivered = &open & &!&rejected;
        let filtered = (rows - rejected.count_set_bits() - delivered.count_set_bits()) as u64;
        under.breaches.extend(broken.rejecting);
        self.act(&mut under, &seen, &broken.acting, &delivered)?;
        Ok(Cleaned {
            rejects: rejects::batch(&self.plan, &under, &seen, &rejected)?,
            clean: self.clean_rows(&under, &delivered)?,
            filtered,
        })
    }

    fn under<'a>(&self, raw: &'a RecordBatch, numbers: Numbers<'a>) -> Under<'a> {
        Under {
            raw,
            numbers,
            values: Vec::with_capacity(self.rule_schema.fields().len()),
            breaches: Vec::new(),
            marks: Vec::new(),
            bad: BooleanBuffer::new_unset(raw.num_rows()),
        }
    }

    /// Types, bad values, fills.
    fn type_columns(&self, under: &mut Under<'_>) -> Result<(), CleanError> {
        let rows = under.raw.num_rows();
        for (place, (column, steps)) in self.plan.columns.iter().zip(&self.columns).enumerate() {
            let Typed { array, bad } = match column.source {
                Some(source) => steps.carry_out(under.raw.column(source))?,
                None => Typed { array: new_null_array(&steps.output, rows), bad: None },
            };
            if let Some(bad) = bad {
                let breach = Breach { what: Broken::Column(place), rows: bad };
                match column.on_bad {
                    OnBad::Fail => return Err(rejects::fail(&self.plan, under, None, &breach)),
                    OnBad::Nullify => under.marks.push((column.bad_rule(), breach.rows)),
                    OnBad::Reject => {
                        under.bad = &under.bad | &breach.rows;
                        under.breaches.push(breach);
                    }
                }
            }
            let array = match &steps.fill {
                Some(fill) if array.null_count() > 0 => {
                    let absent = array.nulls().map_or_else(|| BooleanBuffer::new_set(rows), |nulls| !nulls.inner());
                    let mask = BooleanArray::new(absent.clone(), None);
                    under.marks.push((column.fill_mark(), absent));
                    zip(&mask, &Scalar::new(fill), &array).map_err(CleanError::arrange(&column.name))?
                }
                _ => array,
            };
            under.values.push(array);
        }
        Ok(())
    }

    fn derive(&self, under: &mut Under<'_>, typed: &RecordBatch) -> Result<(), CleanError> {
        for (place, (raw, steps)) in self.derived.iter().enumerate() {
            let value = evaluate(&steps.name, raw, typed)?;
            let Typed { array, bad } = steps.carry_out(&value)?;
            if let Some(rows) = bad {
                under.breaches.push(Breach { what: Broken::Derived(place, value), rows });
            }
            under.values.push(array);
        }
        Ok(())
    }

    /// Which rules are broken by which rows. An open row that breaks a rule with action fail ends it all.
    fn broken_rules(
        &self,
        under: &Under<'_>,
        seen: &RecordBatch,
        open: &BooleanBuffer,
    ) -> Result<BrokenRules, CleanError> {
        let mut broken = BrokenRules { rejecting: Vec::new(), acting: Vec::new() };
        for (place, (rule, steps)) in self.plan.rules.iter().zip(&self.rules).enumerate() {
            let passes = evaluate_condition(&rule.name, &steps.passes, seen)?;
            if passes.false_count() == 0 {
                continue;
            }
            let mut breach = Breach { what: Broken::Rule(place), rows: false_rows(&passes) };
            match rule.action {
                Action::Reject => broken.rejecting.push(breach),
                Action::Nullify | Action::Clamp | Action::Warn => broken.acting.push((place, breach.rows)),
                Action::Fail => {
                    breach.rows = &breach.rows & open;
                    if breach.rows.count_set_bits() > 0 {
                        return Err(rejects::fail(&self.plan, under, Some(seen), &breach));
                    }
                }
            }
        }
        Ok(broken)
    }

    /// Nullifies, clamps and marks delivered rows.
    fn act(
        &self,
        under: &mut Under<'_>,
        seen: &RecordBatch,
        acting: &[(usize, BooleanBuffer)],
        delivered: &BooleanBuffer,
    ) -> Result<(), CleanError> {
        for (place, rows) in acting {
            let rule = &self.plan.rules[*place];
            let mask = rows & delivered;
            if mask.count_set_bits() == 0 {
                continue;
            }
            if let Some(column) = rule.column {
                let touched = BooleanArray::new(mask.clone(), None);
                let value = &under.values[column];
                let arrange = CleanError::arrange(&rule.name);
                let changed = match (rule.action, &self.rules[*place].clamped) {
                    (Action::Nullify, _) => Some(nullif(value, &touched).map_err(arrange)?),
                    (Action::Clamp, Some(clamped)) => {
                        let now = batch(&self.rule_schema, under.values.clone(), seen.num_rows())?;
                        let clamped = evaluate(&rule.name, clamped, &now)?;
                        Some(zip(&touched, &clamped, value).map_err(arrange)?)
                    }
                    _ => None,
                };
                if let Some(changed) = changed {
                    under.values[column] = changed;
                }
            }
            under.marks.push((rule.name.clone(), mask));
        }
        Ok(())
    }

    fn clean_rows(&self, under: &Under<'_>, delivered: &BooleanBuffer) -> Result<RecordBatch, CleanError> {
        let rows = under.raw.num_rows();
        let from = |from: &OutputFrom| match from {
            OutputFrom::Column(place) => Arc::clone(&under.values[*place]),
            OutputFrom::Derived(place) => Arc::clone(&under.values[self.columns.len() + place]),
        };
        let mut columns: Vec<ArrayRef> = self.plan.output_from.iter().map(from).collect();
        columns.push(Arc::new(under.numbers.column(rows)));
        let marks: ArrayRef = if under.marks.is_empty() {
            new_null_array(&text_list_type(), rows)
        } else {
            Arc::new(covering(rows, &under.marks))
        };
        columns.push(marks);
        let all = batch(&self.clean_schema, columns, rows)?;
        if delivered.count_set_bits() == rows {
            return Ok(all);
        }
        let keep = BooleanArray::new(delivered.clone(), None);
        filter_record_batch(&all, &keep).map_err(CleanError::arrange("clean rows"))
    }
}

struct BrokenRules {
    rejecting: Vec<Breach>,
    acting: Vec<(usize, BooleanBuffer)>,
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, CleanError> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(CleanError::arrange("rows"))
}

fn evaluate(what: &str, expr: &Arc<dyn PhysicalExpr>, on: &RecordBatch) -> Result<ArrayRef, CleanError> {
    let value = expr.evaluate(on).and_then(|value| value.into_array(on.num_rows()));
    value.map_err(CleanError::expression(what))
}

fn evaluate_condition(what: &str, expr: &Arc<dyn PhysicalExpr>, on: &RecordBatch) -> Result<BooleanArray, CleanError> {
    let value = evaluate(what, expr, on)?;
    value.as_any().downcast_ref::<BooleanArray>().cloned().ok_or_else(|| CleanError::Expression {
        what: what.to_owned(),
        source: DataFusionError::Plan(format!("a condition gives {}", value.data_type())),
    })
}

fn true_rows(condition: &BooleanArray) -> BooleanBuffer {
    match condition.nulls() {
        None => condition.values().clone(),
        Some(nulls) => condition.values() & nulls.inner(),
    }
}

fn false_rows(condition: &BooleanArray) -> BooleanBuffer {
    let not = !condition.values();
    match condition.nulls() {
        None => not,
        Some(nulls) => &not & nulls.inner(),
    }
}
