//! Rules, actions, filter, derived columns and what is told of them.

use millstream_core::config::clean::CompareOp;

use super::*;

fn fares() -> RecordBatch {
    rows(vec![
        ("id", integers(&[Some(1), Some(2), Some(3), Some(4), None])),
        ("fare", floats(&[Some(-3.5), Some(10.0), Some(600.0), None, Some(f64::NAN)])),
        ("flag", texts(&[Some("Y"), Some("N"), Some("maybe"), None, Some("Y")])),
    ])
}

fn with_rules(rules: Vec<Rule>) -> Clean {
    Clean { rules, ..Clean::default() }
}

/// Rows that break a check, by their place, and the reason of the first.
fn breaks(column: &str, check: Check) -> (Vec<i64>, String) {
    let cleaned = cleaned(&with_rules(vec![rule("r", column, check, Action::Reject)]), &fares()).unwrap();
    let reason = lists(&cleaned.rejects, "reasons").first().cloned().unwrap_or_default();
    (numbers(&cleaned.rejects).iter().map(|row| row - 100).collect(), reason)
}

#[test]
fn each_check_breaks_where_it_says_and_passes_on_null() {
    let compare = |op, with: &str| Check::Compare { op, with: with.to_owned() };
    let text = |text: &str| Literal::Text(text.to_owned());
    let cases: Vec<(&str, Check, Vec<i64>, &str)> = vec![
        ("fare", range(Some(0), Some(500)), vec![0, 2, 4], "fare is -3.5, allowed 0 to 500"),
        ("fare", range(None, Some(500)), vec![2, 4], "fare is 600, allowed up to 500"),
        ("id", range(Some(2), None), vec![0], "id is 1, allowed from 2"),
        ("fare", Check::NotNull, vec![3], "fare is null"),
        ("id", Check::RequiredIf("flag = 'Y'".to_owned()), vec![4], "id is null, required if flag = 'Y'"),
        ("flag", Check::OneOf(vec![text("Y"), text("N")]), vec![2], "flag is `maybe`, allowed Y, N"),
        ("id", Check::OneOf(vec![Literal::Integer(1), Literal::Float(2.5)]), vec![1, 2, 3], "id is 2, allowed 1, 2.5"),
        ("flag", Check::Pattern("^[YN]$".to_owned()), vec![2], "flag is `maybe`, must match `^[YN]$`"),
        ("flag", Check::Length { min: None, max: Some(1) }, vec![2], "flag is `maybe`, allowed up to 1 characters"),
        ("fare", compare(CompareOp::Greater, "id"), vec![0], "fare is -3.5, must be > id, which is 1"),
        ("", Check::Sql("id <> 2 OR fare > 100".to_owned()), vec![1], "does not hold: id <> 2 OR fare > 100"),
    ];
    for (column, check, rows, reason) in cases {
        assert_eq!(breaks(column, check.clone()), (rows, reason.to_owned()), "{check:?}");
    }
}

#[test]
fn zero_is_zero_whatever_its_sign() {
    let batch = rows(vec![("x", floats(&[Some(-0.0), Some(0.0)]))]);
    for check in [range(Some(0), Some(0)), Check::OneOf(vec![Literal::Float(0.0)]), Check::Sql("x = 0".to_owned())] {
        let cleaned = cleaned(&with_rules(vec![rule("r", "x", check.clone(), Action::Reject)]), &batch).unwrap();
        assert_eq!(cleaned.rejects.num_rows(), 0, "{check:?}");
    }
}

#[test]
fn a_reject_tells_all_of_its_reasons_and_its_original_values() {
    let clean = Clean {
        columns: vec![Column { from: vec!["id".to_owned()], ..column("number", "int8") }],
        rules: vec![
            rule("fare", "fare", range(Some(0), Some(500)), Action::Reject),
            rule("flag", "flag", Check::OneOf(vec![Literal::Text("Y".to_owned())]), Action::Reject),
            rule("seen", "fare", Check::NotNull, Action::Warn),
        ],
        ..Clean::default()
    };
    let batch = rows(vec![
        ("id", integers(&[Some(1000), Some(2)])),
        ("fare", floats(&[Some(600.0), Some(1.0)])),
        ("flag", texts(&[Some("\"N\n"), Some("Y")])),
    ]);
    let cleaned = cleaned(&clean, &batch).unwrap();
    assert_eq!(numbers(&cleaned.rejects), [100]);
    assert_eq!(lists(&cleaned.rejects, "rules"), ["type:number; fare; flag"]);
    assert_eq!(
        lists(&cleaned.rejects, "reasons"),
        ["number is 1000, which does not fit int8; fare is 600, allowed 0 to 500; flag is `\"N\n`, allowed Y"]
    );
    let original = cleaned.rejects.column_by_name("original").unwrap().as_string::<i32>().value(0).to_owned();
    assert_eq!(original, r#"{"id":1000,"fare":600,"flag":"\"N\n"}"#);
    assert_eq!(numbers(&cleaned.clean), [101]);
}

#[test]
fn actions_mend_and_mark_delivered_rows() {
    let clean = with_rules(vec![
        rule("clamp", "fare", range(Some(0), Some(500)), Action::Clamp),
        rule(
            "null",
            "flag",
            Check::OneOf(vec![Literal::Text("Y".to_owned()), Literal::Text("N".to_owned())]),
            Action::Nullify,
        ),
        rule("warn", "id", Check::NotNull, Action::Warn),
    ]);
    let cleaned = cleaned(&clean, &fares()).unwrap();
    assert_eq!(shown(&cleaned, "fare"), ["0", "10", "500", "null", "null"]);
    assert_eq!(shown(&cleaned, "flag"), ["Y", "N", "null", "null", "Y"]);
    assert_eq!(lists(&cleaned.clean, "_marks"), ["clamp", "", "clamp; null", "", "clamp; warn"]);
    assert_eq!(cleaned.rejects.num_rows(), 0);
}

#[test]
fn rules_and_derived_columns_see_the_values_before_actions() {
    let clean = Clean {
        derive: vec![Derived {
            name: "double".to_owned(),
            column_type: "float64".parse().unwrap(),
            sql: "fare * 2".to_owned(),
        }],
        rules: vec![
            rule("low", "fare", range(Some(0), None), Action::Nullify),
            rule("high", "double", range(None, Some(20)), Action::Warn),
            rule("again", "fare", range(Some(0), None), Action::Warn),
        ],
        ..Clean::default()
    };
    let cleaned = cleaned(&clean, &rows(vec![("fare", floats(&[Some(-1.0), Some(11.0)]))])).unwrap();
    assert_eq!(shown(&cleaned, "fare"), ["null", "11"]);
    assert_eq!(shown(&cleaned, "double"), ["-2", "22"]);
    assert_eq!(lists(&cleaned.clean, "_marks"), ["low; again", "high"]);
}

#[test]
fn the_filter_keeps_true_only_and_comes_after_bad_values_and_before_rules() {
    let clean = Clean {
        columns: vec![column("n", "int32")],
        keep: Some("x > 0".to_owned()),
        rules: vec![rule("x", "x", range(Some(5), None), Action::Reject)],
        ..Clean::default()
    };
    let batch = rows(vec![
        ("n", texts(&[Some("bad"), Some("1"), Some("2"), Some("3"), Some("4")])),
        ("x", floats(&[Some(-1.0), Some(-1.0), None, Some(1.0), Some(6.0)])),
    ]);
    let cleaned = cleaned(&clean, &batch).unwrap();
    assert_eq!(numbers(&cleaned.rejects), [100, 103]);
    assert_eq!(lists(&cleaned.rejects, "rules"), ["type:n; x", "x"]);
    assert_eq!(cleaned.filtered, 2);
    assert_eq!(numbers(&cleaned.clean), [104]);
}

#[test]
fn a_derived_value_that_does_not_fit_rejects() {
    let derived = Derived { name: "half".to_owned(), column_type: "int8".parse().unwrap(), sql: "x / 2".to_owned() };
    let clean = Clean { derive: vec![derived], ..Clean::default() };
    let cleaned = cleaned(&clean, &rows(vec![("x", integers(&[Some(4), Some(3), Some(1000), None]))])).unwrap();
    assert_eq!(shown(&cleaned, "half"), ["2", "null"]);
    assert_eq!(
        lists(&cleaned.rejects, "reasons"),
        ["half is 1.5, which does not fit int8", "half is 500, which does not fit int8"]
    );
}

#[test]
fn fail_stops_with_rule_row_and_reason_unless_the_filter_left_the_row_out() {
    let failing = |keep: Option<&str>| Clean {
        keep: keep.map(str::to_owned),
        rules: vec![rule("stop", "x", range(Some(0), None), Action::Fail)],
        ..Clean::default()
    };
    let batch = rows(vec![("x", integers(&[Some(1), Some(-1)]))]);
    let error = cleaned(&failing(None), &batch).unwrap_err().to_string();
    assert_eq!(error, "row 101 breaks `stop`, whose action is fail: x is -1, allowed from 0");
    assert_eq!(cleaned(&failing(Some("x <> -1")), &batch).unwrap().filtered, 1);
    let clean = Clean { columns: vec![Column { on_bad: OnBad::Fail, ..column("x", "int8") }], ..Clean::default() };
    let error = cleaned(&clean, &rows(vec![("x", integers(&[Some(300)]))])).unwrap_err().to_string();
    assert_eq!(error, "row 100 breaks `type:x`, whose action is fail: x is 300, which does not fit int8");
}

#[test]
fn columns_that_pass_are_not_copied() {
    let batch = fares();
    let clean = with_rules(vec![rule("id", "id", range(Some(0), None), Action::Reject)]);
    let cleaned = cleaned(&clean, &batch).unwrap();
    for (before, after) in batch.columns().iter().zip(cleaned.clean.columns()) {
        assert_eq!(before.to_data().buffers()[0].as_ptr(), after.to_data().buffers()[0].as_ptr());
    }
}
