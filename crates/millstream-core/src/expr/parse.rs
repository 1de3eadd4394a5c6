//! SQL of the pipeline file, read by `sqlparser`, brought to the tree.
//!
//! Names are matched exactly; `a.b` is a field of a struct column. `CAST` and `TRY_CAST` are the same: NULL where a value
//! does not fit. A text literal next to a date, a time or a number column takes its type.

use sqlparser::ast::{
    self, BinaryOperator, CaseWhen, CastKind, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::convert::convert;
use super::formats::TimeForms;
use super::functions::{self, Function};
use super::interval::shifted;
use super::literal::{Literal, Value, number};
use super::pattern::Pattern;
use super::{ArithmeticOp, Expr, Scope, SqlRefusal, build};
use crate::config::clean::CompareOp;
use crate::types::{ColumnType, ValueType};

/// Reads an SQL expression over the columns of a scope.
///
/// # Errors
/// Says what is not read, not there, not in the list, or of the wrong type.
pub fn parse_sql(sql: &str, scope: &Scope) -> Result<Expr, SqlRefusal> {
    tree(&syntax(sql)?, scope)
}

/// Reads a condition: an SQL expression that is TRUE, FALSE or NULL.
///
/// # Errors
/// As [`parse_sql`], or if it is of another type.
pub fn parse_condition(sql: &str, scope: &Scope) -> Result<Expr, SqlRefusal> {
    build::boolean(parse_sql(sql, scope)?)
}

/// Names of all columns that an SQL expression reads, without a scope; each once.
///
/// # Errors
/// If it is no SQL expression.
pub fn column_names(sql: &str) -> Result<Vec<String>, SqlRefusal> {
    let mut names: Vec<String> = Vec::new();
    let parsed = syntax(sql)?;
    let _: std::ops::ControlFlow<()> = ast::visit_expressions(&parsed, |expr| {
        if let Some(name) = name_of(expr)
            && !names.contains(&name)
        {
            names.push(name);
        }
        std::ops::ControlFlow::Continue(())
    });
    Ok(names)
}

/// Checks what can be checked of an SQL expression without knowing the columns: that it is read, and that its functions are
/// in the list.
///
/// # Errors
/// As [`parse_sql`].
pub fn check_sql(sql: &str) -> Result<(), SqlRefusal> {
    let scope = column_names(sql)?.into_iter().map(|name| (name, ValueType::Null)).collect();
    parse_sql(sql, &Scope::new(scope)).map(|_| ())
}

fn syntax(sql: &str) -> Result<ast::Expr, SqlRefusal> {
    let refuse = |reason: String| SqlRefusal::Syntax { sql: sql.to_owned(), reason };
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(sql).map_err(|error| refuse(error.to_string()))?;
    let parsed = parser.parse_expr().map_err(|error| refuse(error.to_string()))?;
    let next = parser.peek_token();
    if next.token == Token::EOF { Ok(parsed) } else { Err(refuse(format!("`{next}` is too much"))) }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn name_of(expr: &ast::Expr) -> Option<String> {
    match expr {
        ast::Expr::Identifier(name) => Some(name.value.clone()),
        ast::Expr::CompoundIdentifier(parts) => {
            Some(parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join("."))
        }
        _ => None,
    }
}

fn unsupported(what: &impl ToString) -> SqlRefusal {
    SqlRefusal::Unsupported { what: what.to_string(), way_out: "" }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn tree(expr: &ast::Expr, scope: &Scope) -> Result<Expr, SqlRefusal> {
    use ast::Expr as Sql;
    let sub = |expr: &ast::Expr| tree(expr, scope);
    match expr {
        Sql::Identifier(name) => scope.column(&name.value),
        Sql::CompoundIdentifier(_) => scope.column(&name_of(expr).unwrap_or_default()),
        Sql::Nested(inner) => sub(inner),
        Sql::Value(value) => literal(&value.value),
        Sql::TypedString(typed) => typed_literal(typed),
        Sql::IsNull(inner) => Ok(null_test(sub(inner)?)),
        Sql::IsNotNull(inner) => Ok(null_test(sub(inner)?).negated()),
        Sql::IsTrue(inner) => Ok(is(build::boolean(sub(inner)?)?, true)),
        Sql::IsNotTrue(inner) => Ok(is(build::boolean(sub(inner)?)?, true).negated()),
        Sql::IsFalse(inner) => Ok(is(build::boolean(sub(inner)?)?, false)),
        Sql::IsNotFalse(inner) => Ok(is(build::boolean(sub(inner)?)?, false).negated()),
        Sql::InList { expr, list, negated } => {
            let found = in_list(sub(expr)?, list, scope)?;
            Ok(if *negated { found.negated() } else { found })
        }
        Sql::Between { expr, negated, low, high } => {
            let found = build::between(&sub(expr)?, sub(low)?, sub(high)?)?;
            Ok(if *negated { found.negated() } else { found })
        }
        Sql::BinaryOp { left, op, right } => match right.as_ref() {
            Sql::Interval(interval) => shifted(sub(left)?, op, interval),
            _ => binary(op, sub(left)?, sub(right)?),
        },
        Sql::UnaryOp { op: UnaryOperator::Not, expr } => Ok(build::boolean(sub(expr)?)?.negated()),
        Sql::UnaryOp { op: UnaryOperator::Minus, expr } => build::negate(sub(expr)?),
        Sql::UnaryOp { op: UnaryOperator::Plus, expr } => sub(expr),
        Sql::Like { negated, any: false, expr, pattern, escape_char: None } => {
            let found = like(sub(expr)?, sub(pattern)?)?;
            Ok(if *negated { found.negated() } else { found })
        }
        Sql::Cast {
            kind: CastKind::Cast | CastKind::TryCast | CastKind::DoubleColon,
            expr,
            data_type,
            format: None,
            ..
        } => {
            let to = type_named(&data_type.to_string())?;
            convert(sub(expr)?, to, &TimeForms::default()).map_err(|error| SqlRefusal::Types(error.to_string()))
        }
        Sql::Extract { field, expr, .. } => functions::part(&field.to_string().to_lowercase(), sub(expr)?),
        Sql::Trim { trim_where: None, trim_what: None, expr, trim_characters: None } => {
            functions::call("trim", vec![sub(expr)?])
        }
        Sql::Case { operand, conditions, else_result, .. } => {
            case(operand.as_deref(), conditions, else_result.as_deref(), scope)
        }
        Sql::Function(function) => call(function, scope),
        other => Err(unsupported(other)),
    }
}

fn null_test(expr: Expr) -> Expr {
    if expr == Expr::Null { Expr::Literal(Literal::boolean(true)) } else { expr.is_null() }
}

/// `expr IS TRUE` or `expr IS FALSE`: never NULL.
fn is(expr: Expr, value: bool) -> Expr {
    let present = expr.clone().is_null().negated();
    Expr::And(vec![present, if value { expr } else { expr.negated() }])
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn literal(value: &ast::Value) -> Result<Expr, SqlRefusal> {
    match value {
        ast::Value::Number(text, _) => number(text)
            .map(Expr::Literal)
            .ok_or_else(|| SqlRefusal::Types(format!("number `{text}` has more than 38 digits"))),
        ast::Value::SingleQuotedString(text) => Ok(Expr::Literal(Literal::text(text))),
        ast::Value::Boolean(value) => Ok(Expr::Literal(Literal::boolean(*value))),
        ast::Value::Null => Ok(Expr::Null),
        other => Err(unsupported(other)),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn typed_literal(typed: &ast::TypedString) -> Result<Expr, SqlRefusal> {
    let to = type_named(&typed.data_type.to_string())?;
    let ast::Value::SingleQuotedString(text) = &typed.value.value else { return Err(unsupported(typed)) };
    let bad = || SqlRefusal::Types(format!("`{text}` is not a {to}"));
    match to {
        ColumnType::Date | ColumnType::Timestamp => Literal::text(text).fold(to).map(Expr::Literal).ok_or_else(bad),
        _ => Err(unsupported(typed)),
    }
}

/// A type by the name that the pipeline file gives it, or by its SQL name.
fn type_named(name: &str) -> Result<ColumnType, SqlRefusal> {
    let lower = name.to_lowercase();
    let own = match lower.as_str() {
        "tinyint" => "int8",
        "smallint" => "int16",
        "int" | "integer" => "int32",
        "bigint" => "int64",
        "real" | "float" => "float32",
        "double" | "double precision" => "float64",
        "bool" => "boolean",
        "text" | "varchar" => "string",
        other => other,
    };
    own.strip_prefix("numeric").map_or_else(|| own.to_owned(), |digits| format!("decimal{digits}")).parse().map_err(
        |_| SqlRefusal::Unsupported { what: name.to_owned(), way_out: "types are named as in [clean.columns]" },
    )
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn in_list(expr: Expr, list: &[ast::Expr], scope: &Scope) -> Result<Expr, SqlRefusal> {
    let items = list
        .iter()
        .map(|item| match tree(item, scope)? {
            Expr::Literal(literal) => Ok(literal),
            Expr::Null => Ok(Literal::null(ColumnType::Boolean)),
            _ => Err(SqlRefusal::Unsupported { what: item.to_string(), way_out: "a list of IN holds literals" }),
        })
        .collect::<Result<Vec<_>, _>>()?;
    build::in_list(expr, &items)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn binary(op: &BinaryOperator, left: Expr, right: Expr) -> Result<Expr, SqlRefusal> {
    let compared = match op {
        BinaryOperator::Eq => Some(CompareOp::Equal),
        BinaryOperator::NotEq => Some(CompareOp::NotEqual),
        BinaryOperator::Lt => Some(CompareOp::Less),
        BinaryOperator::LtEq => Some(CompareOp::LessOrEqual),
        BinaryOperator::Gt => Some(CompareOp::Greater),
        BinaryOperator::GtEq => Some(CompareOp::GreaterOrEqual),
        _ => None,
    };
    if let Some(op) = compared {
        return build::compare(op, left, right);
    }
    match op {
        BinaryOperator::And => Ok(Expr::And(vec![build::boolean(left)?, build::boolean(right)?])),
        BinaryOperator::Or => Ok(Expr::Or(vec![build::boolean(left)?, build::boolean(right)?])),
        BinaryOperator::Plus => build::arithmetic(ArithmeticOp::Add, left, right),
        BinaryOperator::Minus => build::arithmetic(ArithmeticOp::Subtract, left, right),
        BinaryOperator::Multiply => build::arithmetic(ArithmeticOp::Multiply, left, right),
        BinaryOperator::Divide => build::arithmetic(ArithmeticOp::Divide, left, right),
        BinaryOperator::StringConcat => {
            Ok(Expr::Call { function: Function::Concat, args: vec![build::text(left)?, build::text(right)?] })
        }
        other => Err(SqlRefusal::Unsupported {
            what: other.to_string(),
            way_out: "operators are + - * / || = != < <= > >= AND OR NOT",
        }),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
fn like(expr: Expr, pattern: Expr) -> Result<Expr, SqlRefusal> {
    match pattern {
        Expr::Literal(Literal { value: Value::Text(pattern), .. }) if !pattern.contains('\\') => {
            Ok(Expr::Like { expr: Box::new(build::text(expr)?), pattern })
        }
        _ => Err(SqlRefusal::Types("LIKE takes its pattern as a literal without a backslash".to_owned())),
    }
}

fn case(
    operand: Option<&ast::Expr>,
    conditions: &[CaseWhen],
    otherwise: Option<&ast::Expr>,
    scope: &Scope,
) -> Result<Expr, SqlRefusal> {
    let operand = operand.map(|operand| tree(operand, scope)).transpose()?;
    let branches = conditions
        .iter()
        .map(|branch| {
            let condition = tree(&branch.condition, scope)?;
            let condition = match &operand {
                Some(operand) => build::compare(CompareOp::Equal, operand.clone(), condition)?,
                None => condition,
            };
            Ok((condition, tree(&branch.result, scope)?))
        })
        .collect::<Result<_, SqlRefusal>>()?;
    build::case(branches, otherwise.map(|otherwise| tree(otherwise, scope)).transpose()?)
}

fn call(function: &ast::Function, scope: &Scope) -> Result<Expr, SqlRefusal> {
    let name = function.name.to_string().to_lowercase();
    let plain = function.over.is_none()
        && function.filter.is_none()
        && function.null_treatment.is_none()
        && function.within_group.is_empty()
        && matches!(function.parameters, FunctionArguments::None);
    let FunctionArguments::List(list) = &function.args else { return Err(SqlRefusal::UnknownFunction { name }) };
    if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return Err(unsupported(function));
    }
    let mut args = Vec::new();
    for arg in &list.args {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg else { return Err(unsupported(function)) };
        args.push(arg);
    }
    // Named before its operands are read: an unknown function is the first thing to tell.
    if !functions::NAMES.split(", ").any(|known| known == name)
        && !matches!(name.as_str(), "btrim" | "character_length" | "concat")
    {
        return Err(SqlRefusal::UnknownFunction { name });
    }
    functions::call(&name, args.into_iter().map(|arg| tree(arg, scope)).collect::<Result<_, _>>()?)
}

/// A pattern check as a rule writes it.
pub(crate) fn matches(expr: Expr, pattern: Pattern) -> Result<Expr, SqlRefusal> {
    Ok(Expr::Matches { expr: Box::new(build::text(expr)?), pattern })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let scalar = |text: &str| ValueType::Scalar(text.parse().unwrap());
        Scope::new(vec![
            ("id".to_owned(), scalar("int32")),
            ("big".to_owned(), scalar("int64")),
            ("fare".to_owned(), scalar("decimal(10,2)")),
            ("tip".to_owned(), scalar("float64")),
            ("flag".to_owned(), scalar("string")),
            ("at".to_owned(), scalar("timestamp")),
            ("day".to_owned(), scalar("date")),
            ("nothing".to_owned(), ValueType::Null),
            ("a".to_owned(), ValueType::Struct(vec![("b".to_owned(), scalar("int64"))])),
        ])
    }

    #[test]
    fn expressions_have_the_type_that_the_rules_give_them() {
        let cases = [
            ("id + 1", "int64"),
            ("id / 2", "float64"),
            ("fare * 2", "decimal(30,2)"),
            ("fare + fare", "decimal(11,2)"),
            ("at + INTERVAL '12' HOUR", "timestamp"),
            ("nothing - INTERVAL '12' HOUR", "timestamp"),
            ("fare + tip", "float64"),
            ("-fare", "decimal(22,2)"),
            ("tip / nullif(fare, 0)", "float64"),
            ("id NOT IN (264, 265)", "boolean"),
            ("at >= TIMESTAMP '2018-11-01 00:00:00Z' AND day < '2020-01-01'", "boolean"),
            ("CASE WHEN id > 1 THEN fare ELSE 0.005 END", "decimal(11,3)"),
            ("CASE id WHEN 1 THEN 'a' WHEN 2 THEN 'b' END", "string"),
            ("coalesce(nothing, id, big)", "int64"),
            ("a.b IS NOT NULL", "boolean"),
            ("CAST(flag AS int)", "int32"),
            ("lower(trim(flag)) || 'x'", "string"),
            ("extract(year FROM at) = 2018", "boolean"),
            ("flag LIKE 'a%' OR regexp_like(flag, '^b$')", "boolean"),
            ("NOT (tip BETWEEN 0 AND 1)", "boolean"),
            ("nothing > 3", "boolean"),
            ("abs(id)", "int64"),
        ];
        for (sql, expected) in cases {
            let found =
                parse_sql(sql, &scope()).map(|expr| expr.value_type().to_string()).map_err(|error| error.to_string());
            assert_eq!(found.as_deref(), Ok(expected), "{sql}");
        }
    }

    #[test]
    fn what_is_refused_is_named() {
        let cases = [
            ("fares > 1", "column `fares` is not there; did you mean `fare`?"),
            ("zzz > 1", "column `zzz` is not there"),
            ("initcap(flag) = 'A'", "function `initcap` is not in the list"),
            ("random() > 0.5", "function `random` is not in the list"),
            ("id = 'x'", "`int32` and `string` do not go together"),
            ("flag + 1", "`string` cannot be calculated with"),
            ("id > 1 id", "`id` is too much"),
            ("id >", "is not read as an SQL expression"),
            ("concat(flag, flag) = 'x'", "`concat` is not supported here; write `a || b`"),
            ("id IN (1, NULL)", "write IS NULL"),
            ("(SELECT 1) = 1", "is not supported here"),
            ("id % 2 = 0", "`%` is not supported here"),
            ("at + INTERVAL '1' MONTH", "an interval is written `INTERVAL '12' HOUR`"),
            ("at + INTERVAL '99999' DAY", "up to 36500 days"),
            ("id + INTERVAL '1' DAY", "an interval goes with a timestamp"),
            ("at > INTERVAL '1' DAY", "an interval is added to a time, or taken from it"),
            ("at > '2019-02-30'", "do not go together"),
            ("a = 1", "cannot be compared"),
            ("CAST(tip AS varchar)", "values of type `float64` cannot become `string`"),
            ("regexp_like(flag, '(?i)x')", "uses a `(?` group"),
        ];
        for (sql, expected) in cases {
            let found = parse_sql(sql, &scope()).map(|_| ()).map_err(|error| error.to_string());
            assert!(found.as_ref().is_err_and(|message| message.contains(expected)), "{sql}: {found:?}");
        }
    }

    #[test]
    fn integer_literals_do_not_widen_the_column() {
        let expr = parse_sql("id > 5", &scope()).unwrap();
        assert_eq!(
            expr,
            Expr::compare(
                CompareOp::Greater,
                Expr::column("id", ValueType::Scalar(ColumnType::Int32)),
                Expr::Literal(Literal::new(Value::Integer(5), ColumnType::Int32))
            )
        );
    }

    #[test]
    fn sql_is_checked_without_columns() {
        assert_eq!(check_sql("x.y > 3 AND lower(z) = 'a'"), Ok(()));
        assert!(matches!(check_sql("soundex(z) = 'a'"), Err(SqlRefusal::UnknownFunction { .. })));
        assert_eq!(column_names("a.b > c AND c > 1").as_deref(), Ok(["a.b".to_owned(), "c".to_owned()].as_slice()));
    }
}
