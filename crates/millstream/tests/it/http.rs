//! The API as clients on the network meet it.

use std::collections::HashSet;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::StreamReader;
use serde_json::json;

use crate::program::{Pipeline, Run};
use crate::wire::{events, get, request, sql, status};

/// A pipeline with `rows` rows, all of them in the archive.
fn archived(rows: usize, more: &str) -> (Pipeline, Run) {
    let pipeline = Pipeline::with_source("watch = true", more);
    pipeline.add_file("a.parquet", rows);
    let mut run = pipeline.start();
    if !more.contains("token") {
        let host = run.host().to_owned();
        run.wait_for("the rows in the archive", || status(&host).filter(|status| status["archive"]["rows"] == rows));
    }
    (pipeline, run)
}

#[test]
fn the_api_tells_status_ledger_tables_and_views() {
    let (_pipeline, run) =
        archived(100, "[[view]]\nname = \"fares\"\nsql = \"SELECT fare, count(*) AS n FROM events GROUP BY 1\"\n");
    let status = get(&run, "/api/status").json();
    assert_eq!(status["pipeline"], "trips");
    let ledger = get(&run, "/api/ledger").json();
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_eq!(ledger["total"]["delivered"], 100);
    let tables = get(&run, "/api/tables").json();
    let names: HashSet<_> = tables.as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert!(names.is_superset(&["live", "archive", "events", "rejects"].into()), "{names:?}");
    assert_eq!(get(&run, "/api/views").json()[0]["name"], "fares");
    let data = get(&run, "/api/views/fares/data").json();
    assert_eq!(data["rows"].as_array().unwrap().len(), 2, "{data}");
    let unknown = get(&run, "/api/views/nothing/data");
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["error"].as_str().unwrap().contains("`fares`"));
}

#[test]
fn sql_answers_as_json_and_as_arrow() {
    let (_pipeline, run) = archived(10, "");
    let answer = sql(&run, "SELECT id, at, name, fare FROM events WHERE id < 2 ORDER BY id");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["columns"][1]["name"], "at");
    assert_eq!(
        body["rows"],
        json!([[0, "2019-01-01T00:00:00Z", "trip 0", null], [1, "2019-01-01T01:00:00Z", "trip 1", 1.5]])
    );
    assert_eq!(body["truncated"], false);
    assert!(body["elapsed_ms"].as_f64().unwrap() > 0.0);

    let headers = [("Host", run.host()), ("Accept", "application/vnd.apache.arrow.stream")];
    let body = json!({ "sql": "SELECT id FROM events ORDER BY id", "limit": 3 }).to_string();
    let answer = request(&run, "POST", "/api/sql", &headers, &body);
    assert_eq!(answer.header("x-millstream-truncated"), Some("true"));
    let ids: Vec<i64> = StreamReader::try_new(answer.body.as_slice(), None)
        .unwrap()
        .flat_map(|batch| batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    assert_eq!(ids, [0, 1, 2]);
}

#[test]
fn sql_that_writes_or_is_wrong_is_refused() {
    let (pipeline, run) = archived(10, "");
    let outside = pipeline.path("stolen.csv");
    for statement in [
        "DROP TABLE events".to_owned(),
        "INSERT INTO events SELECT * FROM events".to_owned(),
        "CREATE TABLE mine AS SELECT 1".to_owned(),
        "CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        format!("COPY (SELECT 1) TO '{}'", outside.display()),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "SELECT nothing FROM events".to_owned(),
        "SELEC 1".to_owned(),
        String::new(),
    ] {
        let answer = sql(&run, &statement);
        assert_eq!(answer.status, 400, "`{statement}`: {}", answer.text());
        assert!(!answer.json()["error"].as_str().unwrap().is_empty());
    }
    assert!(!outside.exists());
    assert_eq!(sql(&run, "SELECT count(*) FROM events").json()["rows"], json!([[10]]));
}

#[test]
fn bodies_that_are_wrong_or_too_long_are_refused() {
    let (_pipeline, run) = archived(1, "");
    let post = |body: &str| request(&run, "POST", "/api/sql", &[("Host", run.host())], body).status;
    assert_eq!(post("SELECT 1"), 400);
    assert_eq!(post("{\"sql\":\"SELECT 1\",\"unknown\":1}"), 400);
    assert_eq!(post(&format!("{{\"sql\":\"SELECT '{}'\"}}", "x".repeat(1024 * 1024))), 413);
}

#[test]
fn another_host_or_site_is_refused_everywhere() {
    let (_pipeline, run) = archived(1, "");
    let port = run.host().rsplit_once(':').unwrap().1;
    let rebound = format!("evil.example:{port}");
    let localhost = format!("localhost:{port}");
    let same_site = format!("http://{localhost}");
    for path in ["/", "/api/status", "/metrics", "/livez", "/api/stream"] {
        let answer = request(&run, "GET", path, &[("Host", &rebound)], "");
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("evil.example"), "{}", answer.text());
        assert_eq!(
            request(&run, "GET", path, &[("Host", &localhost), ("Origin", "http://evil.example")], "").status,
            403
        );
    }
    assert_eq!(request(&run, "GET", "/api/status", &[("Host", &localhost)], "").status, 200);
    let same = [("Host", localhost.as_str()), ("Origin", same_site.as_str())];
    assert_eq!(request(&run, "GET", "/api/status", &same, "").status, 200);
}

#[test]
fn a_token_guards_the_api() {
    let (pipeline, run) = archived(1, "token = \"open-sesame\"\n");
    for path in ["/api/status", "/api/ledger", "/api/stream", "/metrics"] {
        let answer = get(&run, path);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        let wrong = request(&run, "GET", path, &[("Host", run.host()), ("Authorization", "Bearer open")], "");
        assert_eq!(wrong.status, 401, "{path}");
    }
    let shown = [("Host", run.host()), ("Authorization", "Bearer open-sesame")];
    assert_eq!(request(&run, "GET", "/api/status", &shown, "").status, 200);
    assert_eq!(get(&run, "/livez").status, 200);
    // The commands find the token in `run.json`.
    let status = pipeline.call("status", &[]);
    assert_eq!(status.code, 0, "{status:?}");
    assert!(!status.stdout.contains("sesame") && !status.stderr.contains("sesame"));
}

#[test]
fn every_answer_has_the_security_headers() {
    let (_pipeline, run) = archived(1, "");
    for path in ["/", "/livez", "/api/status", "/api/nothing"] {
        let answer = get(&run, path);
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'self'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
    assert_eq!(get(&run, "/api/nothing").status, 404);
    assert_eq!(get(&run, "/nothing.js").status, 404);
    for (method, path) in [("PUT", "/api/status"), ("DELETE", "/"), ("POST", "/api/status"), ("GET", "/api/sql")] {
        let answer = request(&run, method, path, &[("Host", run.host())], "");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.json()["error"].is_string());
    }
}

/// What the build of the page makes beside its first file.
const TWIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dashboard/dist/index.html.gz");

#[test]
fn the_page_is_served_for_paths_of_its_own_or_tells_how_to_build_it() {
    let (_pipeline, run) = archived(1, "");
    for path in ["/", "/index.html", "/some/place"] {
        let answer = get(&run, path);
        if answer.status == 503 {
            assert_eq!(answer.text(), "the page was not built: run `make dashboard`\n");
        } else {
            assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")), "{path}");
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(answer.header("content-encoding"), None);
            if !std::path::Path::new(TWIN).exists() {
                continue;
            }
            let headers = [("Host", run.host()), ("Accept-Encoding", "br, gzip;q=0.8")];
            let small = request(&run, "GET", path, &headers, "");
            assert_eq!(
                (small.header("content-encoding"), &small.body[..2]),
                (Some("gzip"), &[0x1f, 0x8b][..]),
                "{path}"
            );
        }
    }
}

#[test]
fn probes_and_metrics_answer() {
    let (_pipeline, run) = archived(100, "");
    assert_eq!(get(&run, "/livez").status, 200);
    assert_eq!(get(&run, "/readyz").status, 200);
    let answer = get(&run, "/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for line in [
        "millstream_source_rows_read_total{pipeline=\"trips\"} 100",
        "millstream_archive_rows{pipeline=\"trips\"} 100",
        "# TYPE millstream_archive_rows gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_stream_starts_with_everything_and_goes_on_with_what_changes() {
    let (pipeline, run) = archived(100, "");
    let first = events(&run, |events| {
        ["status", "ledger", "rows", "archive"].iter().all(|kind| events.iter().any(|(name, _)| name == kind))
    });
    let data = |kind: &str| &first.iter().find(|(name, _)| name == kind).unwrap().1;
    assert_eq!(data("status")["pipeline"], "trips");
    assert_eq!(data("ledger")["total"]["delivered"], 100);
    assert_eq!(data("rows")["rows"].as_array().unwrap().len(), 30);
    assert!(data("archive")["version"].is_u64());

    pipeline.add_file("b.parquet", 50);
    let delivered = |events: &[(String, serde_json::Value)]| {
        events.iter().any(|(name, data)| name == "ledger" && data["total"]["delivered"] == 150)
    };
    assert!(delivered(&events(&run, delivered)));
}
