//! From columns and batches to the text of a pipeline file.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, NullArray, StringArray, TimestampMicrosecondArray,
};
use proptest::prelude::*;

use super::Profile;
use super::draft::Draft;
use super::names::{FileColumns, unify, words};
use super::render::{Form, render, sql_name, toml_key, toml_text};
use super::shape::Shapes;
use super::suggest::{Frame, suggest};
use crate::config::Config;
use crate::types::{ValueType, source_type};

/// A file: its name and its columns.
type File<'f> = (&'f str, Vec<(&'f str, ArrayRef)>);

fn profiled(files: &[File<'_>]) -> Profile {
    let columns: Vec<FileColumns> = files
        .iter()
        .map(|(file, columns)| FileColumns {
            file: (*file).to_owned(),
            rows: columns.first().map_or(0, |(_, array)| array.len() as u64),
            columns: columns
                .iter()
                .map(|(name, array)| ((*name).to_owned(), source_type(array.data_type()).ok().map(|of| of.becomes)))
                .collect(),
        })
        .collect();
    let mut profile = Profile::new(&columns);
    for (number, (_, columns)) in files.iter().enumerate() {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let arrays: Vec<ArrayRef> = columns.iter().map(|(_, array)| Arc::clone(array)).collect();
        profile.observe(number, arrays.first().map_or(0, |array| array.len()), &names, &arrays, true);
    }
    profile
}

fn drafted(files: &[File<'_>]) -> Draft {
    let frame = Frame {
        name: "p".to_owned(),
        paths: vec!["data/*.parquet".to_owned()],
        made_by: "made by a test".to_owned(),
        ..Frame::default()
    };
    suggest(&profiled(files), frame)
}

/// The text, which must read well in either form.
fn written(files: &[File<'_>]) -> String {
    let draft = drafted(files);
    for form in [Form::Trial, Form::Final] {
        let text = render(&draft, form);
        if let Err(errors) = Config::parse(&text, Path::new("/p/pipeline.toml"), &|_| None) {
            panic!("{errors}\n{text}");
        }
    }
    render(&draft, Form::Final)
}

fn numbers(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

fn whole(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn texts<'t>(values: impl IntoIterator<Item = &'t str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn times(micros: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(micros))
}

const HOUR: i64 = 3_600_000_000;
const START: i64 = 1_546_300_800_000_000;

/// A thousand orders, some of them odd, and the first fifty once more under other names.
fn orders() -> Vec<File<'static>> {
    let n = 1000;
    let ordered = || times((0..n).map(|row| if row == 7 { START - 9000 * HOUR * 24 / 3 } else { START + row * HOUR }));
    let shipped =
        || times((0..n).map(|row| START + row * HOUR + if row == 11 { -HOUR } else { HOUR / 2 + row * 1_000_000 }));
    let amount = |row: i64| match row {
        3 => -5.0,
        5 => 1e6,
        #[allow(clippy::cast_precision_loss, reason = "small")]
        row => (row % 90) as f64 + 0.5,
    };
    let status = |row: i64| if row % 3 == 0 { "paid" } else { "open" };
    let code = |row: i64| if row == 42 { 99 } else { row % 5 + 1 };
    let first = vec![
        ("order_id", whole(0..n)),
        ("ordered_at", ordered()),
        ("shipped_at", shipped()),
        ("amount", numbers((0..n).map(amount))),
        ("status", texts((0..n).map(status))),
        ("rate_code", whole((0..n).map(code))),
        ("note", texts((0..n).map(|row| if row % 4 == 0 { "N/A" } else { "fine" }))),
        ("", whole(0..n)),
    ];
    let again = vec![
        ("OrderID", whole(100..150)),
        ("ordered_at", times((100..150).map(|row| START + row * HOUR))),
        ("shipped_at", times((100..150).map(|row| START + row * HOUR + HOUR / 2 + row * 1_000_000))),
        ("amount", numbers((100..150).map(amount))),
        ("status", texts((100..150).map(status))),
        ("RateCode", whole((100..150).map(code))),
        ("note", texts((100..150).map(|row| if row % 4 == 0 { "N/A" } else { "fine" }))),
        ("", whole(100..150)),
    ];
    vec![("data/a.parquet", first), ("data/b.parquet", again)]
}

#[test]
fn a_pipeline_file_tells_what_data_are_like() {
    insta::assert_snapshot!(written(&orders()), @r#"
    # made by a test
    # read: all 1,050 rows of 2 files

    [pipeline]
    name = "p"

    [source]
    path = "data/*.parquet"
    # watch = true                   # go on with files that appear
    event_time = "ordered_at"   # fixed at the first run; or shipped_at?

    # Done in this order: types, filter, derived columns, rules, dedup.
    [clean]
    null_tokens = ["N/A"]
    # "N/A" stands in 263 values of note
    drop = [""]
    # "": counts the rows of its file: an index that somebody saved along

    [clean.columns]                  # the name from now on; `from`: other names that files have for it
    order_id   = { from = ["OrderID"], type = "int64" }
    ordered_at = { type = "timestamp" }
    shipped_at = { type = "timestamp" }
    amount     = { type = "float64" }
    status     = { type = "string" }
    rate_code  = { from = ["RateCode"], type = "int64" }
    note       = { type = "string" }

    # `warn` only marks a row, in its column `_marks`. Where such rows are no rows for you, write `reject`; where only the value is
    # wrong, `nullify`, or `clamp` for a range. Rules behind a `#` are guesses.
    [clean.rules]
    # the first is 2010-10-15T00:00:00Z
    ordered_at_since = { column = "ordered_at", check = { range = { min = 2019-01-01T00:00:00Z } }, action = "warn" }
    amount_min = { column = "amount", check = { range = { min = 0 } }, action = "warn" }   # the smallest is -5
    amount_max = { column = "amount", check = { range = { max = 500 } }, action = "warn" }   # 99.9 % are at most 89.5, the largest is 1000000
    status_values = { column = "status", check = { one_of = ["open", "paid"] }, action = "warn" }
    rate_code_values = { column = "rate_code", check = { one_of = [1, 2, 3, 4, 5] }, action = "warn" }   # 99 stands apart; does it mean NULL? then give the column null_tokens = ["99"]
    shipped_at_after_ordered_at = { column = "shipped_at", check = { compare = { op = ">=", with = "ordered_at" } }, action = "warn" }
    # 99 % are within 46 min, the longest takes 3000 days
    ordered_at_to_shipped_at_takes = { check = { sql = "shipped_at < ordered_at + INTERVAL '12' HOUR" }, action = "warn" }

    # Each by itself tells all different rows apart: `ordered_at`, `shipped_at`, `order_id`.
    # 50 rows equal rows before them in every column.
    # data/b.parquet: 50 of its 50 rows are in other files too.
    [clean.dedup]
    key = ["order_id"]
    within = "source"

    [[view]]
    name = "rows_by_day"
    sql = "SELECT date_trunc('day', ordered_at) AS day, count(*) AS rows FROM events GROUP BY 1 ORDER BY 1"
    chart = { kind = "line", x = "day", y = "rows" }

    [[view]]                         # how many rows each rule has marked
    name = "marks"
    sql = "SELECT mark, count(*) AS rows FROM (SELECT unnest(_marks) AS mark FROM events) GROUP BY 1 ORDER BY 2 DESC"
    chart = { kind = "bar", x = "mark", y = "rows" }
    "#);
}

#[test]
fn rows_of_a_file_that_came_again_are_left_out_by_a_key() {
    let draft = drafted(&orders());
    let dedup = draft.dedup.unwrap();
    assert!(dedup.is_certain, "{dedup:?}");
    assert!(dedup.key.contains(&"order_id".to_owned()) || dedup.key == ["ordered_at"], "{dedup:?}");
}

#[test]
fn equal_rows_of_one_file_are_not_taken_for_repeats() {
    let rows = || texts((0..100).map(|row| if row % 2 == 0 { "a" } else { "b" }));
    let draft = drafted(&[("a", vec![("x", rows()), ("y", rows())])]);
    assert!(draft.dedup.is_none_or(|dedup| !dedup.is_certain));
}

#[test]
fn names_are_one_only_where_that_is_evident() {
    let number = || Some(ValueType::Scalar(crate::types::ColumnType::Int64));
    let file = |name: &str, columns: &[&str]| FileColumns {
        file: name.to_owned(),
        rows: 10,
        columns: columns.iter().map(|column| ((*column).to_owned(), number())).collect(),
    };
    let joined = |files: &[FileColumns]| -> Vec<String> {
        let with = |column: super::names::Unified| {
            let from: Vec<&str> = column.from.iter().map(|(name, _)| name.as_str()).collect();
            format!("{}<{}", column.name, from.join(","))
        };
        unify(files).into_iter().map(with).collect()
    };
    let old =
        file("a", &["vendor_id", "pickup_time", "dropoff_time", "pickup_location_id", "dropoff_location_id", "total"]);
    let new =
        file("b", &["VendorID", "tpep_pickup_time", "tpep_dropoff_time", "PULocationID", "DOLocationID", "sub_total"]);
    assert_eq!(
        joined(&[old.clone(), new]),
        [
            "vendor_id<VendorID",
            "pickup_time<tpep_pickup_time",
            "dropoff_time<tpep_dropoff_time",
            "pickup_location_id<PULocationID",
            "dropoff_location_id<DOLocationID",
            "total<",
            "sub_total<"
        ]
    );
    // Both in one file: they are two.
    assert_eq!(joined(&[file("c", &["VendorID", "vendor_id"])]), ["VendorID<", "vendor_id<"]);
    assert_eq!(joined(&[file("c", &["Id", "id"])]), ["Id<", "id_2<id"]);
    assert_eq!(
        joined(&[file("d", &["a b", "_row", "ingested_at", "ß;"])]).join(" "),
        "a_b<a b row<_row source_ingested_at<ingested_at ß<ß;"
    );
    drop(old);
}

#[test]
fn words_of_names_are_told_apart() {
    for (name, expected) in [
        ("PULocationID", "pu location id"),
        ("tpep_pickup_datetime", "tpep pickup datetime"),
        ("RatecodeID", "ratecode id"),
        ("HTTPServer2", "http server2"),
        ("ÄrgerNr", "ärger nr"),
        ("", ""),
    ] {
        assert_eq!(words(name).join(" "), expected, "{name}");
    }
}

#[test]
fn texts_that_hold_something_else_get_its_type() {
    let of = |values: [&str; 4]| {
        let values = texts(values.into_iter().cycle().take(40));
        let draft = drafted(&[("a", vec![("x", values)])]);
        let column = &draft.columns[0];
        let settings: Vec<String> = column.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let guess = column.guess.as_ref().map(|(settings, _)| {
            format!(
                " or {}",
                settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
            )
        });
        settings.join(" ") + &guess.unwrap_or_default()
    };
    assert_eq!(of(["1", "20", "-3", "400"]), "type=\"int64\"");
    assert_eq!(of(["1", "2.5", "-3e4", "-"]), "type=\"float64\" null_tokens=[\"-\"]");
    assert_eq!(of(["01", "02", "13", "99"]), "type=\"string\"");
    assert_eq!(of(["true", "FALSE", "no", "yes"]), "type=\"boolean\"");
    assert_eq!(of(["2018-01-31", "2018-02-01", "2019-12-01", "2020-02-29"]), "type=\"date\"");
    assert_eq!(of(["31.01.2018", "01.02.2018", "01.12.2019", "29.02.2020"]), "type=\"date\" formats=[\"%d.%m.%Y\"]");
    assert_eq!(of(["31/01/2018", "01/02/2018", "01/12/2019", "29/02/2020"]), "type=\"date\" formats=[\"%d/%m/%Y\"]");
    assert_eq!(
        of(["03/01/2018", "01/02/2018", "01/12/2019", "09/02/2020"]),
        "type=\"string\" or type=\"date\" formats=[\"%d/%m/%Y\"] on_bad=\"nullify\""
    );
    assert_eq!(
        of(["2018-01-31 10:00:00", "2018-02-01 10:00:00.5", "2018-02-01 10:00:00", "2018-02-01 23:59:59"]),
        "type=\"timestamp\""
    );
    assert_eq!(of([" a", "b", "c ", "d"]), "type=\"string\" trim=true");
    assert_eq!(of(["yes", "maybe", "no", "1"]), "type=\"string\"");
}

#[test]
fn columns_that_say_nothing_and_odd_names_still_make_a_pipeline_that_reads() {
    let text = written(&[
        (
            "a \"quoted\"\n.parquet",
            vec![
                ("all null", Arc::new(NullArray::new(30)) as ArrayRef),
                ("nothing", Arc::new(Int64Array::from(vec![None::<i64>; 30]))),
                ("a \"b\" 'c'", whole(0..30)),
                ("naïve ☃", texts(["x"; 30])),
                ("a.b", numbers((0..30).map(f64::from))),
                ("${HOME}", Arc::new(BooleanArray::from(vec![true; 30]))),
                ("x:y", numbers((0..30).map(|n| f64::from(n) * 1.5))),
            ],
        ),
        ("empty.parquet", vec![("a.b", numbers([]))]),
    ]);
    insta::assert_snapshot!(text, @r#"
    # made by a test
    # read: all 30 rows of 2 files

    [pipeline]
    name = "p"

    [source]
    path = "data/*.parquet"
    # watch = true                   # go on with files that appear
    # event_time = …   no column is certain to hold the time of the event

    # Done in this order: types, filter, derived columns, rules, dedup.
    [clean]

    [clean.columns]                  # the name from now on; `from`: other names that files have for it
    all_null      = { from = ["all null"] }   # tables take no column "all null"; nothing but NULL so far: it comes with the first file that gives it a type
    nothing       = { type = "int64" }
    "a_\"b\"_'c'" = { from = ["a \"b\" 'c'"], type = "int64" }   # tables take no column "a \"b\" 'c'"
    "naïve_☃"     = { from = ["naïve ☃"], type = "string" }   # tables take no column "naïve ☃"
    "a.b"         = { type = "float64" }
    "$_HOME"      = { from = ["$${HOME}"], type = "boolean" }   # tables take no column "$${HOME}"
    "x:y"         = { type = "float64" }

    # Each by itself tells all different rows apart: `a_"b"_'c'`, `a.b`, `x:y`.
    # No two rows are the same. If files may be delivered twice, these columns tell rows apart:
    # [clean.dedup]
    # key = ["a_\"b\"_'c'"]
    # within = "source"
    "#);
}

#[test]
fn no_files_and_no_rows_make_a_pipeline_that_reads() {
    assert!(written(&[("a", vec![("x", whole([]))])]).contains("x = { type = \"int64\" }"));
    assert!(written(&[("a", vec![])]).contains("[clean.columns]"));
}

#[test]
fn many_columns_are_no_trouble() {
    let names: Vec<String> = (0..700).map(|number| format!("column_{number}")).collect();
    let columns = names.iter().map(|name| (name.as_str(), whole(0..20))).collect();
    assert!(written(&[("a", columns)]).contains("column_699 = "));
}

#[test]
fn names_are_written_so_that_toml_and_sql_read_them() {
    assert_eq!(toml_text("a\"b\\c\n${X}"), "\"a\\\"b\\\\c\\u000A$${X}\"");
    assert_eq!((toml_key("a_b").as_str(), toml_key("a b").as_str()), ("a_b", "\"a b\""));
    assert_eq!(
        (sql_name("a_b").as_str(), sql_name("order").as_str(), sql_name("A\"b").as_str()),
        ("a_b", "\"order\"", "\"A\"\"b\"")
    );
}

proptest! {
    #[test]
    fn no_text_makes_a_look_at_it_panic(texts in proptest::collection::vec(".{0,30}", 0..20)) {
        let mut shapes = Shapes::default();
        for text in &texts {
            shapes.observe(text);
        }
        prop_assert!(shapes.texts <= texts.len() as u64);
    }

    #[test]
    fn any_names_and_values_make_a_pipeline_that_reads(
        names in proptest::collection::btree_set("[a-zA-Z_.\"$'{} é\\\\]{0,8}", 1..5),
        values in proptest::collection::vec(proptest::option::of(any::<f64>()), 1..40),
        words in proptest::collection::vec("(N/A|-|1|x y|2020-01-01|\"|99|)", 40),
    ) {
        let rows = values.len();
        let columns = names.iter().enumerate().map(|(number, name)| {
            let array: ArrayRef = if number % 2 == 0 {
                Arc::new(Float64Array::from(values.clone()))
            } else {
                Arc::new(StringArray::from_iter_values(words.iter().take(rows)))
            };
            (name.as_str(), array)
        });
        written(&[("a", columns.collect())]);
    }
}
