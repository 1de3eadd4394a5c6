//! Whatever rows come: each is clean, rejected or filtered, exactly once.

use millstream_core::config::clean::Derived;
use proptest::prelude::*;

use super::*;

type Row = (Option<i32>, Option<f64>, Option<String>);

fn row() -> impl Strategy<Value = Row> {
    let number = prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-0.0),
        Just(1e300),
        -20.0..20.0_f64,
        (-20..20_i32).prop_map(f64::from)
    ];
    let text = prop_oneof![
        Just(String::new()),
        Just("N/A".to_owned()),
        "[0-9]{1,3}",
        "-?[0-9]{1,2}\\.[0-9]",
        "[a-c ]{0,3}",
        Just("2019-02-30 00:00:00".to_owned()),
        Just("2019-02-03 04:05:06".to_owned())
    ];
    (prop::option::of(-5..40_i32), prop::option::of(number), prop::option::of(text))
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Reject), Just(Action::Nullify), Just(Action::Warn)]
}

fn on_bad() -> impl Strategy<Value = OnBad> {
    prop_oneof![Just(OnBad::Reject), Just(OnBad::Nullify)]
}

fn settings() -> impl Strategy<Value = Clean> {
    let types = prop::sample::select(vec!["int8", "decimal(4,1)", "float64", "boolean", "timestamp", "string"]);
    let keep = prop::option::of(Just("number > -10".to_owned()));
    (types, keep, on_bad(), on_bad(), action(), action(), action()).prop_map(
        |(of, keep, bad, worse, one, two, three)| Clean {
            null_tokens: vec!["N/A".to_owned()],
            columns: vec![
                Column { on_bad: bad, ..column("text", of) },
                Column { on_bad: worse, fill: Some(Literal::Integer(3)), ..column("number", "int32") },
            ],
            keep,
            derive: vec![Derived {
                name: "ratio".to_owned(),
                column_type: "int16".parse().unwrap(),
                sql: "id / number".to_owned(),
            }],
            rules: vec![
                rule("id", "id", range(Some(0), Some(30)), one),
                rule("number", "number", range(Some(0), None), Action::Clamp),
                rule("text", "text", Check::NotNull, two),
                rule(
                    "ratio",
                    "",
                    Check::Sql("ratio < 10".to_owned()),
                    if three == Action::Nullify { Action::Warn } else { three },
                ),
            ],
            ..Clean::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_row_comes_out_exactly_once(clean in settings(), input in prop::collection::vec(row(), 0..60)) {
        let batch = rows(vec![
            ("id", integers(&input.iter().map(|row| row.0).collect::<Vec<_>>())),
            ("number", floats(&input.iter().map(|row| row.1).collect::<Vec<_>>())),
            ("text", texts(&input.iter().map(|row| row.2.as_deref()).collect::<Vec<_>>())),
        ]);
        let cleaned = cleaned(&clean, &batch).unwrap();
        let delivered = numbers(&cleaned.clean);
        let rejected = numbers(&cleaned.rejects);
        let mut all: Vec<i64> = delivered.iter().chain(&rejected).copied().collect();
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(all.len(), delivered.len() + rejected.len());
        prop_assert_eq!(all.len() as u64 + cleaned.filtered, input.len() as u64);
        let end = 100 + i64::try_from(input.len()).unwrap();
        prop_assert!(all.iter().all(|row| (100..end).contains(row)));
        prop_assert!(delivered.is_sorted() && rejected.is_sorted());
        for (rules, reasons) in lists(&cleaned.rejects, "rules").iter().zip(lists(&cleaned.rejects, "reasons")) {
            prop_assert!(!rules.is_empty() && !reasons.is_empty());
        }
    }
}
