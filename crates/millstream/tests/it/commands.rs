//! The commands as a person or a script meets them.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::program::Pipeline;

/// A pipeline whose `rows` rows were brought to the archive by a run that ended.
fn done(rows: usize) -> Pipeline {
    let pipeline = Pipeline::new("");
    pipeline.add_file("a.parquet", rows);
    let run = pipeline.call("run", &["--until-done", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    pipeline
}

#[test]
fn until_done_ends_with_a_summary() {
    let pipeline = Pipeline::new("");
    pipeline.add_file("a.parquet", 1000);
    let run = pipeline.call("run", &["--until-done", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(summary["state"], "done");
    assert_eq!(summary["ledger"]["total"]["delivered"], 1000);
    assert_eq!(summary["ledger"]["balanced"], true);
    assert!(!pipeline.data_dir().join("run.json").exists());

    let again = pipeline.call("run", &["--until-done"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("1,000 delivered"), "{}", again.stdout);
}

#[test]
fn mistakes_in_the_pipeline_file_are_told_all_at_once() {
    let pipeline = Pipeline::new("");
    pipeline.write(
        "[pipeline]\nname = \"trips\"\n[source]\npath = \"*.parquet\"\nwach = true\n[stream]\npartitions = 0\n\
         [clean.rules]\nfare = { column = \"fare\", check = { range = { min = 0 } }, action = \"rejct\" }\n",
    );
    for command in ["run", "check", "status", "tail", "reset"] {
        pipeline.call(command, &[]).assert_refused(&[
            "pipeline.toml:5",
            "source.wach: unknown key; did you mean `watch`?",
            "pipeline.toml:7",
            "stream.partitions",
            "clean.rules.fare.action",
            "`rejct`",
        ]);
    }
    pipeline.write("[pipeline\n");
    pipeline.call("check", &[]).assert_refused(&["pipeline.toml:1"]);
    std::fs::remove_file(pipeline.file()).unwrap();
    pipeline.call("run", &[]).assert_refused(&["pipeline.toml`", "No such file"]);
}

#[test]
fn wrong_usage_ends_with_2() {
    let pipeline = Pipeline::new("");
    assert_eq!(pipeline.call("run", &["--unknown"]).code, 2);
    pipeline.call("status", &["--log-level", "loud=="]).assert_refused(&["--log-level"]);
}

#[test]
fn a_source_that_matches_nothing_is_refused_by_its_pattern() {
    let pipeline = Pipeline::new("");
    pipeline.call("run", &["--until-done"]).assert_refused(&["data/*.parquet"]);
    pipeline.call("check", &[]).assert_refused(&["data/*.parquet"]);
}

#[test]
fn check_lists_the_source_files_and_changes_nothing() {
    let pipeline = Pipeline::new("");
    pipeline.add_file("b.parquet", 1);
    pipeline.add_file("a.parquet", 1);
    std::fs::write(pipeline.path("data/_hidden.parquet"), "x").unwrap();
    let check = pipeline.call("check", &[]);
    assert_eq!(check.code, 0, "{check:?}");
    let (first, second) = (check.stdout.find("data/a.parquet"), check.stdout.find("data/b.parquet"));
    assert!(first.is_some() && first < second, "{}", check.stdout);
    assert!(!check.stdout.contains("_hidden"));
    assert!(!pipeline.data_dir().exists());
}

#[test]
fn check_names_declared_columns_that_no_file_has() {
    let pipeline = Pipeline::with_source("", "[clean.columns]\nnot_there = { type = \"int64\" }\n");
    pipeline.add_file("a.parquet", 1);
    let check = pipeline.call("check", &[]);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(check.stdout.contains("`clean.columns.not_there`: no file has this column"), "{}", check.stdout);
}

#[test]
fn what_only_spark_would_refuse_is_told_without_it_too() {
    let pipeline = Pipeline::new("");
    pipeline.add_file("a:b.parquet", 1);
    let check = pipeline.call("check", &[]);
    assert_eq!(check.code, 0, "{check:?}");
    let told = "the file cannot be cleaned by Spark: its name has a `:`";
    assert!(check.stdout.contains(told), "{}", check.stdout);
    let run = pipeline.call("run", &["--until-done"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.contains(told) && run.stderr.contains("would be quarantined"), "{}", run.stderr);
    // With Spark it is refused, and none is asked for that.
    let pipeline = Pipeline::new("[clean.spark]\nconnect = \"sc://127.0.0.1:1\"\n");
    pipeline.add_file("a:b.parquet", 1);
    pipeline.call("check", &[]).assert_refused(&["1 file would be quarantined"]);
}

#[test]
fn a_second_process_is_refused_and_told_who_has_the_folder() {
    let pipeline = Pipeline::with_source("watch = true", "");
    pipeline.add_file("a.parquet", 1);
    let run = pipeline.start();
    let pid = format!("pid {}", run.pid());
    pipeline.call("run", &[]).assert_refused(&[&pid, "millstream-data"]);
    pipeline.call("reset", &["--yes"]).assert_refused(&[&pid]);
    assert!(pipeline.data_dir().join("FORMAT").exists());
}

#[test]
fn a_newer_format_is_refused() {
    let pipeline = done(1);
    std::fs::write(pipeline.data_dir().join("FORMAT"), "{\"format\": 99}").unwrap();
    pipeline.call("run", &[]).assert_refused(&["format 99", "millstream reset"]);
}

#[test]
fn a_change_of_what_the_first_run_fixed_is_refused() {
    let pipeline = done(1);
    pipeline.replace("[stream]", "[stream]\npartitions = 3");
    let words = ["`stream.partitions` was 2 at the first run and is 3 now", "millstream reset"];
    pipeline.call("run", &["--until-done"]).assert_refused(&words);
    pipeline.replace("\npartitions = 3", "");
    pipeline.replace("name = \"trips\"", "name = \"other\"");
    pipeline.call("run", &["--until-done"]).assert_refused(&["`trips`", "`other`"]);
}

#[test]
fn sql_works_on_a_running_pipeline_and_on_the_archive() {
    let pipeline = done(10);
    let query = "SELECT id, name, fare FROM events WHERE id < 2 ORDER BY id";
    let lines = "{\"id\":0,\"name\":\"trip 0\",\"fare\":null}\n{\"id\":1,\"name\":\"trip 1\",\"fare\":1.5}\n";
    let ask = |form: &str| pipeline.call("sql", &[query, form]);
    let idle = [ask("--json"), ask("--csv")];
    pipeline.replace("event_time", "watch = true\nevent_time");
    let run = pipeline.start();
    let running = [ask("--json"), ask("--csv")];
    for called in [&idle, &running] {
        assert_eq!(called[0].stdout, lines, "{called:?}");
        assert_eq!(called[1].stdout, "id,name,fare\r\n0,trip 0,\r\n1,trip 1,1.5\r\n");
    }
    pipeline.call("sql", &["DROP TABLE events"]).assert_refused(&[]);
    drop(run);
    pipeline.call("sql", &["DROP TABLE events"]).assert_refused(&[]);
    pipeline.call("sql", &["SELECT nothing FROM events"]).assert_refused(&["nothing"]);
}

#[test]
fn status_tells_of_a_running_pipeline_and_of_one_that_does_not_run() {
    let pipeline = Pipeline::with_source("watch = true", "");
    let never = pipeline.call("status", &[]);
    assert!(
        never.code == 0 && never.stdout.contains("does not run") && never.stdout.contains("never ran"),
        "{never:?}"
    );
    pipeline.add_file("a.parquet", 10);
    let mut run = pipeline.start();
    let status = || serde_json::from_str::<Value>(&pipeline.call("status", &["--json"]).stdout).unwrap();
    run.wait_for("ten delivered rows", || (status()["ledger"]["total"]["delivered"] == 10).then_some(()));
    assert_eq!(status()["running"], true);
    let shown = pipeline.call("status", &[]).stdout;
    assert!(shown.contains("trips · ") && shown.contains("10 delivered") && shown.contains("balanced"), "{shown}");
    drop(run);
    let idle = pipeline.call("status", &[]);
    assert!(idle.stdout.contains("does not run") && idle.stdout.contains("version "), "{idle:?}");
    let idle = status();
    assert_eq!((&idle["running"], &idle["ledger"]["total"]["delivered"]), (&false.into(), &10.into()), "{idle}");
}

#[test]
fn verify_recounts_what_a_run_did() {
    let pipeline = done(100);
    for arguments in [&["--json"][..], &["--json", "--fast"]] {
        let verify = pipeline.call("verify", arguments);
        assert_eq!(verify.code, 0, "{verify:?}");
        let report: Value = serde_json::from_str(&verify.stdout).unwrap();
        assert_eq!((&report["ok"], &report["delivered"]), (&json!(true), &json!(100)), "{report}");
    }
    assert!(pipeline.call("verify", &[]).stdout.contains("100 delivered"));
    Pipeline::new("").call("verify", &[]).assert_refused(&["never ran"]);
}

#[test]
fn verify_finds_rows_that_are_gone() {
    let pipeline = done(100);
    let rows = pipeline.path("millstream-data/archive/rows");
    let log = rows.join("_delta_log");
    let mut versions: Vec<_> = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    // The adds of a commit are taken out of the table, as a careless hand would.
    for version in versions {
        let text = std::fs::read_to_string(&version).unwrap();
        let kept: Vec<_> = text.lines().filter(|line| !line.starts_with("{\"add\"")).collect();
        std::fs::write(&version, kept.join("\n")).unwrap();
    }
    let verify = pipeline.call("verify", &["--json"]);
    assert_eq!(verify.code, 1, "{verify:?}");
    let report: Value = serde_json::from_str(&verify.stdout).unwrap();
    assert_eq!(report["lost"], 100, "{report}");
}

#[test]
fn tail_prints_the_newest_rows_and_then_those_that_come() {
    let pipeline = Pipeline::with_source("watch = true", "");
    pipeline.call("tail", &[]).assert_refused(&["does not run"]);
    pipeline.add_file("a.parquet", 3);
    let run = pipeline.start();
    let mut tail = pipeline.command("tail", &["--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut seen = BTreeSet::new();
    let mut read = |rows: usize| {
        while seen.len() < rows {
            let row: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            assert!(seen.insert(format!("{}:{}", row["_file"], row["_row"])), "{row} twice");
        }
    };
    read(3);
    pipeline.add_file("b.parquet", 4);
    read(7);
    run.signal("INT");
    assert_eq!(run.end().0.code(), Some(0));
    // It ends with the pipeline.
    assert_eq!(tail.wait().unwrap().code(), Some(0));
}

#[test]
fn reset_asks_and_then_everything_starts_over() {
    let pipeline = done(10);
    pipeline.call("reset", &["--archive"]).assert_refused(&["--yes"]);
    assert!(pipeline.data_dir().join("FORMAT").exists());
    let reset = pipeline.call("reset", &["--archive", "--yes"]);
    assert_eq!(reset.code, 0, "{reset:?}");
    assert!(!pipeline.data_dir().exists());
    pipeline.replace("[stream]", "[stream]\npartitions = 3");
    let run = pipeline.call("run", &["--until-done", "--json"]);
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(summary["ledger"]["total"]["delivered"], json!(10));
}
