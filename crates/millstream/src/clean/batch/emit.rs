//! From the expression tree to DataFusion: node by node, with the types that the tree decided.
//!
//! What DataFusion does differently from the tree is mended here: it compares floats by total order, so they are brought to
//! [`one_form`] before a comparison; whole numbers wrap, so sums and products of int64 are made as decimals and cast back; a field of
//! a struct that is NULL is not NULL by itself.

#![allow(clippy::wildcard_enum_match_arm, reason = "matches over enums of Arrow and DataFusion, which grow")]

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::functions::{core, datetime, regex, string, unicode};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::{Case, InList, Like};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr as Sql, Operator, ScalarUDF, TryCast, and, binary_expr, lit, or};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use millstream_core::config::clean::CompareOp;
use millstream_core::expr::functions::Function;
use millstream_core::expr::literal::{Literal, Value};
use millstream_core::expr::{ArithmeticOp, ColumnRef, Expr, Piece};
use millstream_core::types::{ColumnType, ValueType};

use super::one_form::one_form;

/// The expression over a schema.
pub(super) fn physical(expr: &Expr, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let schema = DFSchema::try_from(Arc::clone(schema))?;
    create_physical_expr(&emit(expr), &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())
}

/// A literal as DataFusion has it.
pub(super) fn scalar(literal: &Literal) -> ScalarValue {
    let utc = || Some("UTC".into());
    match (&literal.value, literal.column_type) {
        (Value::Null, of) => ScalarValue::try_new_null(&of.arrow_type()).unwrap_or(ScalarValue::Null),
        (Value::Boolean(value), _) => ScalarValue::Boolean(Some(*value)),
        (Value::Text(text), ColumnType::Binary) => ScalarValue::Binary(Some(text.clone().into_bytes())),
        (Value::Text(text), _) => ScalarValue::Utf8(Some(text.clone())),
        (Value::Days(days), _) => ScalarValue::Date32(Some(*days)),
        (Value::Micros(micros), _) => ScalarValue::TimestampMicrosecond(Some(*micros), utc()),
        (Value::Decimal(digits), of) => {
            let (precision, scale) = of.decimal_digits().unwrap_or((38, 0));
            ScalarValue::Decimal128(Some(*digits), precision, scale.cast_signed())
        }
        #[expect(clippy::cast_possible_truncation, reason = "a literal of this type holds no other values")]
        (Value::Float(value), ColumnType::Float32) => ScalarValue::Float32(Some(*value as f32)),
        (Value::Float(value), _) => ScalarValue::Float64(Some(*value)),
        // A literal of a narrow type holds no wider value, so nothing is lost.
        (Value::Integer(value), ColumnType::Int8) => ScalarValue::Int8(i8::try_from(*value).ok()),
        (Value::Integer(value), ColumnType::Int16) => ScalarValue::Int16(i16::try_from(*value).ok()),
        (Value::Integer(value), ColumnType::Int32) => ScalarValue::Int32(i32::try_from(*value).ok()),
        (Value::Integer(value), _) => ScalarValue::Int64(Some(*value)),
    }
}

fn emit(expr: &Expr) -> Sql {
    match expr {
        Expr::Column(column) => emit_column(column),
        Expr::Literal(literal) => Sql::Literal(scalar(literal), None),
        Expr::Null => Sql::Literal(ScalarValue::Boolean(None), None),
        Expr::Cast { expr, to } => try_cast(emit(expr), to.arrow_type()),
        Expr::Shift { expr, micros } => {
            let moved = binary_expr(try_cast(emit(expr), DataType::Int64), Operator::Plus, lit(*micros));
            try_cast(moved, ColumnType::Timestamp.arrow_type())
        }
        Expr::Compare { op, left, right } => emit_compare(*op, left, right),
        Expr::And(parts) => parts.iter().map(emit).reduce(and).unwrap_or_else(|| lit(true)),
        Expr::Or(parts) => parts.iter().map(emit).reduce(or).unwrap_or_else(|| lit(false)),
        Expr::Not(inner) => Sql::Not(Box::new(emit(inner))),
        Expr::IsNull(inner) => Sql::IsNull(Box::new(emit(inner))),
        Expr::InList { expr, list } => {
            let items = list.iter().map(|item| Sql::Literal(scalar(&in_one_form(item)), None)).collect();
            Sql::InList(InList::new(Box::new(comparable(expr)), items, false))
        }
        Expr::Like { expr, pattern } => {
            Sql::Like(Like::new(false, Box::new(emit(expr)), Box::new(lit(pattern.as_str())), None, false))
        }
        Expr::Matches { expr, pattern } => binary_expr(emit(expr), Operator::RegexMatch, lit(pattern.as_str())),
        Expr::Rewrite { expr, pattern, template } => {
            let args = vec![emit(expr), lit(pattern.as_str()), lit(replacement(template))];
            try_cast(regex::regexp_replace().call(args), DataType::Utf8)
        }
        Expr::Arithmetic { op, left, right, of } => emit_arithmetic(*op, left, right, *of),
        Expr::Case { branches, otherwise } => {
            let of = expr.value_type().arrow_type();
            let branch =
                |(condition, result): &(Expr, Expr)| (Box::new(emit(condition)), Box::new(emit_as(result, &of)));
            let otherwise = otherwise.as_ref().map(|otherwise| Box::new(emit_as(otherwise, &of)));
            Sql::Case(Case::new(None, branches.iter().map(branch).collect(), otherwise))
        }
        Expr::Call { function, args } => emit_call(*function, args),
    }
}

fn try_cast(expr: Sql, to: DataType) -> Sql {
    Sql::TryCast(TryCast::new(Box::new(expr), to))
}

/// The expression, where a bare NULL takes the type of its place.
fn emit_as(expr: &Expr, of: &DataType) -> Sql {
    if *expr == Expr::Null {
        Sql::Literal(ScalarValue::try_new_null(of).unwrap_or(ScalarValue::Null), None)
    } else {
        emit(expr)
    }
}

fn emit_column(column: &ColumnRef) -> Sql {
    let mut path = column.path.iter();
    let first = path.next().map(String::as_str).unwrap_or_default();
    let mut at = Sql::Column(datafusion::common::Column::new_unqualified(first));
    for field in path {
        let value = core::get_field().call(vec![at.clone(), lit(field.as_str())]);
        at = when(Sql::IsNotNull(Box::new(at)), value, None);
    }
    at
}

fn when(condition: Sql, then: Sql, otherwise: Option<Sql>) -> Sql {
    Sql::Case(Case::new(None, vec![(Box::new(condition), Box::new(then))], otherwise.map(Box::new)))
}

fn emit_compare(op: CompareOp, left: &Expr, right: &Expr) -> Sql {
    let op = match op {
        CompareOp::Equal => Operator::Eq,
        CompareOp::NotEqual => Operator::NotEq,
        CompareOp::Less => Operator::Lt,
        CompareOp::LessOrEqual => Operator::LtEq,
        CompareOp::Greater => Operator::Gt,
        CompareOp::GreaterOrEqual => Operator::GtEq,
    };
    binary_expr(comparable(left), op, comparable(right))
}

/// The expression; a float in the form in which it can be compared.
fn comparable(expr: &Expr) -> Sql {
    match (expr, expr.value_type().scalar()) {
        (Expr::Literal(literal), _) => Sql::Literal(scalar(&in_one_form(literal)), None),
        (_, Some(ColumnType::Float32 | ColumnType::Float64)) => one_form(emit(expr)),
        _ => emit(expr),
    }
}

fn in_one_form(literal: &Literal) -> Literal {
    let value = match &literal.value {
        Value::Float(value) if value.is_nan() => Value::Float(f64::NAN),
        Value::Float(value) => Value::Float(value + 0.0),
        other => other.clone(),
    };
    Literal::new(value, literal.column_type)
}

fn emit_arithmetic(op: ArithmeticOp, left: &Expr, right: &Expr, of: ColumnType) -> Sql {
    let operator = match op {
        ArithmeticOp::Add => Operator::Plus,
        ArithmeticOp::Subtract => Operator::Minus,
        ArithmeticOp::Multiply => Operator::Multiply,
        ArithmeticOp::Divide => {
            let divisor = comparable(right);
            let zero = binary_expr(divisor.clone(), Operator::Eq, lit(0.0_f64));
            let divisor = when(zero, Sql::Literal(ScalarValue::Float64(None), None), Some(divisor));
            return binary_expr(emit(left), Operator::Divide, divisor);
        }
    };
    if of != ColumnType::Int64 || (is_small(left) && is_small(right)) {
        return try_cast(binary_expr(emit(left), operator, emit(right)), of.arrow_type());
    }
    let wide = |expr| try_cast(emit(expr), DataType::Decimal128(19, 0));
    try_cast(binary_expr(wide(left), operator, wide(right)), DataType::Int64)
}

/// Whether an int64 holds a value of at most 32 bits, so that a sum or product of two does not overflow.
fn is_small(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(Literal { value: Value::Integer(value), .. }) => i32::try_from(*value).is_ok(),
        Expr::Cast { expr, .. } => {
            matches!(expr.value_type(), ValueType::Scalar(ColumnType::Int8 | ColumnType::Int16 | ColumnType::Int32))
        }
        _ => false,
    }
}

/// `\1` for a group; a backslash in the text is doubled, and so is a dollar sign, which Rust's templates read.
fn replacement(template: &[Piece]) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.replace('\\', "\\\\").replace('$', "$$"),
        Piece::Group(group) => format!("\\{group}"),
    };
    template.iter().map(piece).collect()
}

fn emit_call(function: Function, args: &[Expr]) -> Sql {
    let text = |udf: Arc<ScalarUDF>| {
        try_cast(udf.call(args.iter().map(|arg| emit_as(arg, &DataType::Utf8)).collect()), DataType::Utf8)
    };
    let part = |name: &str| {
        try_cast(
            datetime::date_part().call(vec![lit(name), emit_as(&args[0], &ColumnType::Timestamp.arrow_type())]),
            DataType::Int32,
        )
    };
    // Not `date_trunc`, which knows no times that do not fit nanoseconds.
    let cut = |micros: i64| {
        let time = try_cast(emit(&args[0]), DataType::Int64);
        let rest = |value: Sql| binary_expr(value, Operator::Modulo, lit(micros));
        let rest = rest(binary_expr(rest(time.clone()), Operator::Plus, lit(micros)));
        try_cast(binary_expr(time, Operator::Minus, rest), ColumnType::Timestamp.arrow_type())
    };
    let first_day = |month: Sql| {
        let first = datetime::make_date().call(vec![part("year"), month, lit(1)]);
        try_cast(first, ColumnType::Timestamp.arrow_type())
    };
    match function {
        Function::Lower => text(string::lower()),
        Function::Upper => text(string::upper()),
        Function::Trim => text(string::btrim()),
        Function::TrimStart => text(string::ltrim()),
        Function::TrimEnd => text(string::rtrim()),
        Function::PadStart => text(unicode::lpad()),
        Function::PadEnd => text(unicode::rpad()),
        Function::SplitPart => text(string::split_part()),
        Function::Replace => text(string::replace()),
        Function::ConcatWs => text(string::concat_ws()),
        Function::Concat => {
            let parts = args.iter().map(|arg| emit_as(arg, &DataType::Utf8));
            let joined = parts.reduce(|left, right| binary_expr(left, Operator::StringConcat, right));
            joined.unwrap_or_else(|| lit(""))
        }
        Function::Length => {
            try_cast(unicode::character_length().call(args.iter().map(emit).collect()), DataType::Int32)
        }
        Function::Coalesce => {
            let of = function.value_type(args).arrow_type();
            let Some((last, rest)) = args.split_last() else { return lit(ScalarValue::Null) };
            let branch = |arg: &Expr| {
                let value = emit_as(arg, &of);
                (Box::new(Sql::IsNotNull(Box::new(value.clone()))), Box::new(value))
            };
            if rest.is_empty() {
                return emit_as(last, &of);
            }
            Sql::Case(Case::new(None, rest.iter().map(branch).collect(), Some(Box::new(emit_as(last, &of)))))
        }
        Function::Year => part("year"),
        Function::Month => part("month"),
        Function::Day => part("day"),
        Function::Hour => part("hour"),
        Function::Minute => part("minute"),
        Function::TruncateMinute => cut(60_000_000),
        Function::TruncateHour => cut(3_600_000_000),
        Function::TruncateDay => cut(86_400_000_000),
        Function::TruncateMonth => first_day(part("month")),
        Function::TruncateYear => first_day(lit(1)),
    }
}
