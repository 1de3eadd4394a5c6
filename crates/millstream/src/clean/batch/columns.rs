//! The steps of one column: from the array that the reader gives to typed values, and which of them are bad.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow and DataFusion, which grow")]

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::comparison::{ends_with, starts_with};
use arrow::compute::{CastOptions, cast_with_options, nullif};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use datafusion::physical_expr::PhysicalExpr;
use millstream_core::expr::Expr;
use millstream_core::expr::convert::CALENDAR_DAYS;
use millstream_core::plan::{FilePlan, PlannedColumn, PlannedDerived};
use millstream_core::types::{ColumnType, ValueType};

use super::{CleanError, emit, evaluate, evaluate_condition};

/// Where a cast has no result it gives NULL.
const SAFE: CastOptions<'static> =
    CastOptions { safe: true, format_options: arrow::util::display::FormatOptions::new() };

/// What is done to a column.
#[derive(Debug)]
pub(super) struct ColumnSteps {
    /// Output name.
    pub(super) name: String,
    /// Output type.
    pub(super) output: DataType,
    /// Takes the place of NULL: one value.
    pub(super) fill: Option<ArrayRef>,
    base: DataType,
    prepare: Option<Step>,
    null_when: Option<Step>,
    value: Option<Step>,
}

/// An expression over one column.
#[derive(Debug)]
struct Step {
    schema: SchemaRef,
    expr: Arc<dyn PhysicalExpr>,
}

/// Typed values.
pub(super) struct Typed {
    /// The values, NULL where bad.
    pub(super) array: ArrayRef,
    /// Rows with a bad value; none if there is no such row.
    pub(super) bad: Option<BooleanBuffer>,
}

impl ColumnSteps {
    pub(super) fn of_column(plan: &FilePlan, column: &PlannedColumn) -> Result<Self, CleanError> {
        let base = column.source.map_or(&column.value_type, |source| &plan.source[source].becomes);
        let step = |expr: &Option<Expr>| expr.as_ref().map(|expr| Step::new(&column.name, base, expr)).transpose();
        let fill = column.fill.as_ref().map(|fill| emit::scalar(fill).to_array_of_size(1)).transpose();
        Ok(Self {
            name: column.name.clone(),
            output: column.value_type.arrow_type(),
            fill: fill.map_err(CleanError::expression(&column.name))?,
            base: base.arrow_type(),
            prepare: step(&column.prepare)?,
            null_when: step(&column.null_when)?,
            value: step(&column.value)?,
        })
    }

    pub(super) fn of_derived(derived: &PlannedDerived) -> Result<Self, CleanError> {
        let base = derived.raw.value_type();
        let value = derived.value.as_ref().map(|expr| Step::new(&derived.name, &base, expr)).transpose()?;
        Ok(Self {
            name: derived.name.clone(),
            output: derived.column_type.arrow_type(),
            fill: None,
            base: base.arrow_type(),
            prepare: None,
            null_when: None,
            value,
        })
    }

    /// Types the values of a column. A value that was there and is NULL afterwards is bad, unless a token made it NULL.
    pub(super) fn carry_out(&self, raw: &ArrayRef) -> Result<Typed, CleanError> {
        let base = to_base(raw, &self.base).map_err(CleanError::arrange(&self.name))?;
        let mut bad = lost(raw, &base);
        let mut array = base;
        if let Some(prepare) = &self.prepare
            && has_outer_spaces(&array).map_err(CleanError::arrange(&self.name))?
        {
            array = prepare.carry_out(&self.name, &array)?;
        }
        if let Some(null_when) = &self.null_when {
            let batch = null_when.batch(&self.name, &array)?;
            let tokens: BooleanArray = evaluate_condition(&self.name, &null_when.expr, &batch)?;
            if tokens.has_true() {
                array = nullif(&array, &tokens).map_err(CleanError::arrange(&self.name))?;
            }
        }
        if let Some(value) = &self.value {
            let typed = value.carry_out(&self.name, &array)?;
            bad = match (bad, lost(&array, &typed)) {
                (Some(left), Some(right)) => Some(&left | &right),
                (left, right) => left.or(right),
            };
            array = typed;
        }
        if *array.data_type() != self.output {
            array = cast_with_options(&array, &self.output, &SAFE).map_err(CleanError::arrange(&self.name))?;
        }
        Ok(Typed { array, bad })
    }
}

impl Step {
    fn new(name: &str, of: &ValueType, expr: &Expr) -> Result<Self, CleanError> {
        let schema = Arc::new(Schema::new(vec![Field::new(name, of.arrow_type(), true)]));
        let expr = emit::physical(expr, &schema).map_err(CleanError::expression(name))?;
        Ok(Self { schema, expr })
    }

    fn batch(&self, name: &str, array: &ArrayRef) -> Result<RecordBatch, CleanError> {
        RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::clone(array)]).map_err(CleanError::arrange(name))
    }

    fn carry_out(&self, name: &str, array: &ArrayRef) -> Result<ArrayRef, CleanError> {
        evaluate(name, &self.expr, &self.batch(name, array)?)
    }
}

/// Whether taking spaces off would change a text at all: looking is far cheaper than doing.
fn has_outer_spaces(texts: &ArrayRef) -> Result<bool, ArrowError> {
    let space = StringArray::new_scalar(" ");
    Ok(starts_with(texts, &space)?.has_true() || ends_with(texts, &space)?.has_true())
}

/// Rows whose value was there before and is not there after.
fn lost(before: &ArrayRef, after: &ArrayRef) -> Option<BooleanBuffer> {
    let after_nulls = after.logical_nulls().filter(|nulls| nulls.null_count() > 0)?;
    let gone = !after_nulls.inner();
    let gone = match before.logical_nulls() {
        None => gone,
        Some(nulls) if nulls.null_count() == after_nulls.null_count() => return None,
        Some(nulls) => &gone & nulls.inner(),
    };
    (gone.count_set_bits() > 0).then_some(gone)
}

/// What the reader gives, in its base type: the table at [`millstream_core::types::source_type`].
fn to_base(raw: &ArrayRef, base: &DataType) -> Result<ArrayRef, ArrowError> {
    if raw.data_type() == base {
        return Ok(on_calendar(raw));
    }
    let cast = |array: &ArrayRef, to: &DataType| cast_with_options(array, to, &SAFE);
    match raw.data_type() {
        DataType::Dictionary(_, value) => to_base(&cast(raw, value)?, base),
        DataType::RunEndEncoded(_, value) => to_base(&cast(raw, value.data_type())?, base),
        // Times keep their numbers: only the unit changes and the zone becomes UTC.
        DataType::Timestamp(unit, zone) => {
            let micros = match unit {
                TimeUnit::Microsecond => Arc::clone(raw),
                TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Nanosecond => {
                    cast(raw, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?
                }
            };
            let micros = micros.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().clone();
            Ok(Arc::new(micros.with_timezone("UTC")))
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            cast(&cast(raw, &DataType::Time64(TimeUnit::Microsecond))?, &ColumnType::Int64.arrow_type())
        }
        _ => Ok(on_calendar(&cast(raw, base)?)),
    }
}

/// Days that no calendar has are not there.
fn on_calendar(values: &ArrayRef) -> ArrayRef {
    match values.as_primitive_opt::<Date32Type>() {
        Some(days) if days.values().iter().any(|day| !CALENDAR_DAYS.contains(day)) => {
            Arc::new(days.unary_opt::<_, Date32Type>(|day| Some(day).filter(|day| CALENDAR_DAYS.contains(day))))
        }
        _ => Arc::clone(values),
    }
}
