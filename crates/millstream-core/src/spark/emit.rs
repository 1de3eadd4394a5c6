//! From the expression tree to Spark SQL: node by node, with the types that the tree decided.
//!
//! Every piece has exactly the type that the tree gives it, so that Spark converts nothing by its own rules, and none raises an
//! error while rows flow. Where Spark differs from the tree it is mended here: it casts floats to decimals by their shortest
//! text, and decimals to floats exactly, where the tree calculates in float64; sets of floats tell -0.0 from 0.0; `CAST` of
//! bytes to text does not look at them.

mod call;
mod cast;
pub(super) mod literal;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use self::literal::{literal, text};
use crate::expr::literal::{Literal, Value};
use crate::expr::{ArithmeticOp, ColumnRef, Expr, Piece};
use crate::types::{ColumnType, ValueType};

/// What Spark calls a type.
#[must_use]
pub fn type_name(of: ColumnType) -> String {
    let name = match of {
        ColumnType::Int8 => "TINYINT",
        ColumnType::Int16 => "SMALLINT",
        ColumnType::Int32 => "INT",
        ColumnType::Int64 => "BIGINT",
        ColumnType::Float32 => "FLOAT",
        ColumnType::Float64 => "DOUBLE",
        ColumnType::Decimal { precision, scale } => return format!("DECIMAL({precision},{scale})"),
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Text => "STRING",
        ColumnType::Binary => "BINARY",
        ColumnType::Date => "DATE",
        ColumnType::Timestamp => "TIMESTAMP",
    };
    name.to_owned()
}

/// What Spark calls the type of a value, nested or not.
#[must_use]
pub fn value_type_name(of: &ValueType) -> String {
    match of {
        ValueType::Null => "VOID".to_owned(),
        ValueType::Scalar(scalar) => type_name(*scalar),
        ValueType::List(item) => format!("ARRAY<{}>", value_type_name(item)),
        ValueType::Struct(fields) => {
            let field = |(name, value): &(String, ValueType)| format!("{}: {}", quoted(name), value_type_name(value));
            format!("STRUCT<{}>", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        ValueType::Map(key, value) => format!("MAP<{}, {}>", value_type_name(key), value_type_name(value)),
    }
}

/// A name as an identifier.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// An expression as Spark SQL; `names` gives the identifier of a top-level column.
///
/// # Errors
/// If Spark has no equal way, with the reason.
pub fn emit(expr: &Expr, names: &dyn Fn(&str) -> String) -> Result<String, String> {
    Emitter { names }.emit(expr)
}

struct Emitter<'a> {
    names: &'a dyn Fn(&str) -> String,
}

impl Emitter<'_> {
    fn emit(&self, expr: &Expr) -> Result<String, String> {
        Ok(match expr {
            Expr::Column(column) => self.column(column),
            Expr::Literal(value) => literal(value),
            Expr::Null => "CAST(NULL AS BOOLEAN)".to_owned(),
            Expr::Cast { expr, to } => cast::cast(&self.emit(expr)?, expr.value_type().scalar(), *to),
            Expr::Shift { expr, micros } => {
                format!("timestamp_micros(try_add(unix_micros({}), {micros}L))", self.emit(expr)?)
            }
            Expr::Compare { op, left, right } => {
                format!("({} {} {})", self.emit(left)?, op.symbol(), self.emit(right)?)
            }
            Expr::And(parts) => self.joined(parts, " AND ", "true")?,
            Expr::Or(parts) => self.joined(parts, " OR ", "false")?,
            Expr::Not(inner) => format!("(NOT {})", self.emit(inner)?),
            Expr::IsNull(inner) => format!("({} IS NULL)", self.emit(inner)?),
            Expr::InList { expr, list } => in_list(&self.emit(expr)?, list),
            Expr::Like { expr, pattern } => format!("({} LIKE {})", self.emit(expr)?, text(pattern)),
            // Patterns of the portable kind mean the same to Java.
            Expr::Matches { expr, pattern } => format!("({} RLIKE {})", self.emit(expr)?, text(pattern.as_str())),
            Expr::Rewrite { expr, pattern, template } => format!(
                "regexp_replace({}, {}, {})",
                self.emit(expr)?,
                text(pattern.as_str()),
                text(&replacement(template))
            ),
            Expr::Arithmetic { op, left, right, of } => self.arithmetic(*op, left, right, *of)?,
            Expr::Case { branches, otherwise } => self.case(branches, otherwise.as_deref(), &expr.value_type())?,
            Expr::Call { function, args } => call::call(self, *function, args)?,
        })
    }

    /// The expression, where a bare NULL takes the type of its place.
    fn emit_as(&self, expr: &Expr, of: &ValueType) -> Result<String, String> {
        if *expr == Expr::Null { Ok(format!("CAST(NULL AS {})", value_type_name(of))) } else { self.emit(expr) }
    }

    /// A field of a struct that is NULL is NULL.
    fn column(&self, column: &ColumnRef) -> String {
        let mut path = column.path.iter();
        let mut sql = (self.names)(path.next().map(String::as_str).unwrap_or_default());
        for field in path {
            sql.push('.');
            sql.push_str(&quoted(field));
        }
        sql
    }

    fn joined(&self, parts: &[Expr], between: &str, empty: &str) -> Result<String, String> {
        let parts = parts.iter().map(|part| self.emit(part)).collect::<Result<Vec<_>, _>>()?;
        Ok(if parts.is_empty() { empty.to_owned() } else { format!("({})", parts.join(between)) })
    }

    fn case(&self, branches: &[(Expr, Expr)], otherwise: Option<&Expr>, of: &ValueType) -> Result<String, String> {
        let mut sql = "CASE".to_owned();
        for (condition, result) in branches {
            // Writing to a string does not fail.
            let _ = write!(sql, " WHEN {} THEN {}", self.emit(condition)?, self.emit_as(result, of)?);
        }
        if let Some(otherwise) = otherwise {
            let _ = write!(sql, " ELSE {}", self.emit_as(otherwise, of)?);
        }
        sql.push_str(" END");
        Ok(sql)
    }

    fn arithmetic(&self, op: ArithmeticOp, left: &Expr, right: &Expr, of: ColumnType) -> Result<String, String> {
        let (left, right) = (self.emit(left)?, self.emit(right)?);
        let (sign, or_null) = match op {
            ArithmeticOp::Add => ("+", "try_add"),
            ArithmeticOp::Subtract => ("-", "try_subtract"),
            ArithmeticOp::Multiply => ("*", "try_multiply"),
            ArithmeticOp::Divide => return Ok(format!("try_divide({left}, {right})")),
        };
        Ok(match of {
            ColumnType::Int64 => format!("{or_null}({left}, {right})"),
            // Spark's digits of a result are those of the tree as long as they are at most 38.
            ColumnType::Decimal { .. } => format!("CAST({or_null}({left}, {right}) AS {})", type_name(of)),
            ColumnType::Float64 => format!("({left} {sign} {right})"),
            ColumnType::Int8
            | ColumnType::Int16
            | ColumnType::Int32
            | ColumnType::Float32
            | ColumnType::Boolean
            | ColumnType::Text
            | ColumnType::Binary
            | ColumnType::Date
            | ColumnType::Timestamp => return Err(format!("nothing is calculated in `{of}`")),
        })
    }
}

/// Spark looks values up in a set when there are many, and a set of floats tells -0.0 from 0.0: zero is compared by itself.
fn in_list(value: &str, list: &[Literal]) -> String {
    let is_zero = |item: &&Literal| matches!(item.value, Value::Float(number) if number == 0.0);
    let zero = list.iter().find(is_zero).map(|zero| format!("{value} = {}", literal(zero)));
    let others: Vec<String> = list.iter().filter(|item| !is_zero(item)).map(literal).collect();
    let others = (!others.is_empty()).then(|| format!("{value} IN ({})", others.join(", ")));
    let parts: Vec<String> = zero.into_iter().chain(others).collect();
    format!("({})", parts.join(" OR "))
}

/// `$1` for a group; what Java's templates read is escaped.
fn replacement(template: &[Piece]) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.replace('\\', "\\\\").replace('$', "\\$"),
        Piece::Group(group) => format!("${group}"),
    };
    template.iter().map(piece).collect()
}
