//! What pages ask for beyond the status: the last minutes, profiles, the archive's versions, the way of a row.

use serde_json::{Value, json};

use crate::program::{Pipeline, Run};
use crate::wire::{Answer, get, request, status};

const RULES: &str = "[clean.rules]\nfare = { column = \"fare\", check = \"not_null\", action = \"reject\" }\n\
    name = { column = \"name\", check = { length = { max = 6 } }, action = \"warn\" }\n";

/// Files of `rows` rows each, archived one after the other; every seventh is a reject, for its fare is NULL.
fn archived(files: &[(&str, usize)]) -> (Pipeline, Run) {
    let pipeline = Pipeline::with_source("watch = true", RULES);
    let mut run = pipeline.start();
    let host = run.host().to_owned();
    for (name, rows) in files {
        pipeline.add_file(name, *rows);
        run.wait_for("the file in the archive", || {
            status(&host).filter(|status| {
                let same = |archived: &str, cleaned: &str| status["archive"][archived] == status["clean"][cleaned];
                let done = status["source"]["files_done"].as_u64() == Some(position(files, name));
                done && same("rows", "clean") && same("reject_rows", "rejected")
            })
        });
    }
    (pipeline, run)
}

fn position(files: &[(&str, usize)], name: &str) -> u64 {
    files.iter().position(|(file, _)| *file == name).unwrap() as u64 + 1
}

fn as_of(run: &Run, sql: &str, version: u64) -> Answer {
    let body = json!({ "sql": sql, "version": version }).to_string();
    request(run, "POST", "/api/sql", &[("Host", run.host())], &body)
}

fn column<'a>(profile: &'a Value, name: &str) -> &'a Value {
    profile["columns"].as_array().unwrap().iter().find(|column| column["name"] == name).unwrap()
}

#[test]
fn the_archive_tells_its_versions_and_can_be_asked_as_of_each() {
    let (_pipeline, run) = archived(&[("a.parquet", 10), ("b.parquet", 20)]);
    let detail = get(&run, "/api/archive").json();
    let version = detail["version"].as_u64().unwrap();
    let versions = detail["versions"].as_array().unwrap();
    assert_eq!(versions[0]["version"], version);
    let rows: u64 = versions.iter().map(|change| change["rows"].as_u64().unwrap()).sum();
    assert_eq!(detail["rows"], rows, "{detail}");
    let files: u64 = detail["partitions"].as_array().unwrap().iter().map(|part| part["files"].as_u64().unwrap()).sum();
    assert_eq!(detail["file_count"], files);

    let mut after = rows;
    for change in versions {
        let then = as_of(&run, "SELECT count(*) AS n FROM archive", change["version"].as_u64().unwrap()).json();
        assert_eq!(then["rows"][0][0], after, "{change}");
        after -= change["rows"].as_u64().unwrap();
    }
    let later = as_of(&run, "SELECT 1", version + 1);
    assert_eq!((later.status, later.json()["error"].as_str().unwrap().contains("no version")), (400, true));
    let other = as_of(&run, "SELECT * FROM events", version);
    assert!(other.status == 400 && other.text().contains("only the table `archive`"), "{}", other.text());
    assert_eq!(as_of(&run, "DROP TABLE archive", version).status, 400);
}

#[test]
fn a_row_tells_its_way_from_file_to_archive() {
    let (_pipeline, run) = archived(&[("a.parquet", 10), ("b.parquet", 20)]);
    let row = |file: &str, row: u64| get(&run, &format!("/api/row?file={file}&row={row}")).json();
    let delivered = row("data/b.parquet", 12);
    assert_eq!(delivered["outcome"], "delivered", "{delivered}");
    let value = |trace: &Value, name: &str| {
        let at = trace["columns"].as_array().unwrap().iter().position(|column| column["name"] == name).unwrap();
        trace["values"][at].clone()
    };
    assert_eq!(value(&delivered, "id"), 12);
    assert_eq!(value(&delivered, "_marks"), json!(["name"]));
    let (log, archive) = (&delivered["log"], &delivered["archive"]);
    assert!(log["offset"].is_u64() && log["topic"] == "rows", "{log}");
    assert!(archive["file"].as_str().unwrap().ends_with(".parquet"), "{archive}");
    // Its version is the first that has it.
    let version = archive["version"].as_u64().unwrap();
    let sql = "SELECT count(*) FROM archive WHERE _file = 'data/b.parquet' AND _row = 12";
    assert_eq!(as_of(&run, sql, version).json()["rows"][0][0], 1);
    assert_eq!(as_of(&run, sql, version - 1).json()["rows"][0][0], 0);

    let rejected = row("data/a.parquet", 0);
    assert_eq!(
        (&rejected["outcome"], &rejected["log"]["topic"]),
        (&json!("rejected"), &json!("rejects")),
        "{rejected}"
    );
    assert_eq!(value(&rejected, "rules"), json!(["fare"]));
    assert!(rejected["archive"]["version"].is_u64(), "{rejected}");
    let names: Vec<_> = rejected["rules"].as_array().unwrap().iter().map(|rule| rule["name"].clone()).collect();
    assert_eq!(names, ["fare", "name"]);

    assert_eq!(row("data/a.parquet", 99)["outcome"], "not_there");
    assert_eq!(row("it's", 0)["outcome"], "not_there");
    assert_eq!(get(&run, "/api/row?file=a&row=-1").status, 400);
}

#[test]
fn columns_have_a_profile_and_the_last_minutes_are_remembered() {
    let (_pipeline, mut run) = archived(&[("a.parquet", 200)]);
    let profile = get(&run, "/api/profile?minutes=5").json();
    assert_eq!((&profile["rows"], &profile["sampled"]), (&json!(171), &json!(171)));
    let id = column(&profile, "id");
    assert_eq!((&id["low"], &id["high"], &id["distinct"]), (&json!(1.0), &json!(199.0), &json!(171)));
    assert_eq!(column(&profile, "name")["top"].as_array().unwrap().len(), 12);
    assert_eq!(get(&run, "/api/profile?minutes=0").status, 400);

    let host = run.host().to_owned();
    let told = status(&host).unwrap();
    let steps: Vec<_> = told["latencies"].as_array().unwrap().iter().map(|step| step["step"].clone()).collect();
    assert_eq!(steps, ["read", "clean", "append", "receive", "visible", "archived"]);
    assert!(told["latencies"].as_array().unwrap().iter().all(|step| step["p50_seconds"].is_f64()), "{told}");
    let held: u64 =
        told["table"]["partitions"].as_array().unwrap().iter().map(|part| part["segments"].as_u64().unwrap()).sum();
    assert_eq!(told["table"]["segments"], held);
    let history = run.wait_for("a sample with the rows", || {
        let history = get_history(&host)?;
        history.last().filter(|last| last["archived"] == 171).cloned()
    });
    assert_eq!(history["rejected"], 29);
}

fn get_history(host: &str) -> Option<Vec<Value>> {
    crate::wire::json_of(host, "/api/history")?.as_array().cloned()
}
