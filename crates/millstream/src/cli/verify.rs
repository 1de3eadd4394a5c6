//! `millstream verify`: recounts source and archive, without trusting any counter.

use std::sync::Arc;

use millstream_core::config::Config;

use super::failure::Failure;
use super::number::count;
use super::out;
use crate::data_dir::{self, DataDir};
use crate::verify::{self, Report};

/// Recounts and prints what was found; a row that is lost, repeated or misplaced is a failure.
pub(super) fn verify(config: Config, fast: bool, json: bool) -> Result<(), Failure> {
    if data_dir::describe(&config.pipeline.data_dir)?.is_none() {
        let path = config.pipeline.data_dir.display();
        return Err(Failure::Refused(format!("there is nothing to verify: the pipeline never ran in `{path}`")));
    }
    // No row may move while rows are counted.
    let data_dir = DataDir::open(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("millstream-work").enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("starting the threads that count: {error}")))?;
    let report = runtime.block_on(verify::verify(&Arc::new(config), fast))?;
    runtime.shutdown_background();
    drop(data_dir);
    out::write(&if json { serde_json::json!(report).to_string() + "\n" } else { describe(&report) })?;
    if report.ok { Ok(()) } else { Err(Failure::Failed("rows are not where they should be".to_owned())) }
}

fn describe(report: &Report) -> String {
    let outcomes = [
        (report.delivered, "delivered: once in the archive"),
        (report.rejected, "rejected: once in rejects"),
        (report.deduplicated, "deduplicated"),
        (report.filtered, "filtered"),
        (report.expired, "deleted since: past `archive.retention`"),
        (report.unread, "unread: the rest of quarantined files"),
        (report.in_flight, "in flight: in the log, or not read yet"),
        (report.lost, "LOST"),
        (report.repeated, "REPEATED"),
        (report.misplaced, "MISPLACED"),
    ];
    let mut lines = vec![format!("{:>12} rows in {} files", count(report.rows), count(report.files))];
    lines.extend(
        outcomes.into_iter().filter(|(rows, _)| *rows > 0).map(|(rows, what)| format!("{:>12} {what}", count(rows))),
    );
    lines.extend(report.problems.iter().map(|problem| format!("! {problem}")));
    lines.extend(report.notes.iter().map(|note| format!("note: {note}")));
    lines.push(
        if report.ok { "every row is where it should be\n" } else { "rows are NOT where they should be\n" }.to_owned(),
    );
    lines.join("\n")
}
