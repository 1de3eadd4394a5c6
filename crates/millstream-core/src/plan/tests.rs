use std::sync::Arc;

use arrow::datatypes::TimeUnit;

use super::check::{check_config, rules_hash};
use super::*;
use crate::config::clean::{
    Check, Column, Dedup, DedupWithin, Derived, Drift, Literal as Written, OnAdded, OnChanged, OnMissing, Rule,
};

fn file(columns: &[(&str, DataType)]) -> Schema {
    Schema::new(columns.iter().map(|(name, of)| Field::new(*name, of.clone(), true)).collect::<Vec<_>>())
}

fn column(name: &str, of: Option<&str>) -> Column {
    Column {
        name: name.to_owned(),
        from: Vec::new(),
        column_type: of.and_then(|of| of.parse().ok()),
        formats: Vec::new(),
        time_zone: None,
        on_bad: OnBad::Reject,
        null_tokens: Vec::new(),
        trim: false,
        case: None,
        fill: None,
    }
}

fn rule(column: &str, check: Check, action: Action) -> Rule {
    Rule { name: "r".to_owned(), column: Some(column.to_owned()).filter(|name| !name.is_empty()), check, action }
}

fn plan(clean: &Clean, known: &KnownSchema, columns: &[(&str, DataType)]) -> Result<FilePlan, PlanRefusal> {
    FilePlan::new(clean, None, known, &file(columns))
}

fn first(clean: &Clean, columns: &[(&str, DataType)]) -> FilePlan {
    plan(clean, &KnownSchema::default(), columns).unwrap()
}

/// Names and types of the output.
fn shape(plan: &FilePlan) -> String {
    let column = |column: &KnownColumn| format!("{} {}", column.name, column.value_type);
    plan.known.columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn quarantined(result: &Result<FilePlan, PlanRefusal>, part: &str) {
    assert!(matches!(result, Err(PlanRefusal::Quarantine(reason)) if reason.contains(part)), "{result:?}");
}

fn failed(result: &Result<FilePlan, PlanRefusal>, part: &str) {
    assert!(matches!(result, Err(PlanRefusal::Fail(reason)) if reason.contains(part)), "{result:?}");
}

#[test]
fn declared_columns_come_first_others_pass_and_dropped_ones_are_not_read() {
    let clean = Clean {
        drop: vec![String::new(), "junk".to_owned()],
        columns: vec![Column { from: vec!["VendorID".to_owned()], ..column("vendor_id", Some("int32")) }],
        ..Clean::default()
    };
    let plan = first(
        &clean,
        &[
            ("", DataType::Int64),
            ("tip", DataType::Float64),
            ("junk", DataType::Float16),
            ("VendorID", DataType::Int64),
        ],
    );
    assert_eq!(shape(&plan), "vendor_id int32, tip float64");
    assert_eq!(plan.source_columns(), [1, 3]);
    assert_eq!(plan.source[plan.columns[0].source.unwrap()].name, "VendorID");
}

#[test]
fn names_that_clash_quarantine_the_file() {
    let int = || DataType::Int64;
    let none = KnownSchema::default();
    let clean = Clean::default();
    quarantined(&plan(&clean, &none, &[("", int())]), "column 1 has no name");
    quarantined(&plan(&clean, &none, &[("a", int()), ("A", int())]), "`a` and `A` would both become `a`");
    quarantined(&plan(&clean, &none, &[("_row", int())]), "`_row` has a name that the tables use themselves");
    quarantined(&plan(&clean, &none, &[("a b", int())]), "Delta Lake does not take");
    quarantined(&plan(&clean, &none, &[("a", DataType::Float16)]), "column `a`: type Float16");
    let known = first(&clean, &[("fee", int())]).known;
    quarantined(&plan(&clean, &known, &[("Fee", int())]), "differs from `fee` only by case");
    let clean = Clean { columns: vec![Column { from: vec!["b".to_owned()], ..column("a", None) }], ..Clean::default() };
    quarantined(&plan(&clean, &none, &[("a", int()), ("b", int())]), "would both become `a`");
}

#[test]
fn types_of_known_columns_never_change() {
    let clean = Clean::default();
    let known = first(&clean, &[("a", DataType::Int64), ("t", DataType::Utf8)]).known;
    let again =
        plan(&clean, &known, &[("t", DataType::LargeUtf8), ("a", DataType::Int32), ("n", DataType::Null)]).unwrap();
    assert_eq!(shape(&again), "a int64, t string");
    let narrowed = plan(&clean, &known, &[("a", DataType::Float64)]).unwrap();
    assert_eq!(shape(&narrowed), "a int64, t string");
    assert!(narrowed.columns[0].value.is_some(), "what is no integer is a bad value");
    quarantined(
        &plan(&clean, &known, &[("t", DataType::Float64)]),
        "column `t`: values of type `float64` cannot become `string`",
    );
    let declared = Clean { columns: vec![column("a", Some("int32"))], ..Clean::default() };
    failed(
        &plan(&declared, &known, &[("a", DataType::Int64)]),
        "column `a` is `int64` in the tables and cannot become `int32`",
    );
}

#[test]
fn drift_does_what_is_set() {
    let with = |missing, added, changed| Clean { drift: Drift { missing, added, changed }, ..Clean::default() };
    let known = first(&Clean::default(), &[("a", DataType::Int32)]).known;
    let evolved = plan(&Clean::default(), &known, &[("b", DataType::Utf8)]).unwrap();
    assert_eq!(shape(&evolved), "a int32, b string");
    assert_eq!(evolved.columns[0].source, None);
    let strict = with(OnMissing::Quarantine, OnAdded::Fail, OnChanged::Quarantine);
    quarantined(&plan(&strict, &known, &[]), "column `a` is not in the file");
    failed(&plan(&strict, &known, &[("a", DataType::Int32), ("b", DataType::Utf8)]), "column `b` was not known");
    quarantined(&plan(&strict, &known, &[("a", DataType::Float64)]), "is `float64` in this file and was `int32`");
    assert!(plan(&strict, &known, &[("a", DataType::Int8)]).is_ok(), "widening always casts");
    assert!(plan(&strict, &known, &[("a", DataType::Null)]).is_ok());
    let ignoring = with(OnMissing::Fill, OnAdded::Ignore, OnChanged::Cast);
    let ignored = plan(&ignoring, &known, &[("a", DataType::Int32), ("b", DataType::Utf8)]).unwrap();
    assert_eq!((shape(&ignored).as_str(), ignored.source_columns()), ("a int32", vec![0]));
}

#[test]
fn a_column_of_nulls_waits_for_a_type_and_rules_may_name_it() {
    let clean = Clean {
        rules: vec![rule("fee", Check::Range { min: Some(Written::Integer(0)), max: None }, Action::Reject)],
        ..Clean::default()
    };
    let plan_one = first(&clean, &[("id", DataType::Int32), ("fee", DataType::Null)]);
    assert_eq!(shape(&plan_one), "id int32");
    let plan_two = plan(&clean, &plan_one.known, &[("id", DataType::Int32), ("fee", DataType::Float64)]).unwrap();
    assert_eq!(shape(&plan_two), "id int32, fee float64");
}

#[test]
fn what_filter_rules_dedup_and_event_time_name_must_be_there() {
    let none = KnownSchema::default();
    let columns = [("fare", DataType::Float64), ("at", DataType::Utf8)];
    let keep = Clean { keep: Some("fares > 1".to_owned()), ..Clean::default() };
    failed(&plan(&keep, &none, &columns), "clean.filter.keep: column `fares` is not there; did you mean `fare`?");
    let rules = Clean { rules: vec![rule("surcharge", Check::NotNull, Action::Warn)], ..Clean::default() };
    failed(
        &plan(&rules, &none, &columns),
        "clean.rules.r: column `surcharge` is not there; if later files have it, declare it",
    );
    let dedup =
        Clean { dedup: Some(Dedup { key: vec!["id".to_owned()], within: DedupWithin::File }), ..Clean::default() };
    failed(&plan(&dedup, &none, &columns), "clean.dedup.key: column `id` is not there");
    let timed = FilePlan::new(&Clean::default(), Some("at"), &none, &file(&columns));
    failed(&timed, "source.event_time: column `at` is `string`");
    let fill = Clean {
        columns: vec![Column { fill: Some(Written::Text("x".to_owned())), ..column("fare", None) }],
        ..Clean::default()
    };
    failed(&plan(&fill, &none, &columns), "clean.columns.fare: fill `x` is not a float64");
}

#[test]
fn known_columns_read_back_from_json() {
    let nested = DataType::Struct(vec![Field::new("b", DataType::UInt8, true)].into());
    let list = DataType::List(Arc::new(Field::new("item", DataType::Timestamp(TimeUnit::Nanosecond, None), true)));
    let known = first(&Clean::default(), &[("a", nested), ("l", list), ("d", DataType::Decimal128(10, 2))]).known;
    let json = serde_json::to_string(&known).unwrap();
    assert_eq!(serde_json::from_str::<KnownSchema>(&json).unwrap(), known);
    assert!(json.contains(r#""scalar":"decimal(10,2)""#), "{json}");
}

#[test]
fn mistakes_are_found_without_a_file_and_all_at_once() {
    let clean = Clean {
        columns: vec![
            Column { formats: vec!["%y".to_owned()], ..column("at", Some("timestamp")) },
            Column { fill: Some(Written::Text("x".to_owned())), ..column("n", Some("int32")) },
            column("_file", None),
        ],
        keep: Some("n > 'x'".to_owned()),
        derive: vec![Derived { name: "N".to_owned(), column_type: ColumnType::Int8, sql: "random()".to_owned() }],
        rules: vec![
            rule("n", Check::Range { min: Some(Written::Integer(2)), max: Some(Written::Integer(1)) }, Action::Warn),
            rule("other", Check::Pattern("(".to_owned()), Action::Clamp),
            rule("", Check::NotNull, Action::Warn),
        ],
        dedup: Some(Dedup { key: Vec::new(), within: DedupWithin::Window { length_micros: 1 } }),
        ..Clean::default()
    };
    let keys: Vec<_> = check_config(&clean, None).into_iter().map(|problem| problem.key).collect();
    assert_eq!(
        keys,
        [
            "clean.columns._file",
            "clean.derive.N",
            "clean.columns.at.formats",
            "clean.columns.n.fill",
            "clean.filter.keep",
            "clean.derive.N.sql",
            "clean.rules.r.check",
            "clean.rules.r",
            "clean.rules.r.action",
            "clean.rules.r",
            "clean.rules.r.column",
            "clean.dedup.key",
            "clean.dedup.within",
        ]
    );
    assert_eq!(check_config(&Clean::default(), Some("at")), []);
}

#[test]
fn the_hash_of_rules_changes_with_what_they_mean() {
    let clean = Clean::default();
    assert_eq!(rules_hash(&clean), rules_hash(&clean.clone()));
    assert_eq!(rules_hash(&clean).len(), 32);
    assert_ne!(rules_hash(&clean), rules_hash(&Clean { keep: Some("a > 1".to_owned()), ..clean }));
}
