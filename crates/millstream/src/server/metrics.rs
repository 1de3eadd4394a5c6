//! Names, types and units of all metrics, and their text for Prometheus (exposition format 0.0.4).

use std::fmt::Write;

use millstream_core::status::{PartitionStatus, PipelineState, QueriesInfo, Status};

/// Content type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const STATES: [(PipelineState, &str); 6] = [
    (PipelineState::Starting, "starting"),
    (PipelineState::Running, "running"),
    (PipelineState::Waiting, "waiting"),
    (PipelineState::Draining, "draining"),
    (PipelineState::Done, "done"),
    (PipelineState::Failed, "failed"),
];

/// Takes one offset out of a partition's status.
type OffsetOf = fn(&PartitionStatus) -> u64;

/// How a metric behaves.
#[derive(Debug, Clone, Copy)]
enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// All metrics of a pipeline. Counters of rows are since the stream began; `process` in the help text means since this
/// process started.
pub(super) fn text(status: &Status, queries: &QueriesInfo) -> String {
    let mut text = Exposition { text: String::new(), pipeline: status.pipeline.clone() };
    process(&mut text, status);
    source_and_clean(&mut text, status);
    log(&mut text, status);
    table_and_archive(&mut text, status);
    freshness(&mut text, status);
    of_queries(&mut text, queries);
    text.text
}

fn process(text: &mut Exposition, status: &Status) {
    text.family("millstream_info", Type::Gauge, "Version of the program; the value is 1.");
    text.sample("millstream_info", &[("version", &status.version)], 1);
    text.family("millstream_state", Type::Gauge, "1 for the state that the pipeline is in, 0 for the others.");
    for (state, name) in STATES {
        text.sample("millstream_state", &[("state", name)], u64::from(status.state == state));
    }
    text.one("millstream_uptime_seconds", Type::Gauge, "Seconds since the process started.", status.uptime_seconds);
    text.one("millstream_memory_bytes", Type::Gauge, "Memory that the process holds.", status.memory_bytes);
    text.one("millstream_memory_limit_bytes", Type::Gauge, "The setting limits.memory.", status.memory_limit_bytes);
}

fn source_and_clean(text: &mut Exposition, status: &Status) {
    let source = &status.source;
    text.family("millstream_source_files", Type::Gauge, "Source files, by where they are in their life.");
    for (state, files) in [
        ("waiting", source.files_waiting),
        ("reading", source.files_reading),
        ("done", source.files_done),
        ("quarantined", source.files_quarantined),
    ] {
        text.sample("millstream_source_files", &[("state", state)], files);
    }
    text.one("millstream_source_rows", Type::Gauge, "Rows in readable source files.", source.rows_total);
    text.one("millstream_source_rows_read_total", Type::Counter, "Rows with an outcome in the log.", source.rows_read);
    let clean = &status.clean;
    text.family("millstream_clean_rows_total", Type::Counter, "Rows of the source, by outcome.");
    for (outcome, rows) in [
        ("clean", clean.clean),
        ("rejected", clean.rejected),
        ("deduplicated", clean.deduplicated),
        ("filtered", clean.filtered),
    ] {
        text.sample("millstream_clean_rows_total", &[("outcome", outcome)], rows);
    }
    text.one("millstream_clean_late_rows_total", Type::Counter, "Rows behind the dedup window.", clean.late);
    text.one("millstream_dedup_keys", Type::Gauge, "Keys in the dedup state.", clean.dedup_keys);
    text.family("millstream_rule_rejected_rows_total", Type::Counter, "Rows that broke a rule and were rejected.");
    for rule in &status.rejects_by_rule {
        text.sample("millstream_rule_rejected_rows_total", &[("rule", &rule.rule)], rule.rows);
    }
}

fn log(text: &mut Exposition, status: &Status) {
    let stream = &status.stream;
    // Without a kind it is still being opened.
    let is_up = !stream.log.is_empty() && stream.trouble.is_none();
    text.one("millstream_log_up", Type::Gauge, "1 while the log works, 0 while it does not answer.", u64::from(is_up));
    text.one("millstream_log_appends_total", Type::Counter, "Durable appends of this process.", stream.appends);
    text.one("millstream_log_records_total", Type::Counter, "Records appended by this process.", stream.records);
    text.one("millstream_log_appended_bytes_total", Type::Counter, "Record values of this process.", stream.bytes);
    if stream.log != "kafka" {
        // Kafka does not tell.
        text.one("millstream_log_disk_bytes", Type::Gauge, "What the embedded log holds on disk.", stream.disk_bytes);
    }
    let offsets: [(&str, &str, OffsetOf); 4] = [
        ("millstream_log_begin_offset", "Lowest offset that the log still has.", |it| it.begin_offset),
        ("millstream_log_end_offset", "Offset that the next record gets.", |it| it.end_offset),
        ("millstream_received_offset", "Offset that is received next.", |it| it.received_offset),
        ("millstream_archived_offset", "Offset below which the archive holds everything.", |it| it.archived_offset),
    ];
    for (name, help, value) in offsets {
        text.family(name, Type::Gauge, help);
        for partition in &stream.partitions {
            let number = partition.partition.to_string();
            text.sample(name, &[("topic", &partition.topic), ("partition", &number)], value(partition));
        }
    }
    let receive = &status.receive;
    text.one("millstream_received_rows_total", Type::Counter, "Rows received by this process.", receive.rows);
    text.one("millstream_lag_rows", Type::Gauge, "Rows in the log that are not received yet.", receive.lag_rows);
    text.one("millstream_lag_seconds", Type::Gauge, "Age of the oldest such record.", receive.lag_seconds);
    text.one("millstream_received_repeats_total", Type::Counter, "Records dropped as repeats.", receive.repeats);
    text.one("millstream_received_gaps_total", Type::Counter, "Holes in the sequence: errors.", receive.gaps);
}

fn table_and_archive(text: &mut Exposition, status: &Status) {
    let table = &status.table;
    text.one("millstream_table_rows", Type::Gauge, "Rows of the real-time table.", table.rows);
    text.one("millstream_table_bytes", Type::Gauge, "Memory of the real-time table.", table.bytes);
    text.one("millstream_table_limit_bytes", Type::Gauge, "Memory that it may take.", table.limit_bytes);
    text.one(
        "millstream_table_rows_not_archived",
        Type::Gauge,
        "Its rows that the archive does not hold.",
        table.rows_not_archived,
    );
    let archive = &status.archive;
    if let Some(version) = archive.version {
        text.one("millstream_archive_version", Type::Gauge, "Newest version of the archive.", version);
    }
    text.one("millstream_archive_rows", Type::Gauge, "Clean rows in the archive.", archive.rows);
    text.one("millstream_archive_reject_rows", Type::Gauge, "Rejected rows in the archive.", archive.reject_rows);
    text.one("millstream_archive_files", Type::Gauge, "Live data files of the archive.", archive.files);
    text.one("millstream_archive_bytes", Type::Gauge, "Size of these files.", archive.bytes);
    text.one("millstream_archive_commits_total", Type::Counter, "Commits of this process.", archive.commits);
    text.one(
        "millstream_archive_up",
        Type::Gauge,
        "1, or 0 while rows wait for room.",
        u64::from(archive.trouble.is_none()),
    );
    upkeep(text, status);
}

fn upkeep(text: &mut Exposition, status: &Status) {
    let (archive, upkeep) = (&status.archive, &status.archive.upkeep);
    text.one("millstream_archive_reject_files", Type::Gauge, "Live data files of the rejects.", archive.reject_files);
    text.one("millstream_archive_reject_bytes", Type::Gauge, "Size of these files.", archive.reject_bytes);
    text.family("millstream_archive_expired_rows_total", Type::Counter, "Rows deleted because of their age.");
    for (table, rows) in [("rows", archive.expired_rows), ("rejects", archive.expired_rejects)] {
        text.sample("millstream_archive_expired_rows_total", &[("table", table)], rows);
    }
    text.one(
        "millstream_archive_small_files",
        Type::Gauge,
        "Live files that are yet to be merged.",
        upkeep.small_files,
    );
    text.one(
        "millstream_archive_compacted_files_total",
        Type::Counter,
        "Merged by this process.",
        upkeep.compacted_files,
    );
    text.one("millstream_archive_compacted_bytes_total", Type::Counter, "Their size.", upkeep.compacted_bytes);
    text.one("millstream_archive_replaced_files", Type::Gauge, "Kept for archive.history.", upkeep.replaced_files);
    text.one("millstream_archive_replaced_bytes", Type::Gauge, "Their size.", upkeep.replaced_bytes);
    text.one("millstream_archive_removed_files_total", Type::Counter, "Removed by this process.", upkeep.removed_files);
    text.one("millstream_archive_removed_bytes_total", Type::Counter, "Their size.", upkeep.removed_bytes);
    if let Some(version) = upkeep.last_checkpoint_version {
        text.one("millstream_archive_checkpoint_version", Type::Gauge, "Version of the last checkpoint.", version);
    }
}

fn freshness(text: &mut Exposition, status: &Status) {
    let freshness = &status.freshness;
    for (name, help, p50, p99) in [
        (
            "millstream_freshness_seconds",
            "From file found to row queryable, over the last minute.",
            freshness.p50_seconds,
            freshness.p99_seconds,
        ),
        (
            "millstream_visible_seconds",
            "From durable in the log to queryable, over the last minute.",
            freshness.visible_p50_seconds,
            freshness.visible_p99_seconds,
        ),
    ] {
        text.family(name, Type::Gauge, help);
        for (quantile, seconds) in [("0.5", p50), ("0.99", p99)] {
            if let Some(seconds) = seconds {
                text.sample(name, &[("quantile", quantile)], seconds);
            }
        }
    }
}

fn of_queries(text: &mut Exposition, queries: &QueriesInfo) {
    text.one("millstream_queries_running", Type::Gauge, "Queries that work goes on for.", queries.running.len());
    text.family("millstream_queries_total", Type::Counter, "Queries of this process, by how they ended.");
    let ended = &queries.ended;
    for (end, count) in [
        ("answered", ended.answered),
        ("refused", ended.refused),
        ("timed_out", ended.timed_out),
        ("too_large", ended.too_large),
        ("cancelled", ended.cancelled),
        ("failed", ended.failed),
    ] {
        text.sample("millstream_queries_total", &[("end", end)], count);
    }
    text.one("millstream_query_memory_bytes", Type::Gauge, "Memory that queries hold.", queries.memory_bytes);
    text.one(
        "millstream_query_memory_limit_bytes",
        Type::Gauge,
        "Memory that they may hold.",
        queries.memory_limit_bytes,
    );
}

/// The text as it grows; every sample carries the pipeline's name.
struct Exposition {
    text: String,
    pipeline: String,
}

impl Exposition {
    fn one(&mut self, name: &str, kind: Type, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn family(&mut self, name: &str, kind: Type, help: &str) {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
        };
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.text, "{name}{{pipeline=\"{}\"", escaped(&self.pipeline));
        for (label, text) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.text, "}} {value}");
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
