//! Makes nodes whose operands have the types that the node asks for: the implicit conversions of the tree.
//!
//! Only conversions that keep every value are implicit: a literal to the type of the other side, integers to wider ones,
//! numbers to a common decimal, any number next to a float to float64, a date next to a timestamp to its midnight.

use super::convert::in_calendar;
use super::literal::{Literal, Value};
use super::{ArithmeticOp, Expr, SqlRefusal};
use crate::config::clean::CompareOp;
use crate::types::{ColumnType, ValueType};

/// Compares two expressions in their common type.
///
/// # Errors
/// If they have none.
pub fn compare(op: CompareOp, left: Expr, right: Expr) -> Result<Expr, SqlRefusal> {
    let (left, right) = unify(left, right)?;
    if left == Expr::Null {
        return Ok(Expr::Literal(Literal::null(ColumnType::Boolean)));
    }
    Ok(Expr::compare(op, left, right))
}

/// `low <= expr AND expr <= high`.
///
/// # Errors
/// If types do not go together.
pub fn between(expr: &Expr, low: Expr, high: Expr) -> Result<Expr, SqlRefusal> {
    Ok(Expr::And(vec![
        compare(CompareOp::GreaterOrEqual, expr.clone(), low)?,
        compare(CompareOp::LessOrEqual, expr.clone(), high)?,
    ]))
}

/// Whether the expression equals one of the literals. NULL in the list is refused, for `x NOT IN (1, NULL)` is never TRUE.
///
/// # Errors
/// If types do not go together.
pub fn in_list(expr: Expr, list: &[Literal]) -> Result<Expr, SqlRefusal> {
    let Some(of) = scalar(&expr)? else { return Ok(Expr::Literal(Literal::null(ColumnType::Boolean))) };
    if list.iter().any(|literal| literal.value == Value::Null) {
        return Err(SqlRefusal::Unsupported { what: "NULL in a list".to_owned(), way_out: "write IS NULL" });
    }
    if let Some(list) = list.iter().map(|literal| literal.fold(of)).collect::<Option<Vec<_>>>() {
        return Ok(Expr::InList { expr: Box::new(expr), list });
    }
    let parts = list.iter().map(|literal| compare(CompareOp::Equal, expr.clone(), Expr::Literal(literal.clone())));
    Ok(Expr::Or(parts.collect::<Result<_, _>>()?))
}

/// Calculates by the rules at the top of [`super`].
///
/// # Errors
/// If an operand is no number or the result has more than 38 digits.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
pub fn arithmetic(op: ArithmeticOp, left: Expr, right: Expr) -> Result<Expr, SqlRefusal> {
    let types = [scalar(&left)?, scalar(&right)?];
    if let Some(odd) = types.iter().flatten().find(|of| !of.is_number()) {
        return Err(SqlRefusal::Types(format!("`{odd}` cannot be calculated with")));
    }
    let known = |index: usize| types[index].or(types[1 - index]).unwrap_or(ColumnType::Int64);
    let of = arithmetic_type(op, known(0), known(1))?;
    let operand = |expr: Expr, own: ColumnType| match of {
        ColumnType::Decimal { .. } => {
            let (precision, scale) = own.decimal_digits().unwrap_or((38, 0));
            implicit(expr, ColumnType::Decimal { precision, scale })
        }
        _ => implicit(expr, of),
    };
    let left = Box::new(operand(left, known(0))?);
    let right = Box::new(operand(right, known(1))?);
    Ok(Expr::Arithmetic { op, left, right, of })
}

fn arithmetic_type(op: ArithmeticOp, left: ColumnType, right: ColumnType) -> Result<ColumnType, SqlRefusal> {
    if op == ArithmeticOp::Divide || left.is_float() || right.is_float() {
        return Ok(ColumnType::Float64);
    }
    if left.is_integer() && right.is_integer() {
        return Ok(ColumnType::Int64);
    }
    let (Some((p1, s1)), Some((p2, s2))) = (left.decimal_digits(), right.decimal_digits()) else {
        return Err(SqlRefusal::Types(format!("`{left}` and `{right}` cannot be calculated with")));
    };
    let (precision, scale) = match op {
        ArithmeticOp::Multiply => (p1 + p2 + 1, s1 + s2),
        ArithmeticOp::Add | ArithmeticOp::Subtract | ArithmeticOp::Divide => {
            ((p1 - s1).max(p2 - s2) + s1.max(s2) + 1, s1.max(s2))
        }
    };
    if precision > 38 {
        return Err(SqlRefusal::Types(format!(
            "a result of `{left}` and `{right}` may have {precision} digits, more than 38; cast one of them to a smaller decimal or to double"
        )));
    }
    Ok(ColumnType::Decimal { precision, scale })
}

/// `-expr`: a negated literal, or `0 - expr` (`-1 * expr` for floats, so that 0 becomes -0).
///
/// # Errors
/// If it is no number.
pub fn negate(expr: Expr) -> Result<Expr, SqlRefusal> {
    if let Expr::Literal(Literal { value, column_type }) = &expr {
        let value = match value {
            Value::Integer(value) => value.checked_neg().map(Value::Integer),
            Value::Float(value) => Some(Value::Float(-value)),
            Value::Decimal(digits) => Some(Value::Decimal(-digits)),
            Value::Null | Value::Boolean(_) | Value::Text(_) | Value::Days(_) | Value::Micros(_) => None,
        };
        if let Some(value) = value {
            return Ok(Expr::Literal(Literal::new(value, *column_type)));
        }
    }
    if scalar(&expr)?.is_some_and(ColumnType::is_float) {
        return arithmetic(ArithmeticOp::Multiply, Expr::Literal(Literal::float(-1.0)), expr);
    }
    arithmetic(ArithmeticOp::Subtract, Expr::Literal(Literal::integer(0)), expr)
}

/// `CASE` with all results in their common type.
///
/// # Errors
/// If a condition is no boolean or the results have no common type.
pub fn case(branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Result<Expr, SqlRefusal> {
    let mut common: Option<ColumnType> = None;
    for result in branches.iter().map(|(_, result)| result).chain(otherwise.as_ref()) {
        let Some(of) = scalar(result)? else { continue };
        common = Some(common.map_or(Ok(of), |so_far| common_type(so_far, of))?);
    }
    let Some(of) = common else { return Ok(Expr::Null) };
    let branches = branches
        .into_iter()
        .map(|(condition, result)| Ok((boolean(condition)?, implicit(result, of)?)))
        .collect::<Result<_, SqlRefusal>>()?;
    let otherwise = otherwise.map(|result| implicit(result, of)).transpose()?.map(Box::new);
    Ok(Expr::Case { branches, otherwise })
}

/// The expression as a truth value.
///
/// # Errors
/// If it is of another type.
pub fn boolean(expr: Expr) -> Result<Expr, SqlRefusal> {
    expect(expr, ColumnType::Boolean, "a truth value")
}

/// The expression as a text.
///
/// # Errors
/// If it is of another type.
pub fn text(expr: Expr) -> Result<Expr, SqlRefusal> {
    expect(expr, ColumnType::Text, "a text")
}

fn expect(expr: Expr, of: ColumnType, what: &str) -> Result<Expr, SqlRefusal> {
    match scalar(&expr)? {
        None => Ok(Expr::Literal(Literal::null(of))),
        Some(found) if found == of => Ok(expr),
        Some(found) => Err(SqlRefusal::Types(format!("{what} is wanted, here is `{found}`"))),
    }
}

/// The type of a value that is not nested; none for a bare NULL.
///
/// # Errors
/// If it is nested.
pub fn scalar(expr: &Expr) -> Result<Option<ColumnType>, SqlRefusal> {
    match expr.value_type() {
        ValueType::Null => Ok(None),
        ValueType::Scalar(scalar) => Ok(Some(scalar)),
        nested @ (ValueType::List(_) | ValueType::Struct(_) | ValueType::Map(..)) => {
            Err(SqlRefusal::Types(format!("a value of type `{nested}` cannot be compared or calculated with")))
        }
    }
}

/// Both expressions in their common type; both [`Expr::Null`] if neither has a type.
///
/// # Errors
/// If they have no common type.
pub fn unify(left: Expr, right: Expr) -> Result<(Expr, Expr), SqlRefusal> {
    let (Some(left_type), Some(right_type)) = (scalar(&left)?, scalar(&right)?) else {
        return match (scalar(&left)?, scalar(&right)?) {
            (Some(of), _) => Ok((left, Expr::Literal(Literal::null(of)))),
            (_, Some(of)) => Ok((Expr::Literal(Literal::null(of)), right)),
            _ => Ok((Expr::Null, Expr::Null)),
        };
    };
    if let Expr::Literal(literal) = &right
        && let Some(folded) = literal.fold(left_type)
    {
        return Ok((left, Expr::Literal(folded)));
    }
    if let Expr::Literal(literal) = &left
        && let Some(folded) = literal.fold(right_type)
    {
        return Ok((Expr::Literal(folded), right));
    }
    let of = common_type(left_type, right_type)?;
    Ok((implicit(left, of)?, implicit(right, of)?))
}

/// The type that holds the values of both.
fn common_type(left: ColumnType, right: ColumnType) -> Result<ColumnType, SqlRefusal> {
    let none = || SqlRefusal::Types(format!("`{left}` and `{right}` do not go together"));
    if left == right {
        return Ok(left);
    }
    if left.is_integer() && right.is_integer() {
        return Ok(if left.widens_to(right) { right } else { left });
    }
    if left.is_number() && right.is_number() && (left.is_float() || right.is_float()) {
        return Ok(ColumnType::Float64);
    }
    if let (Some((p1, s1)), Some((p2, s2))) = (left.decimal_digits(), right.decimal_digits()) {
        let scale = s1.max(s2);
        let precision = (p1 - s1).max(p2 - s2) + scale;
        return if precision <= 38 { Ok(ColumnType::Decimal { precision, scale }) } else { Err(none()) };
    }
    match (left, right) {
        (ColumnType::Date, ColumnType::Timestamp) | (ColumnType::Timestamp, ColumnType::Date) => {
            Ok(ColumnType::Timestamp)
        }
        _ => Err(none()),
    }
}

/// The expression in a type that holds all of its values.
fn implicit(expr: Expr, to: ColumnType) -> Result<Expr, SqlRefusal> {
    let Some(from) = scalar(&expr)? else { return Ok(Expr::Literal(Literal::null(to))) };
    if from == to {
        return Ok(expr);
    }
    if let Expr::Literal(literal) = &expr
        && let Some(folded) = literal.fold(to)
    {
        return Ok(Expr::Literal(folded));
    }
    if from == ColumnType::Date {
        // To a timestamp.
        let is_known = in_calendar(&expr);
        return Ok(expr.cast(to).only_if(is_known));
    }
    Ok(expr.cast(to))
}
