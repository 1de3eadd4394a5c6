//! Reads `[clean.rules]`.

use regex::Regex;

use super::clean::{Action, Check, CompareOp, Literal, Rule};
use super::columns::literal_fits;
use super::reader::section::{Entry, Section};
use super::reader::{Item, Text};
use super::references::References;
use crate::types::ColumnType;

const ACTIONS: [(&str, Action); 5] = [
    ("reject", Action::Reject),
    ("nullify", Action::Nullify),
    ("clamp", Action::Clamp),
    ("warn", Action::Warn),
    ("fail", Action::Fail),
];
const OPERATORS: [(&str, CompareOp); 6] = [
    ("=", CompareOp::Equal),
    ("!=", CompareOp::NotEqual),
    ("<", CompareOp::Less),
    ("<=", CompareOp::LessOrEqual),
    (">", CompareOp::Greater),
    (">=", CompareOp::GreaterOrEqual),
];
const CHECKS: &str = "\"not_null\", { range = { min, max } }, { one_of = [..] }, { pattern = \"…\" }, { length = { min, max } }, \
                      { compare = { op, with } }, { required_if = \"SQL\" }, { sql = \"SQL\" }";
/// Longest list of `one_of`.
const MOST_VALUES: usize = 10_000;

pub(super) fn read_rules(section: &Section<'_>, references: &References<'_, '_>) -> Vec<Rule> {
    section.entries().iter().filter_map(|entry| read_rule(entry, references)).collect()
}

fn read_rule(entry: &Entry<'_>, references: &References<'_, '_>) -> Option<Rule> {
    let name = entry.name;
    if name.trim() != name || name.is_empty() || name.contains(|letter: char| letter == ':' || letter.is_control()) {
        entry.mistake("not a name of a rule", Some("a text without `:` and without spaces at its ends"));
    }
    let mut section = entry.item.section()?;
    let column_item = section.take("column");
    let column = column_item.as_ref().and_then(Item::filled_text);
    let check_item = section.require("check", CHECKS);
    let check = check_item.as_ref().and_then(read_check);
    let action_item = section.require("action", &ACTIONS.map(|(word, _)| word).join(", "));
    let action = action_item.as_ref().and_then(|item| item.choice("action", &ACTIONS));

    if let Some(column) = &column {
        references.check(column);
    }
    if column_item.is_none() && check.as_ref().is_some_and(|check| !matches!(check, Check::Sql(_))) {
        section.missing("column", "a column; only a check with `sql` goes without one");
    }
    if let (Some(check), Some(action), Some(item)) = (&check, action, &action_item) {
        check_action(check, action, column_item.is_some(), item);
    }
    if let (Some(check), Some(item), Some(column)) = (&check, &check_item, &column) {
        check_column(check, action, column, references, item);
    }
    section.finish();
    Some(Rule { name: name.to_owned(), column: column.map(|text| text.value), check: check?, action: action? })
}

/// Reports an action that does not go with the check.
fn check_action(check: &Check, action: Action, has_column: bool, item: &Item<'_>) {
    let is_range = matches!(check, Check::Range { .. });
    match action {
        Action::Clamp if !is_range => item.mistake(
            "`action = \"clamp\"` needs `check = { range = … }`, whose nearest end the value becomes; \
             change `check`, or take another action",
            Some("reject, nullify, warn, fail"),
        ),
        Action::Nullify if !has_column && matches!(check, Check::Sql(_)) => item.mistake(
            "`action = \"nullify\"` needs `column`, whose value becomes NULL; add `column`, or take another action",
            Some("reject, warn, fail"),
        ),
        Action::Nullify if matches!(check, Check::NotNull | Check::RequiredIf(_)) => item.mistake(
            "`action = \"nullify\"` does nothing with `check` `not_null` or `required_if`, which break where the value is NULL \
             already; take another action",
            Some("reject, warn, fail"),
        ),
        Action::Reject | Action::Nullify | Action::Clamp | Action::Warn | Action::Fail => {}
    }
}

/// Reports a check that does not go with the type that the pipeline file gives the column.
fn check_column(
    check: &Check,
    action: Option<Action>,
    column: &Text<'_>,
    references: &References<'_, '_>,
    item: &Item<'_>,
) {
    if let Check::Compare { with, .. } = check
        && *with == column.value
    {
        item.mistake("`compare.with` names the rule's own `column`; name another column in one of them", None);
    }
    let Some(column_type) = references.type_of(&column.value) else { return };
    let is_text = matches!(column_type, ColumnType::Text);
    let fits = |literal: &Literal| match action {
        Some(Action::Clamp) => literal_fits(literal, column_type),
        Some(Action::Reject | Action::Nullify | Action::Warn | Action::Fail) | None => comparable(literal, column_type),
    };
    let fits = match check {
        Check::Range { min, max } => min.iter().chain(max).all(fits),
        Check::OneOf(values) => values.iter().all(fits),
        Check::Pattern(_) | Check::Length { .. } => is_text,
        Check::NotNull | Check::RequiredIf(_) | Check::Compare { .. } | Check::Sql(_) => true,
    };
    if !fits {
        let column = column.shown();
        let problem = format!(
            "the check does not go with the `type` of `{column}` in `clean.columns` or `clean.derive`; change one of them"
        );
        item.mistake(problem, None);
    }
}

/// Whether values of a column can be compared with this one.
fn comparable(literal: &Literal, column_type: ColumnType) -> bool {
    match column_type {
        ColumnType::Int8
        | ColumnType::Int16
        | ColumnType::Int32
        | ColumnType::Int64
        | ColumnType::Float32
        | ColumnType::Float64
        | ColumnType::Decimal { .. } => matches!(literal, Literal::Integer(_) | Literal::Float(_)),
        ColumnType::Boolean => matches!(literal, Literal::Boolean(_)),
        ColumnType::Text | ColumnType::Binary | ColumnType::Date | ColumnType::Timestamp => {
            matches!(literal, Literal::Text(_))
        }
    }
}

fn read_check(item: &Item<'_>) -> Option<Check> {
    if item.is_text() {
        let text = item.text()?;
        if text.value == "not_null" {
            return Some(Check::NotNull);
        }
        item.mistake(format!("unknown check `{}`", text.shown()), Some(CHECKS));
        return None;
    }
    if item.is_list() {
        item.mistake("a rule has one check; write a rule for each", Some(CHECKS));
        return None;
    }
    let mut section = item.section()?;
    let range = section.take("range");
    let one_of = section.take("one_of");
    let pattern = section.take("pattern");
    let length = section.take("length");
    let compare = section.take("compare");
    let required_if = section.take("required_if");
    let sql = section.take("sql");
    let given = [&range, &one_of, &pattern, &length, &compare, &required_if, &sql].into_iter().flatten();
    let (first, more) = (section.entries().len(), given.count());
    let whole = match more {
        0 if first == 0 => {
            section.mistake("the check is empty", Some(CHECKS));
            false
        }
        0 | 1 => true,
        _ => {
            section.mistake("a rule has one check, and here are more; write a rule for each", Some(CHECKS));
            false
        }
    };
    section.finish();
    if !whole {
        return None;
    }
    let range = range.and_then(|item| read_range(&item));
    let one_of = one_of.and_then(|item| read_one_of(&item));
    let pattern = pattern.and_then(|item| read_pattern(&item));
    let length = length.and_then(|item| read_length(&item));
    let compare = compare.and_then(|item| read_compare(&item));
    let required_if = required_if.and_then(|item| item.filled_text()).map(|text| Check::RequiredIf(text.value));
    let sql = sql.and_then(|item| item.filled_text()).map(|text| Check::Sql(text.value));
    range.or(one_of).or(pattern).or(length).or(compare).or(required_if).or(sql)
}

fn read_range(item: &Item<'_>) -> Option<Check> {
    let mut section = item.section()?;
    let ends = [section.take("min"), section.take("max")];
    let [min, max] = ends.clone().map(|end| end.and_then(|end| read_end(&end)));
    if ends.iter().all(Option::is_none) {
        section.mistake("a range needs `min`, `max` or both", None);
    }
    if let (Some(min), Some(max)) = (&min, &max) {
        match (number(min), number(max)) {
            (Some(min), Some(max)) if min > max => section.mistake("`min` is above `max`; exchange them", None),
            (Some(_), Some(_)) | (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                section.mistake("`min` and `max` are of different types; make both numbers or both texts", None);
            }
        }
    }
    section.finish();
    (min.is_some() || max.is_some()).then_some(Check::Range { min, max })
}

fn read_end(item: &Item<'_>) -> Option<Literal> {
    let literal = item.literal()?;
    if matches!(literal, Literal::Boolean(_)) {
        item.mistake("true and false have no order", Some("a number, a text, a date or a time"));
        return None;
    }
    Some(literal)
}

/// For comparing two ends; past 2^53 a whole number may be off by its last digits, which only softens the check.
#[allow(clippy::cast_precision_loss)]
fn number(literal: &Literal) -> Option<f64> {
    match literal {
        Literal::Integer(number) => Some(*number as f64),
        Literal::Float(number) => Some(*number),
        Literal::Boolean(_) | Literal::Text(_) => None,
    }
}

fn read_one_of(item: &Item<'_>) -> Option<Check> {
    let items = item.list()?;
    if items.is_empty() || items.len() > MOST_VALUES {
        item.mistake(format!("a list of {} values", items.len()), Some(&format!("1 to {MOST_VALUES} values")));
        return None;
    }
    let values: Vec<Literal> = items.iter().filter_map(Item::literal).collect();
    let kind = |literal: &Literal| match literal {
        Literal::Integer(_) | Literal::Float(_) => 0,
        Literal::Boolean(_) => 1,
        Literal::Text(_) => 2,
    };
    if values.windows(2).any(|pair| kind(&pair[0]) != kind(&pair[1])) {
        item.mistake("the values are of different types", Some("all numbers, all texts or all true/false"));
        return None;
    }
    (values.len() == items.len()).then_some(Check::OneOf(values))
}

fn read_pattern(item: &Item<'_>) -> Option<Check> {
    let text = item.text()?;
    match Regex::new(&text.value) {
        Ok(_) => Some(Check::Pattern(text.value)),
        Err(error) => {
            // The last line says what is wrong; those before repeat the pattern, which may come from the environment.
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            item.mistake(format!("`{}` is not a regular expression: {why}", text.shown()), None);
            None
        }
    }
}

fn read_length(item: &Item<'_>) -> Option<Check> {
    let mut section = item.section()?;
    let ends = [section.take("min"), section.take("max")];
    let [min, max] = ends.clone().map(|end| end.and_then(|end| end.integer(0..=u64::from(u32::MAX))));
    if ends.iter().all(Option::is_none) {
        section.mistake("a length needs `min`, `max` or both", None);
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        section.mistake("`min` is above `max`; exchange them", None);
    }
    section.finish();
    (min.is_some() || max.is_some()).then_some(Check::Length { min, max })
}

fn read_compare(item: &Item<'_>) -> Option<Check> {
    let mut section = item.section()?;
    let op = section
        .require("op", &OPERATORS.map(|(word, _)| word).join(", "))
        .and_then(|item| item.choice("operator", &OPERATORS));
    let with = section.require("with", "a column").and_then(|item| item.filled_text());
    section.finish();
    Some(Check::Compare { op: op?, with: with?.value })
}
