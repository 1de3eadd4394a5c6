//! From checks to conditions of the expression tree.

use super::columns::Resolved;
use super::reason::Reason;
use super::{PlanRefusal, PlannedDerived, PlannedRule};
use crate::config::clean::{Action, Check, Clean, CompareOp, Literal as Written, Rule};
use crate::expr::functions::Function;
use crate::expr::literal::{Literal, Value};
use crate::expr::parse::{self, parse_condition};
use crate::expr::pattern::Pattern;
use crate::expr::{Expr, Scope, SqlRefusal, build};
use crate::types::{ColumnType, ValueType};

pub(super) fn plan_rules(
    clean: &Clean,
    resolved: &Resolved,
    derived: &[PlannedDerived],
) -> Result<Vec<PlannedRule>, PlanRefusal> {
    let mut columns = resolved.scope.clone();
    columns.extend(derived.iter().map(|column| (column.name.clone(), ValueType::Scalar(column.column_type))));
    let scope = Scope::new(columns);
    let names = resolved.columns.iter().map(|column| column.name.as_str());
    let places: Vec<&str> = names.chain(derived.iter().map(|column| column.name.as_str())).collect();
    let plan = |rule: &Rule| {
        let column = rule.column.as_deref().and_then(|name| places.iter().position(|place| *place == name));
        plan_rule(rule, column, &scope)
            .map_err(|error| PlanRefusal::Fail(format!("clean.rules.{}: {}", rule.name, with_way_out(&error))))
    };
    clean.rules.iter().map(plan).collect()
}

fn with_way_out(error: &SqlRefusal) -> String {
    match error {
        SqlRefusal::UnknownColumn { hint: None, .. } => {
            format!("{error}; if later files have it, declare it with a type under [clean.columns]")
        }
        SqlRefusal::UnknownColumn { .. }
        | SqlRefusal::Syntax { .. }
        | SqlRefusal::UnknownFunction { .. }
        | SqlRefusal::Unsupported { .. }
        | SqlRefusal::Types(_) => error.to_string(),
    }
}

/// A rule over a scope; `column` is the place of its column.
pub(super) fn plan_rule(rule: &Rule, column: Option<usize>, scope: &Scope) -> Result<PlannedRule, SqlRefusal> {
    let value = match &rule.column {
        Some(name) => scope.column(name)?,
        None => Expr::Null,
    };
    let name = rule.column.clone().unwrap_or_default();
    let (passes, reason) = match &rule.check {
        Check::NotNull => (present(value.clone()), Reason::Missing { column: name, when: None }),
        Check::RequiredIf(sql) => {
            let wanted = parse_condition(sql, scope)?;
            let wanted = Expr::And(vec![wanted.clone().is_null().negated(), wanted]);
            let passes = Expr::Or(vec![wanted.negated(), present(value.clone())]);
            (passes, Reason::Missing { column: name, when: Some(sql.clone()) })
        }
        Check::Range { min, max } => {
            let passes = range(&value, min.as_ref(), max.as_ref())?;
            (passes, Reason::Value { column: name, must: range_text(min.as_ref(), max.as_ref(), &value) })
        }
        Check::OneOf(list) => {
            let literals: Vec<Literal> = list.iter().map(|item| natural(item, &value)).collect();
            let allowed = literals.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            (
                build::in_list(value.clone(), &literals)?,
                Reason::Value { column: name, must: format!("allowed {allowed}") },
            )
        }
        Check::Pattern(pattern) => {
            let parsed = Pattern::parse(pattern).map_err(|error| SqlRefusal::Types(error.to_string()))?;
            (
                parse::matches(value.clone(), parsed)?,
                Reason::Value { column: name, must: format!("must match `{pattern}`") },
            )
        }
        Check::Length { min, max } => {
            length(&value, *min, *max).map(|(passes, must)| (passes, Reason::Value { column: name, must }))?
        }
        Check::Compare { op, with } => {
            let passes = build::compare(*op, value.clone(), scope.column(with)?)?;
            (passes, Reason::Compare { column: name, op: *op, with: with.clone() })
        }
        Check::Sql(sql) => (parse_condition(sql, scope)?, Reason::Sql { sql: sql.clone() }),
    };
    let clamped = match (&rule.action, &rule.check) {
        (Action::Clamp, Check::Range { min, max }) => Some(clamp(&value, min.as_ref(), max.as_ref())?),
        (Action::Clamp, _) => return Err(SqlRefusal::Types("action `clamp` goes with check `range` only".to_owned())),
        (Action::Reject | Action::Nullify | Action::Warn | Action::Fail, _) => None,
    };
    if matches!(rule.action, Action::Clamp | Action::Nullify) && column.is_none() && value != Expr::Null {
        return Err(SqlRefusal::Types(
            "actions `nullify` and `clamp` change a whole column, not a field of one".to_owned(),
        ));
    }
    Ok(PlannedRule { name: rule.name.clone(), column, passes, action: rule.action, clamped, reason })
}

fn present(value: Expr) -> Expr {
    if value == Expr::Null { Expr::Literal(Literal::boolean(false)) } else { value.is_null().negated() }
}

/// A written value; text next to a date or a time is one.
fn natural(written: &Written, value: &Expr) -> Literal {
    let literal = Literal::written(written);
    value.value_type().scalar().and_then(|to| literal.fold(to)).unwrap_or(literal)
}

/// `min <= value <= max`. NaN lies in no range, of either sign: the open side of a float range is an infinity.
fn range(value: &Expr, min: Option<&Written>, max: Option<&Written>) -> Result<Expr, SqlRefusal> {
    let float = value.value_type().scalar().is_some_and(ColumnType::is_float);
    let side = |op: CompareOp, bound: Option<&Written>, open: f64| {
        let bound = match bound {
            Some(bound) => natural(bound, value),
            None if float => Literal::float(open),
            None => return Ok(None),
        };
        build::compare(op, value.clone(), Expr::Literal(bound)).map(Some)
    };
    let low = side(CompareOp::GreaterOrEqual, min, f64::NEG_INFINITY)?;
    let high = side(CompareOp::LessOrEqual, max, f64::INFINITY)?;
    Ok(Expr::And(low.into_iter().chain(high).collect()))
}

fn range_text(min: Option<&Written>, max: Option<&Written>, value: &Expr) -> String {
    let text = |bound: &Written| natural(bound, value).to_string();
    match (min, max) {
        (Some(min), Some(max)) => format!("allowed {} to {}", text(min), text(max)),
        (Some(min), None) => format!("allowed from {}", text(min)),
        (None, Some(max)) => format!("allowed up to {}", text(max)),
        (None, None) => "allowed any".to_owned(),
    }
}

/// The value, or the nearest end of the range; NaN has none and becomes NULL.
fn clamp(value: &Expr, min: Option<&Written>, max: Option<&Written>) -> Result<Expr, SqlRefusal> {
    let Some(of) = build::scalar(value)? else { return Ok(Expr::Null) };
    let bound = |written: &Written| {
        let literal = Literal::written(written);
        let folded = literal.fold(of).map(Expr::Literal);
        folded
            .ok_or_else(|| SqlRefusal::Types(format!("a value cannot be clamped to `{literal}`, which is not a {of}")))
    };
    let mut branches = Vec::new();
    if of.is_float() {
        let infinite = |value: f64| Expr::Literal(Literal::new(Value::Float(value), of));
        let number = Expr::And(vec![
            Expr::compare(CompareOp::GreaterOrEqual, value.clone(), infinite(f64::NEG_INFINITY)),
            Expr::compare(CompareOp::LessOrEqual, value.clone(), infinite(f64::INFINITY)),
        ]);
        branches.push((number.negated(), Expr::Literal(Literal::null(of))));
    }
    if let Some(min) = min {
        branches.push((Expr::compare(CompareOp::Less, value.clone(), bound(min)?), bound(min)?));
    }
    if let Some(max) = max {
        branches.push((Expr::compare(CompareOp::Greater, value.clone(), bound(max)?), bound(max)?));
    }
    Ok(Expr::Case { branches, otherwise: Some(Box::new(value.clone())) })
}

fn length(value: &Expr, min: Option<u64>, max: Option<u64>) -> Result<(Expr, String), SqlRefusal> {
    let characters = Expr::Call { function: Function::Length, args: vec![build::text(value.clone())?] };
    let literal = |count: u64| Expr::Literal(Literal::integer(i64::try_from(count).unwrap_or(i64::MAX)));
    let mut parts = Vec::new();
    if let Some(min) = min {
        parts.push(build::compare(CompareOp::GreaterOrEqual, characters.clone(), literal(min))?);
    }
    if let Some(max) = max {
        parts.push(build::compare(CompareOp::LessOrEqual, characters, literal(max))?);
    }
    let must = match (min, max) {
        (Some(min), Some(max)) => format!("allowed {min} to {max} characters"),
        (Some(min), None) => format!("allowed from {min} characters"),
        (None, Some(max)) => format!("allowed up to {max} characters"),
        (None, None) => "allowed any length".to_owned(),
    };
    Ok((Expr::And(parts), must))
}
