//! `init`, `run` of files and the trial of `check`, on real data and odd ones.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, NullArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::Called;

/// The taxi trips that the example has.
const TAXI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/nyc-taxi/data");

fn call(folder: &Path, arguments: &[&str]) -> Called {
    let mut program = Command::new(env!("CARGO_BIN_EXE_millstream"));
    program.args(arguments).current_dir(folder).stdin(std::process::Stdio::null());
    Called::of(&program.output().unwrap(), folder)
}

fn done(called: Called) -> Called {
    assert_eq!(called.code, 0, "{}\n{}", called.stdout, called.stderr);
    called
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// What `check --full --json` tells.
fn checked(folder: &Path, file: &str) -> Value {
    serde_json::from_str(&done(call(folder, &["check", file, "--full", "--json"])).stdout).unwrap()
}

fn rows_of(report: &Value, rule: &str) -> u64 {
    let rules = report["rules"].as_array().unwrap();
    let found = rules.iter().find(|tried| tried["rule"] == rule);
    found.unwrap_or_else(|| panic!("no rule `{rule}` in {report}"))["rows"].as_u64().unwrap()
}

/// Lets a pipeline listen on a free port, so that tests do not meet.
fn on_a_free_port(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, text + "\n[server]\nhttp = \"127.0.0.1:0\"\n").unwrap();
}

#[test]
fn init_finds_what_is_wrong_with_the_taxi_trips_and_its_pipeline_loses_none() {
    let folder = TempDir::new().unwrap();
    let init = done(call(folder.path(), &["init", TAXI]));
    assert!(init.stderr.contains("read: all 108,500 rows of 12 files"), "{}", init.stderr);
    let again = call(folder.path(), &["init", TAXI]);
    again.assert_refused(&["pipeline.toml` is there already", "--force"]);
    let file = folder.path().join("pipeline.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    for expected in [
        "event_time = \"pickup_datetime\"",
        "null_tokens = [",
        "pickup_datetime       = { from = [\"tpep_pickup_datetime\"], type = \"timestamp\" }",
        "vendor_id             = { from = [\"VendorID\"], type = \"int64\" }",
        "pickup_location_id    = { from = [\"PULocationID\"], type = \"int64\" }",
        "rate_code_id          = { from = [\"RatecodeID\"], type = \"int64\" }",
        "yellow_tripdata_2019-01.redelivery7500.parquet: 7,500 of its 7,500 rows are in other files too.",
        "\n[clean.dedup]   # leaves out 7,500 rows\n",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in\n{text}");
    }
    let report = checked(folder.path(), "pipeline.toml");
    assert_eq!(
        (&report["delivered"], &report["rejected"], &report["duplicates"]),
        (&101_000.into(), &0.into(), &7500.into())
    );
    on_a_free_port(&file);
    let run = done(call(folder.path(), &["run", "pipeline.toml", "--until-done", "--json"]));
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(summary["ledger"]["total"]["delivered"], 101_000, "{summary}");
    for view in ["rows_by_month", "marks"] {
        let rows = done(call(folder.path(), &["sql", "pipeline.toml", &format!("SELECT * FROM {view}"), "--json"]));
        assert!(rows.stdout.lines().count() > 5, "{view}: {}", rows.stdout);
    }
}

#[test]
fn init_names_the_dirt_of_the_whole_taxi_data_in_numbers() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nyc-taxi");
    if !data.is_dir() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let months: Vec<String> = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().path().to_string_lossy().into_owned())
        .filter(|path| {
            ["2018-", "2019-", "2020-"].iter().any(|year| path.contains(year)) && !path.contains("redelivery")
        })
        .collect();
    let mut arguments = vec!["init"];
    arguments.extend(months.iter().map(String::as_str));
    done(call(folder.path(), &arguments));
    let report = checked(folder.path(), "pipeline.toml");
    assert_eq!((&report["rows"], &report["delivered"]), (&360_000.into(), &360_000.into()));
    for (rule, rows) in [
        ("vendor_id_there", 8_244),
        ("passenger_count_there", 8_244),
        ("rate_code_id_there", 8_244),
        ("fare_amount_min", 833),
        ("fare_amount_max", 4),
        ("trip_distance_zero", 4_191),
        ("dropoff_datetime_after_pickup_datetime", 136),
        ("passenger_count_zero", 7_111),
        ("rate_code_id_values", 16),
        ("location_id_known", 5_743),
        ("pickup_datetime_since", 1),
    ] {
        assert_eq!(rows_of(&report, rule), rows, "{rule}");
    }
    assert!(rows_of(&report, "pickup_datetime_to_dropoff_datetime_takes") >= 698);
    let text = std::fs::read_to_string(folder.path().join("pipeline.toml")).unwrap();
    for told in ["NULL in 126,327 rows", "429490.2", "46826.21", "equal in 309 more rows", "2008-12-31"] {
        assert!(text.contains(told), "`{told}` is not in\n{text}");
    }
}

#[test]
fn init_of_flights_and_weather_says_that_they_are_two_tables() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/nycflights13");
    if !data.is_dir() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let text = done(call(folder.path(), &["init", data.to_str().unwrap(), "--stdout"])).stdout;
    assert!(text.contains("look like another table: ") && text.contains("weather_2013.parquet"), "{text}");
    assert!(text.contains("event_time = \"time_hour\""), "{text}");
    std::fs::write(folder.path().join("pipeline.toml"), text).unwrap();
    let report = checked(folder.path(), "pipeline.toml");
    assert_eq!((&report["delivered"], &report["rejected"]), (&(336_776 + 26_115).into(), &0.into()));
}

#[test]
fn run_of_files_makes_a_pipeline_and_goes_on_with_it() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let ids = || Arc::new(Int64Array::from_iter_values(0..50)) as ArrayRef;
    write(&data.join("orders_1.parquet"), vec![("id", ids())]);
    // The first run is refused its port, if another program has it, after the pipeline file was made.
    let first = call(folder.path(), &["run", "data/*.parquet", "--until-done", "--json"]);
    let file = folder.path().join("millstream-data/pipeline.toml");
    assert!(first.stderr.contains("made `millstream-data/pipeline.toml`"), "{first:?}");
    on_a_free_port(&file);
    write(&data.join("orders_2.parquet"), vec![("id", ids())]);
    let second = done(call(folder.path(), &["run", "data/*.parquet", "--until-done", "--json"]));
    assert!(second.stderr.contains("going on with `millstream-data/pipeline.toml`"), "{second:?}");
    let summary: Value = serde_json::from_str(&second.stdout).unwrap();
    assert_eq!(summary["ledger"]["total"]["delivered"], 100, "{summary}");
    call(folder.path(), &["run", "data/orders_1.parquet", "--dir", "millstream-data"])
        .assert_refused(&["belongs to a run of other files", "--dir"]);
    call(folder.path(), &["run", "data/orders_1.parquet", "pipeline.toml"])
        .assert_refused(&["`pipeline.toml` is a pipeline file", "without other files"]);
    let sql = done(call(
        folder.path(),
        &["sql", "millstream-data/pipeline.toml", "SELECT count(*) AS n FROM events", "--json"],
    ));
    assert_eq!(sql.stdout, "{\"n\":100}\n");
}

#[test]
fn odd_files_make_a_pipeline_that_runs() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let empty = || Arc::new(Int64Array::from(Vec::<i64>::new())) as ArrayRef;
    write(&at("a [1] empty.parquet"), vec![("id", empty())]);
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>((0..3).map(|n| Some(vec![Some(n)])));
    write(
        &at("b \"quoted\" ☃.parquet"),
        vec![
            ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
            ("a b", Arc::new(StringArray::from(vec!["x", "y", "z"]))),
            ("it's \"so\"", Arc::new(Int64Array::from(vec![None, Some(1), None]))),
            ("nothing", Arc::new(NullArray::new(3))),
            ("tags", Arc::new(lists)),
            ("größe", Arc::new(StringArray::from(vec!["01", "02", ""]))),
            ("_private", Arc::new(Int64Array::from(vec![7, 8, 9]))),
        ],
    );
    std::fs::write(at("broken.parquet"), "PAR1 and then nothing that is meant").unwrap();
    let init = done(call(folder.path(), &["init", ".", "--name", "odd"]));
    assert!(init.stderr.contains("! `broken.parquet` cannot be read and will be quarantined"), "{}", init.stderr);
    on_a_free_port(&at("pipeline.toml"));
    let run = done(call(folder.path(), &["run", "pipeline.toml", "--until-done", "--json"]));
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(summary["ledger"]["total"]["delivered"], 3, "{summary}");
    let sql = "SELECT id, a_b, \"it's_\"\"so\"\"\" AS so, private, \"größe\" AS size FROM events WHERE id = 3";
    let rows = call(folder.path(), &["sql", "pipeline.toml", sql, "--json"]);
    assert_eq!(rows.stdout, "{\"id\":3,\"a_b\":\"z\",\"so\":null,\"private\":9,\"size\":null}\n", "{rows:?}");
}

#[test]
fn nothing_to_look_at_is_told_by_name() {
    let folder = TempDir::new().unwrap();
    call(folder.path(), &["init", "nowhere.parquet", "x"])
        .assert_refused(&["no such file or folder: `nowhere.parquet`, `x`"]);
    call(folder.path(), &["init", "*.parquet"]).assert_refused(&["nothing matches `*.parquet`"]);
    std::fs::write(folder.path().join("a.parquet"), "x").unwrap();
    call(folder.path(), &["init", "a.parquet"])
        .assert_refused(&["`a.parquet` cannot be read", "no file could be read"]);
    assert!(!folder.path().join("pipeline.toml").exists());
    call(folder.path(), &["init", "a.parquet", "--name", "not a name"]).assert_refused(&["name"]);
}

#[test]
fn a_sample_says_that_it_is_one() {
    let folder = TempDir::new().unwrap();
    let text = done(call(folder.path(), &["init", TAXI, "--stdout", "--sample-rows", "20000"])).stdout;
    assert!(text.contains("of 108,500 rows in 12 files, a sample"), "{text}");
    // Repeats of a sample do not tell that all are.
    assert!(!text.contains("\n[clean.dedup]"), "{text}");
    std::fs::write(folder.path().join("pipeline.toml"), text).unwrap();
    let check = done(call(folder.path(), &["check", "pipeline.toml", "--sample-rows", "5000"]));
    assert!(check.stdout.contains("of 108,500 rows, a sample (`--full` cleans all)"), "{}", check.stdout);
}
