//! Quarantined files are taken again.

use serde_json::{Value, json};

use crate::program::{Called, Pipeline, Run};
use crate::wire::get;

/// Puts a file in its place that ends too early; gives what would be the whole of it.
fn break_file(pipeline: &Pipeline, name: &str, rows: usize) -> Vec<u8> {
    pipeline.add_file(name, rows);
    let path = pipeline.path("data").join(name);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(path, &whole[..whole.len() - 5]).unwrap();
    whole
}

fn state(ledger: &Value, file: &str) -> Value {
    let files = ledger["files"].as_array().unwrap();
    files.iter().find(|entry| entry["file"] == file).map_or(Value::Null, |entry| entry["state"].clone())
}

fn wait_for_state(run: &mut Run, file: &str, wanted: &str) {
    let host = run.host().to_owned();
    run.wait_for(wanted, || {
        let ledger = crate::wire::ledger(&host)?;
        (state(&ledger, file) == wanted).then_some(())
    });
}

fn rows(pipeline: &Pipeline) -> String {
    let counted = pipeline.call("sql", &["SELECT _file, count(*) AS n FROM events GROUP BY 1 ORDER BY 1", "--json"]);
    assert_eq!(counted.code, 0, "{counted:?}");
    counted.stdout
}

fn assert_taken(called: &Called) {
    assert_eq!((called.code, called.stdout.as_str()), (0, "`data/b.parquet` is taken again\n"), "{called:?}");
}

#[test]
fn a_mended_file_is_taken_again_while_the_pipeline_runs_and_after_it() {
    let pipeline = Pipeline::with_source("watch = true\nsettle = \"50ms\"", "");
    pipeline.add_file("a.parquet", 10);
    let whole = break_file(&pipeline, "b.parquet", 7);
    let also = break_file(&pipeline, "c.parquet", 5);
    let mut run = pipeline.start();
    wait_for_state(&mut run, "data/b.parquet", "quarantined");
    wait_for_state(&mut run, "data/c.parquet", "quarantined");

    pipeline.call("retry", &["data/b.parquet"]).assert_refused(&["a file was not taken"]);
    let unknown = pipeline.call("retry", &["data/a.parquet", "data/nothing.parquet"]);
    unknown.assert_refused(&["2 files were not taken"]);
    assert!(unknown.stdout.contains("all of its rows have their place"), "{unknown:?}");
    assert!(unknown.stdout.contains("`data/nothing.parquet` is no file that the pipeline knows"), "{unknown:?}");

    std::fs::write(pipeline.path("data/b.parquet"), whole).unwrap();
    assert_taken(&pipeline.call("retry", &["data/b.parquet"]));
    wait_for_state(&mut run, "data/b.parquet", "done");
    let ledger = get(&run, "/api/ledger").json();
    assert_eq!((&ledger["balanced"], &ledger["total"]["delivered"]), (&json!(true), &json!(17)), "{ledger}");
    run.signal("INT");
    assert!(run.end().0.success());

    std::fs::write(pipeline.path("data/c.parquet"), also).unwrap();
    assert_eq!(pipeline.call("retry", &["data/c.parquet"]).code, 0);
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 0);
    let files = ["a", "b", "c"].map(|name| format!("data/{name}.parquet"));
    let wanted = files.iter().zip([10, 7, 5]).map(|(file, n)| format!("{{\"_file\":\"{file}\",\"n\":{n}}}\n"));
    assert_eq!(rows(&pipeline), wanted.collect::<String>());
    let verify = pipeline.call("verify", &[]);
    assert_eq!(verify.code, 0, "{verify:?}");
}

#[test]
fn a_file_that_broke_midway_goes_on_behind_its_published_rows() {
    let pipeline = Pipeline::with_source("settle = \"50ms\"", "[clean.dedup]\nkey = [\"id\"]\nwithin = \"source\"\n");
    pipeline.add_file("a.parquet", 10);
    pipeline.add_groups("b.parquet", 3000, 1000);
    let path = pipeline.path("data/b.parquet");
    let whole = std::fs::read(&path).unwrap();
    let mut broken = whole.clone();
    // The pages of the last row group are no pages any more; its footer says nothing of that.
    let (from, to) = pipeline.bytes_of_group("b.parquet", 2);
    broken[from..to].fill(0xff);
    std::fs::write(&path, broken).unwrap();
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 0);
    let ledger = pipeline.call("status", &["--json"]);
    let ledger: Value = serde_json::from_str(&ledger.stdout).unwrap();
    assert_eq!(state(&ledger["ledger"], "data/b.parquet"), "quarantined", "{ledger}");
    let unread = ledger["ledger"]["total"]["unread"].as_u64().unwrap();
    assert!((1..3000).contains(&unread), "{ledger}");

    std::fs::write(&path, whole).unwrap();
    let refused = pipeline.call("retry", &["data/b.parquet"]);
    refused.assert_refused(&["a file was not taken"]);
    assert!(refused.stdout.contains("--keep-published"), "{refused:?}");
    let taken = pipeline.call("retry", &["data/b.parquet", "--keep-published"]);
    assert_eq!(taken.stdout, format!("`data/b.parquet` is taken again, from row {} on\n", 3000 - unread), "{taken:?}");
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 0);
    // Ten of its rows have the key of a row before them.
    let counted = pipeline.call("sql", &["SELECT count(*) AS n, count(DISTINCT id) AS ids FROM events", "--json"]);
    assert_eq!(counted.stdout, "{\"n\":3000,\"ids\":3000}\n", "{counted:?}");
    let verify = pipeline.call("verify", &[]);
    assert_eq!(verify.code, 0, "{verify:?}");
}

/// Puts a file in its place whose last row group cannot be read; gives what would be the whole of it.
fn break_last_group(pipeline: &Pipeline, name: &str) -> Vec<u8> {
    pipeline.add_groups(name, 3000, 1000);
    let path = pipeline.path("data").join(name);
    let whole = std::fs::read(&path).unwrap();
    let mut broken = whole.clone();
    let (from, to) = pipeline.bytes_of_group(name, 2);
    broken[from..to].fill(0xff);
    std::fs::write(path, broken).unwrap();
    whole
}

/// Runs until a file is published in part, and kills the program.
fn kill_midway(pipeline: &Pipeline, file: &str) {
    let mut run = pipeline.start();
    let host = run.host().to_owned();
    run.wait_for("a file midway", || {
        let ledger = crate::wire::ledger(&host)?;
        let files = ledger["files"].as_array()?;
        let entry = files.iter().find(|entry| entry["file"] == file)?;
        (entry["state"] == "reading" && entry["delivered"].as_u64()? > 0).then_some(())
    });
    run.signal("KILL");
    run.end();
}

#[test]
fn each_of_two_files_ends_under_the_rules_that_it_began_with() {
    let pipeline = Pipeline::with_source(
        "settle = \"50ms\"\npace = \"1000 rows/s\"\nwatch = true",
        "[clean.filter]\nkeep = \"id <> 1\"\n",
    );
    let whole = break_last_group(&pipeline, "a.parquet");
    let mut run = pipeline.start();
    wait_for_state(&mut run, "data/a.parquet", "quarantined");
    run.signal("INT");
    assert!(run.end().0.success());

    // Another file begins under other rules and is midway when those of before come back.
    pipeline.replace("id <> 1", "id <> 2");
    pipeline.add_groups("b.parquet", 3000, 1000);
    kill_midway(&pipeline, "data/b.parquet");
    pipeline.replace("id <> 2", "id <> 1");
    std::fs::write(pipeline.path("data/a.parquet"), whole).unwrap();
    let run = pipeline.start();
    let taken = pipeline.call("retry", &["data/a.parquet", "--keep-published"]);
    assert_eq!(taken.code, 0, "{taken:?}");
    // And once more: both are under way, each under its own.
    run.signal("KILL");
    run.end();
    pipeline.replace("id <> 1", "id <> 3");
    pipeline.add_groups("c.parquet", 3000, 1000);
    pipeline.replace("pace = \"1000 rows/s\"\nwatch = true", "");
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 0);
    let gone = "SELECT _file, 4498500 - sum(id) AS gone FROM archive GROUP BY 1 ORDER BY 1";
    let found = pipeline.call("sql", &[gone, "--json"]);
    let files = [("a", 1), ("b", 2), ("c", 3)];
    let wanted = files.map(|(name, id)| format!("{{\"_file\":\"data/{name}.parquet\",\"gone\":{id}}}\n"));
    assert_eq!(found.stdout, wanted.concat(), "{found:?}");
}
