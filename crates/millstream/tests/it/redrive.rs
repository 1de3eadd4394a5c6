//! Rejected rows are cleaned again and published, once.

use serde_json::{Value, json};

use crate::program::{Pipeline, Run};
use crate::wire::{get, ledger, post};

const SMALL: &str =
    "[clean.rules]\nsmall = { column = \"id\", check = { range = { max = 49 } }, action = \"reject\" }\n";

fn counts(pipeline: &Pipeline) -> String {
    let sql = "SELECT (SELECT count(*) FROM events) AS events, (SELECT count(*) FROM rejects) AS rejects, \
        (SELECT count(DISTINCT id) FROM events) AS ids";
    let counted = pipeline.call("sql", &[sql, "--json"]);
    assert_eq!(counted.code, 0, "{counted:?}");
    counted.stdout
}

fn wait_for_total(run: &mut Run, wanted: &Value) {
    let host = run.host().to_owned();
    run.wait_for(&wanted.to_string(), || {
        let ledger = ledger(&host)?;
        let total = &ledger["total"];
        let same = wanted.as_object()?.iter().all(|(name, value)| total[name] == *value);
        (same && ledger["balanced"] == true && total["in_flight"] == 0).then_some(())
    });
}

#[test]
fn rejects_that_pass_now_are_delivered_once_while_the_pipeline_runs() {
    let pipeline = Pipeline::with_source("watch = true", SMALL);
    pipeline.add_groups("a.parquet", 100, 30);
    pipeline.add_file("b.parquet", 60);
    let mut run = pipeline.start();
    wait_for_total(&mut run, &json!({ "delivered": 100, "rejected": 60 }));

    let as_it_is = pipeline.call("redrive", &[]);
    assert_eq!(as_it_is.stdout, "of 60 rejected rows 0 delivered, 60 still rejected\n", "{as_it_is:?}");
    pipeline.replace("max = 49", "max = 89");
    let preview = pipeline.call("redrive", &["--preview"]);
    assert_eq!(
        preview.stdout,
        "of 60 rejected rows 50 would be delivered, as far as they are no duplicates, 10 still rejected\n  \
         `small` rejected 60, and would reject 10\n",
        "{preview:?}"
    );
    wait_for_total(&mut run, &json!({ "delivered": 100, "rejected": 60 }));

    let some = pipeline.call("redrive", &["--file", "data/b.parquet", "--rule", "small"]);
    assert_eq!(
        (some.code, some.stdout.as_str()),
        (0, "of 10 rejected rows 10 delivered, 0 still rejected\n"),
        "{some:?}"
    );
    let rest = pipeline.call("redrive", &["--json"]);
    let answer: Value = serde_json::from_str(&rest.stdout).unwrap();
    assert_eq!(
        answer,
        json!({ "rows": 50, "delivered": 40, "duplicates": 0, "filtered": 0, "rejected": 10, "files": [
            { "file": "data/a.parquet", "rows": 50, "delivered": 40, "duplicates": 0, "filtered": 0, "rejected": 10, "refused": null }
        ] })
    );
    wait_for_total(&mut run, &json!({ "delivered": 150, "rejected": 10 }));
    assert_eq!(counts(&pipeline), "{\"events\":150,\"rejects\":10,\"ids\":90}\n");
    let status = get(&run, "/api/status").json();
    assert_eq!(
        (&status["archive"]["reject_rows"], &status["rejects_by_rule"]),
        (&json!(10), &json!([{ "rule": "small", "rows": 10 }]))
    );
    let again = pipeline.call("redrive", &["--rule", "other"]);
    assert_eq!(again.stdout, "of 0 rejected rows 0 delivered, 0 still rejected\n", "{again:?}");
    run.signal("INT");
    assert!(run.end().0.success());
    for fast in [&["--fast"] as &[&str], &[]] {
        let verify = pipeline.call("verify", fast);
        assert_eq!(verify.code, 0, "{verify:?}");
    }
    assert_eq!(counts(&pipeline), "{\"events\":150,\"rejects\":10,\"ids\":90}\n");
    let again = pipeline.call("run", &["--until-done"]);
    assert_eq!(again.code, 0, "{again:?}");
}

#[test]
fn rejects_are_redriven_at_rest_and_those_of_changed_files_stay() {
    let pipeline = Pipeline::with_source("", SMALL);
    for name in ["a.parquet", "b.parquet", "c.parquet"] {
        pipeline.add_file(name, 60);
    }
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 0);
    // One is not read by a redrive, whatever comes.
    pipeline.add_file("d.parquet", 60);
    pipeline.add_file("b.parquet", 61);
    std::fs::remove_file(pipeline.path("data/c.parquet")).unwrap();
    pipeline.replace("action = \"reject\"", "action = \"warn\"");
    pipeline.replace("[clean.rules]", "[clean.filter]\nkeep = \"id <> 55\"\n[clean.rules]");
    let called = pipeline.call("redrive", &["--file", "data/a.parquet", "--file", "data/x.parquet"]);
    called.assert_refused(&["the rejects of a file were not cleaned again"]);
    assert!(called.stdout.contains("of 10 rejected rows 9 delivered, 1 filtered, 0 still rejected"), "{called:?}");
    assert!(called.stdout.contains("`data/x.parquet` is no file that the pipeline knows"), "{called:?}");
    let rest = pipeline.call("redrive", &[]);
    rest.assert_refused(&["the rejects of 2 files were not cleaned again"]);
    assert!(rest.stdout.contains("of 20 rejected rows 0 delivered, 20 still rejected"), "{rest:?}");
    assert_eq!(rest.stdout.matches("10 rows stay rejected, for it was changed or is gone").count(), 2, "{rest:?}");
    let verify = pipeline.call("verify", &["--fast"]);
    assert_eq!(verify.code, 0, "{verify:?}");
    assert_eq!(counts(&pipeline), "{\"events\":159,\"rejects\":20,\"ids\":59}\n");
}

#[test]
fn a_rule_is_tried_before_it_is_written_and_its_mistakes_are_told() {
    let pipeline = Pipeline::with_source("watch = true", SMALL);
    pipeline.add_file("a.parquet", 60);
    let mut run = pipeline.start();
    wait_for_total(&mut run, &json!({ "delivered": 50, "rejected": 10 }));
    let preview =
        |toml: &str| post(&run, "/api/redrive/preview", &json!({ "toml": toml, "files": null, "rules": null }));
    let tried = preview(
        "small = { column = \"id\", check = { range = { max = 54 } }, action = \"reject\" }\n\
        named = { column = \"name\", check = { one_of = [\"trip 50\", \"trip 51\"] }, action = \"reject\" }\n",
    );
    assert_eq!(tried.status, 200, "{tried:?}");
    let tried = tried.json();
    assert_eq!(
        (&tried["rows"], &tried["delivered"], &tried["rejected"]),
        (&json!(10), &json!(2), &json!(8)),
        "{tried}"
    );
    assert_eq!(
        tried["by_rule"],
        json!([{ "rule": "small", "before": 10, "after": 5 }, { "rule": "named", "before": 0, "after": 8 }])
    );
    let sample = &tried["sample"];
    assert_eq!((sample.as_array().unwrap().len(), &sample[0]["row"]), (10, &json!(50)));
    assert_eq!(
        (&sample[0]["clean"]["name"], &sample[0]["original"]["id"]),
        (&json!("trip 50"), &json!(50)),
        "{sample}"
    );
    assert!(sample[2]["clean"].is_null() && sample[2]["reasons"].as_array().unwrap().len() == 1, "{sample}");

    let wrong = preview("small = { column = \"id\", check = { range = { max = \"many\" } }, action = \"drop\" }\n");
    assert_eq!(wrong.status, 400, "{wrong:?}");
    let text = wrong.json()["error"].as_str().unwrap().to_owned();
    assert!(
        text.contains("[clean.rules]:1:") && text.contains("clean.rules.small.action") && text.contains('^'),
        "{text}"
    );

    // What only a start can take up is refused.
    pipeline.replace("[clean.rules]", "[table]\nmax_rows = 5\n[clean.rules]");
    assert_eq!(preview("").status, 200);
    pipeline.replace("[archive]\n", "[archive]\nhistory = \"9d\"\n");
    pipeline.call("redrive", &[]).assert_refused(&["has other settings in `archive`"]);
    let other = pipeline.path("other.toml");
    std::fs::copy(pipeline.file(), &other).unwrap();
    let other = post(&run, "/api/redrive", &json!({ "pipeline": other }));
    assert!(
        other.status == 400 && other.json()["error"].as_str().unwrap().contains("the pipeline runs with"),
        "{other:?}"
    );
}
