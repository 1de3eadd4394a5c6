//! How a run ends when it is told to.

use serde_json::Value;

use crate::program::Pipeline;

#[test]
fn a_signal_drains_and_nothing_is_lost() {
    for signal in ["INT", "TERM"] {
        let pipeline = Pipeline::with_source("pace = \"500 rows/s\"", "");
        pipeline.add_file("a.parquet", 2000);
        let mut run = pipeline.start();
        run.wait_for("rows in the archive", || {
            let called = pipeline.call("sql", &["SELECT count(*) AS n FROM archive", "--json"]);
            let first = called.stdout.lines().next()?.to_owned();
            serde_json::from_str::<Value>(&first).ok()?["n"].as_u64().filter(|&rows| rows > 0)
        });
        run.signal(signal);
        let (status, log) = run.end();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("stopping"), "{log}");
        assert!(!pipeline.data_dir().join("run.json").exists());

        pipeline.replace("pace = \"500 rows/s\"", "pace = \"max\"");
        let rest = pipeline.call("run", &["--until-done", "--json"]);
        assert_eq!(rest.code, 0, "{rest:?}");
        let counted = "SELECT count(*) AS n, count(DISTINCT _file || ':' || _row) AS d FROM archive";
        assert_eq!(pipeline.call("sql", &[counted, "--json"]).stdout, "{\"n\":2000,\"d\":2000}\n");
    }
}
