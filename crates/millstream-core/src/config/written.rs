//! Rules as the pipeline file has them: what a form begins with, and what is written back into the file.
//!
//! Looks at `[clean.rules]` alone, so that nothing else of the file gets out; `${NAME}` stays as it is written.

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use crate::profile::render::{toml_basic, toml_key};

/// Largest whole number that every reader of JSON takes as it is.
const EXACT_IN_JSON: i64 = 1 << 53;

/// A rule as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenRule {
    /// Its name.
    pub name: String,
    /// Its line: `fare = { column = "fare_amount", … }`.
    pub toml: String,
    /// What is behind the `=`, as JSON. Dates and times are texts, and so are whole numbers past 2^53.
    pub json: Value,
}

/// The rules in the text of a pipeline file, right or wrong, in its order; none where the text is no TOML.
#[must_use]
pub fn written_rules(text: &str) -> Vec<WrittenRule> {
    let (document, mistakes) = DeTable::parse_recoverable(text);
    if !mistakes.is_empty() {
        return Vec::new();
    }
    let clean = document.get_ref().get("clean").and_then(|clean| clean.get_ref().as_table());
    let rules = clean.and_then(|clean| clean.get("rules")?.get_ref().as_table());
    let written = |(name, rule): (&str, &DeValue<'_>)| WrittenRule {
        name: name.to_owned(),
        toml: format!("{} = {}", toml_key(name), inline(rule)),
        json: json(rule),
    };
    rules.map(fields).unwrap_or_default().into_iter().map(written).collect()
}

/// On one line, whatever the form in the file.
fn inline(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => toml_basic(text),
        DeValue::Integer(integer) => match i128::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => integer.as_str().to_owned(),
        },
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(datetime) => datetime.to_string(),
        DeValue::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| inline(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Table(table) => {
            let field = |(key, value): (&str, &DeValue<'_>)| format!("{} = {}", toml_key(key), inline(value));
            let fields: Vec<String> = fields(table).into_iter().map(field).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if (-EXACT_IN_JSON..=EXACT_IN_JSON).contains(&number) => Value::from(number),
            Ok(_) | Err(_) => Value::String(inline(value)),
        },
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(Number::from_f64);
            number.map_or_else(|| Value::String(inline(value)), Value::Number)
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => {
            let fields = fields(table).into_iter().map(|(key, value)| (key.to_owned(), json(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

/// In the order of the file.
fn fields<'t, 'd>(table: &'t DeTable<'d>) -> Vec<(&'t str, &'t DeValue<'d>)> {
    let mut fields: Vec<_> = table.iter().collect();
    fields.sort_by_key(|(key, _)| key.span().start);
    fields.into_iter().map(|(key, value)| (key.get_ref().as_ref(), value.get_ref())).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const HEAD: &str = "[pipeline]\nname = \"a\"\n[source]\npath = \"a.parquet\"\n";

    #[test]
    fn each_rule_is_a_line_in_the_order_of_the_file_and_nothing_else_is_told() {
        let text = r#"
            [server]
            token = "geheim"
            [clean.rules]
            zones = { check = { sql = "a <> 'x\"y'" }, action = "warn" }
            "two words" = { column = "a", check = "not_null", action = "reject" }
            [clean.rules.fare]   # in the long form
            column = 'fare'
            action = "clamp"
            check.range = { min = -1_000, max = 0x10 }
            [clean.rules.later]
            column = "at"
            check = { range = { min = 2020-01-01, max = "${LAST}" } }
            action = "reject"
        "#;
        let rules = written_rules(text);
        let lines: Vec<&str> = rules.iter().map(|rule| rule.toml.as_str()).collect();
        assert_eq!(
            lines,
            [
                r#"zones = { check = { sql = "a <> 'x\"y'" }, action = "warn" }"#,
                r#""two words" = { column = "a", check = "not_null", action = "reject" }"#,
                r#"fare = { column = "fare", action = "clamp", check = { range = { min = -1000, max = 16 } } }"#,
                r#"later = { column = "at", check = { range = { min = 2020-01-01, max = "${LAST}" } }, action = "reject" }"#,
            ]
        );
        assert_eq!(
            rules[3].json.to_string(),
            r#"{"action":"reject","check":{"range":{"max":"${LAST}","min":"2020-01-01"}},"column":"at"}"#
        );
    }

    #[test]
    fn a_line_means_what_the_file_means() {
        let rules = r#"
            [clean.rules]
            price = { column = "price", check = { range = { min = 0.5, max = 1e3 } }, action = "clamp" }
            kind  = { column = "kind", check = { one_of = ["a", 'b\c', "d\n\u0001", "$${x}"] }, action = "nullify" }
            count = { column = "n", check = { one_of = [1, 9007199254740993] }, action = "fail" }
            code  = { column = "code", check = { pattern = '^\d+\s"$' }, action = "reject" }
            size  = { column = "code", check = { length = { max = 3 } }, action = "warn" }
            order = { column = "b", check = { compare = { op = "<=", with = "a b" } }, action = "reject" }
            there = { column = "b", check = { required_if = "a > 1" }, action = "reject" }
        "#;
        let parsed = |rules: &str| Config::parse(&format!("{HEAD}{rules}"), Path::new("/p.toml"), &|_| None);
        let expected = parsed(rules).unwrap().clean.rules;
        let lines: Vec<String> = written_rules(rules).into_iter().map(|rule| rule.toml).collect();
        assert_eq!(parsed(&format!("[clean.rules]\n{}", lines.join("\n"))).unwrap().clean.rules, expected);
        assert_eq!(expected.len(), lines.len());
    }

    #[test]
    fn numbers_that_json_would_round_are_texts_and_a_broken_file_has_no_rules() {
        let rules = written_rules("[clean.rules]\na = { check = { one_of = [9007199254740993, 1.5, true] } }");
        assert_eq!(rules[0].json.to_string(), r#"{"check":{"one_of":["9007199254740993",1.5,true]}}"#);
        for text in ["", "[clean]", "[clean.rules", "clean = 1", "[clean]\nrules = 2"] {
            assert_eq!(written_rules(text), [], "{text}");
        }
    }
}
