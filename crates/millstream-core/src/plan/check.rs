//! What can be told of `[clean]` without a file, all mistakes at once.

use super::{RESERVED, rules};
use crate::config::clean::{Action, Check, Clean, Column, DedupWithin, Literal as Written, Rule};
use crate::expr::formats::TimeForms;
use crate::expr::literal::Literal;
use crate::expr::parse::{check_sql, column_names, parse_condition, parse_sql};
use crate::expr::pattern::Pattern;
use crate::expr::{Scope, SqlRefusal};
use crate::types::{ColumnType, ValueType};

/// A mistake in `[clean]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key, such as `clean.rules.fare.check`.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub text: String,
}

/// Finds all that no file could make good.
#[must_use]
pub fn check_config(clean: &Clean, event_time: Option<&str>) -> Vec<Problem> {
    let mut problems = Problems(Vec::new());
    let typed = |column: &Column| column.column_type.map(|of| (column.name.clone(), ValueType::Scalar(of)));
    let mut scope: Vec<_> = clean.columns.iter().filter_map(typed).collect();
    let declared = Scope::new(scope.clone());
    check_names(clean, &mut problems);
    for column in &clean.columns {
        check_column(column, clean, &mut problems);
    }
    if let Some(keep) = &clean.keep {
        problems.add("clean.filter.keep", check_sql_in(keep, &declared, true));
    }
    for derived in &clean.derive {
        problems.add(&format!("clean.derive.{}.sql", derived.name), check_sql_in(&derived.sql, &declared, false));
        scope.push((derived.name.clone(), ValueType::Scalar(derived.column_type)));
    }
    let scope = Scope::new(scope);
    for (index, rule) in clean.rules.iter().enumerate() {
        let key = format!("clean.rules.{}", rule.name);
        if clean.rules[..index].iter().any(|other| other.name == rule.name) {
            problems.push(&key, "is there twice");
        }
        check_rule(&key, rule, &scope, &mut problems);
    }
    check_dedup(clean, event_time, &mut problems);
    if let Some(name) = event_time
        && let Some(of) = clean.columns.iter().find(|column| column.name == name).and_then(|column| column.column_type)
        && of != ColumnType::Timestamp
    {
        problems.push("source.event_time", &format!("column `{name}` is declared as {of}, allowed: timestamp"));
    }
    problems.0
}

/// A hash of what `[clean]` means, 32 hexadecimal digits.
#[must_use]
pub fn rules_hash(clean: &Clean) -> String {
    // The `1:` is the version of what is hashed.
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(format!("1:{clean:?}").as_bytes()))
}

struct Problems(Vec<Problem>);

impl Problems {
    fn push(&mut self, key: &str, text: &str) {
        self.0.push(Problem { key: key.to_owned(), text: text.to_owned() });
    }

    fn add<E: ToString>(&mut self, key: &str, result: Result<(), E>) {
        if let Err(error) = result {
            self.push(key, &error.to_string());
        }
    }
}

/// With all columns declared an expression is checked in full, otherwise only for its form and its functions.
fn check_sql_in(sql: &str, scope: &Scope, condition: bool) -> Result<(), SqlRefusal> {
    let all_declared = column_names(sql)?.iter().all(|name| scope.column(name).is_ok());
    if !all_declared {
        return check_sql(sql);
    }
    if condition { parse_condition(sql, scope) } else { parse_sql(sql, scope) }.map(|_| ())
}

fn check_names(clean: &Clean, problems: &mut Problems) {
    let columns = clean.columns.iter().map(|column| (format!("clean.columns.{}", column.name), &column.name));
    let derived = clean.derive.iter().map(|column| (format!("clean.derive.{}", column.name), &column.name));
    let names: Vec<_> = columns.chain(derived).collect();
    for (index, (key, name)) in names.iter().enumerate() {
        if name.is_empty() || name.contains([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '=']) {
            problems.push(key, "a name is not empty and holds none of ` ,;{}()=`, line feeds and tabs");
        }
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            problems.push(key, &format!("the tables use this name themselves, as {}", RESERVED.join(", ")));
        }
        if let Some((_, twin)) = names[..index].iter().find(|(_, other)| other.eq_ignore_ascii_case(name)) {
            problems.push(key, &format!("`{twin}` and `{name}` are the same name but for case"));
        }
    }
    for column in &clean.columns {
        let key = format!("clean.columns.{}.from", column.name);
        for from in &column.from {
            if clean.drop.contains(from) {
                problems.push(&key, &format!("`{from}` is in clean.drop too"));
            }
            let claims =
                |other: &&Column| other.name != column.name && (other.name == *from || other.from.contains(from));
            if let Some(other) = clean.columns.iter().find(claims) {
                problems.push(&key, &format!("`{from}` belongs to `{}` too", other.name));
            }
        }
        if clean.drop.contains(&column.name) {
            problems.push(&format!("clean.columns.{}", column.name), "is in clean.drop too");
        }
    }
}

fn check_column(column: &Column, clean: &Clean, problems: &mut Problems) {
    let key = |setting: &str| format!("clean.columns.{}.{setting}", column.name);
    if let Err(error) = TimeForms::new(&column.formats, column.time_zone.as_deref()) {
        let at = if column.time_zone.as_deref().is_some_and(|zone| TimeForms::new(&[], Some(zone)).is_err()) {
            "time_zone"
        } else {
            "formats"
        };
        problems.push(&key(at), &error.to_string());
    }
    let Some(of) = column.column_type else { return };
    if !column.formats.is_empty() && !matches!(of, ColumnType::Date | ColumnType::Timestamp) {
        problems.push(&key("formats"), &format!("only dates and timestamps have formats, this is {of}"));
    }
    if column.time_zone.is_some() && of != ColumnType::Timestamp {
        problems.push(&key("time_zone"), &format!("only timestamps have a zone, this is {of}"));
    }
    if column.case.is_some() && of != ColumnType::Text {
        problems.push(&key("case"), &format!("only strings have a case, this is {of}"));
    }
    if let Some(fill) = &column.fill {
        let literal = Literal::written(fill);
        if literal.fold(of).is_none() {
            problems.push(&key("fill"), &format!("`{literal}` is not a {of}"));
        }
        let tokens = clean.null_tokens.iter().chain(&column.null_tokens);
        if let Written::Text(text) = fill
            && tokens.into_iter().any(|token| token == text)
        {
            problems.push(&key("fill"), &format!("`{text}` is one of the null_tokens too"));
        }
    }
}

fn check_rule(key: &str, rule: &Rule, scope: &Scope, problems: &mut Problems) {
    let check = format!("{key}.check");
    if rule.column.is_none() && !matches!(rule.check, Check::Sql(_)) {
        return problems.push(&format!("{key}.column"), "this check needs a column");
    }
    if rule.column.is_none() && matches!(rule.action, Action::Nullify | Action::Clamp) {
        return problems.push(&format!("{key}.column"), "actions nullify and clamp need a column");
    }
    if rule.action == Action::Clamp && !matches!(rule.check, Check::Range { .. }) {
        return problems.push(&format!("{key}.action"), "clamp goes with check range only");
    }
    let own = match &rule.check {
        Check::Range { min: None, max: None } => Err("a range needs min or max".to_owned()),
        Check::Length { min: None, max: None } => Err("a length needs min or max".to_owned()),
        Check::Length { min: Some(min), max: Some(max) } if min > max => Err(format!("min {min} is over max {max}")),
        Check::Range { min: Some(min), max: Some(max) } => ordered(min, max),
        Check::OneOf(list) if list.is_empty() => Err("one_of needs values".to_owned()),
        Check::Pattern(pattern) => Pattern::parse(pattern).map(|_| ()).map_err(|error| error.to_string()),
        Check::Sql(sql) | Check::RequiredIf(sql) => check_sql_in(sql, scope, true).map_err(|error| error.to_string()),
        Check::NotNull | Check::Range { .. } | Check::OneOf(_) | Check::Length { .. } | Check::Compare { .. } => Ok(()),
    };
    let fine = own.is_ok();
    problems.add(&check, own);
    // With its columns declared, the rule is checked in full.
    let with = if let Check::Compare { with, .. } = &rule.check { Some(with) } else { None };
    let sql = if let Check::Sql(sql) | Check::RequiredIf(sql) = &rule.check {
        column_names(sql).unwrap_or_default()
    } else {
        Vec::new()
    };
    let mut names = rule.column.iter().chain(with).chain(&sql);
    if fine && names.all(|name| scope.column(name).is_ok()) {
        problems.add(&check, rules::plan_rule(rule, Some(0), scope).map(|_| ()));
    }
}

/// Whether `min <= max`, where both are numbers, or both texts of the same length as dates are.
fn ordered(min: &Written, max: &Written) -> Result<(), String> {
    let number = |written: &Written| Literal::written(written).fold(ColumnType::Float64).map(|literal| literal.value);
    let (Some(crate::expr::literal::Value::Float(low)), Some(crate::expr::literal::Value::Float(high))) =
        (number(min), number(max))
    else {
        return Ok(());
    };
    if low <= high {
        Ok(())
    } else {
        Err(format!("min {} is over max {}", Literal::written(min), Literal::written(max)))
    }
}

fn check_dedup(clean: &Clean, event_time: Option<&str>, problems: &mut Problems) {
    let Some(dedup) = &clean.dedup else { return };
    if dedup.key.is_empty() {
        problems.push("clean.dedup.key", "needs at least one column");
    }
    match dedup.within {
        DedupWithin::File | DedupWithin::Source => {}
        DedupWithin::Window { length_micros } => {
            if event_time.is_none() {
                problems.push("clean.dedup.within", "a window needs source.event_time; or use \"file\" or \"source\"");
            }
            if length_micros <= 0 {
                problems.push("clean.dedup.within", "a window is longer than nothing");
            }
        }
    }
}
