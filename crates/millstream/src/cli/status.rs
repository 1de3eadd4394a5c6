//! `millstream status`: where the rows are.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use millstream_core::config::Config;
use millstream_core::status::{ArchiveStatus, FileState, Ledger, LedgerCounts, MessageLevel, PipelineState, Status};

use super::client::{Client, block_on};
use super::failure::Failure;
use super::number::{bytes, count, duration, rate};
use super::out;
use crate::data_dir::{self, Found};
use crate::durable;

const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Goes to the first place of the terminal and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[2J";
/// Most files that are listed with what is wrong with them.
const MAX_FILES: usize = 10;
const MAX_MESSAGES: usize = 5;

/// Prints the state of a pipeline, once or every second.
pub(super) fn status(config: &Config, json: bool, watch: bool) -> Result<(), Failure> {
    block_on(async {
        loop {
            let text = look(config, json).await?;
            if !watch {
                return out::write(&text);
            }
            let clear = if json { "" } else { CLEAR };
            out::write(&format!("{clear}{text}"))?;
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    })
}

async fn look(config: &Config, json: bool) -> Result<String, Failure> {
    let Some(client) = Client::find(config)? else {
        let ledger = ledger_at_rest(config).await?;
        let json_text = || format!("{}\n", serde_json::json!({ "running": false, "ledger": ledger }));
        return if json { Ok(json_text()) } else { idle(config, ledger.as_ref()) };
    };
    let status: Status = client.get("/api/status").await?;
    let ledger: Ledger = client.get("/api/ledger").await?;
    if json {
        let text = serde_json::json!({ "running": true, "url": client.url(), "status": status, "ledger": ledger });
        return Ok(format!("{text}\n"));
    }
    Ok(describe(&status, &ledger, client.url()))
}

/// The ledger as log and archive hold it; none when the pipeline never ran, or is just starting.
async fn ledger_at_rest(config: &Config) -> Result<Option<Ledger>, Failure> {
    let data_dir = &config.pipeline.data_dir;
    if data_dir::find(data_dir)? != Found::Idle || data_dir::describe(data_dir)?.is_none() {
        return Ok(None);
    }
    Ok(Some(durable::ledger_at_rest(config).await?))
}

/// What the data folder tells while no process runs.
fn idle(config: &Config, ledger: Option<&Ledger>) -> Result<String, Failure> {
    let data_dir = &config.pipeline.data_dir;
    let mut text = match data_dir::find(data_dir)? {
        Found::Running(_) => format!("pipeline `{}` is starting\n", config.pipeline.name),
        Found::Idle => format!("pipeline `{}` does not run\n", config.pipeline.name),
    };
    match data_dir::describe(data_dir)? {
        None => {
            let _ = writeln!(text, "\n  data      nothing in `{}`: it never ran there", data_dir.display());
        }
        Some((_, stream_id)) => {
            let _ = writeln!(text, "\n  data      `{}`", data_dir.display());
            let _ = writeln!(text, "  stream    {}", stream_id.as_deref().unwrap_or("not made yet"));
            let log = match &config.stream.kafka {
                Some(kafka) => format!("kafka `{}` at `{}`", config.stream.topic, kafka.brokers),
                None => format!("{} on disk", bytes(folder_bytes(&data_dir.join(data_dir::LOG)))),
            };
            let _ = writeln!(text, "  log       {log}");
        }
    }
    for (name, table) in [("archive", "rows"), ("rejects", "rejects")] {
        let location = config.archive.path.join(table);
        let newest = location.folder().map(|folder| newest_version(&folder.join("_delta_log")));
        let found = match newest {
            Some(Some(version)) => format!("version {version} in `{location}`"),
            Some(None) => "none yet".to_owned(),
            None => format!("in `{location}`"),
        };
        let _ = writeln!(text, "  {name}   {found}");
    }
    if let Some(ledger) = ledger {
        let _ = writeln!(text, "{}", equation(&ledger.total, "  ledger    "));
        let _ = writeln!(text, "  balanced  {}", if ledger.balanced { "yes" } else { "NO" });
        quarantined(&mut text, ledger);
    }
    Ok(text)
}

/// Newest Delta version by the names of the commits; none without any.
fn newest_version(log: &Path) -> Option<u64> {
    let names = std::fs::read_dir(log).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_suffix(".json")?.parse().ok()).max()
}

/// Bytes of the files below a folder; what cannot be read counts nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.filter_map(Result::ok).map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn describe(status: &Status, ledger: &Ledger, url: &str) -> String {
    let mut text = format!(
        "{} · {} · up {} · {url} · millstream {}\n\n",
        status.pipeline,
        state_name(status.state),
        duration(status.uptime_seconds),
        status.version
    );
    stages(&mut text, status);
    text.push('\n');
    let _ = writeln!(text, "{}", equation(&ledger.total, "  ledger    "));
    let _ = writeln!(text, "            {}", if ledger.balanced { "balanced" } else { "DOES NOT ADD UP" });
    for problem in &ledger.problems {
        let _ = writeln!(text, "            ! {problem}");
    }
    quarantined(&mut text, ledger);
    if !status.messages.is_empty() {
        text.push('\n');
    }
    for message in status.messages.iter().take(MAX_MESSAGES) {
        let level = match message.level {
            MessageLevel::Info => "info ",
            MessageLevel::Warn => "warn ",
            MessageLevel::Error => "ERROR",
        };
        let _ = writeln!(text, "  {} {level} {}", message.at, message.text);
    }
    text
}

/// Whether a process with these stages carries this one.
pub(super) fn carries(stages: &[String], name: &str) -> bool {
    stages.iter().any(|stage| stage.split(' ').next() == Some(name))
}

/// Whether a process with these stages has all that its pipeline has: nothing else is to be found elsewhere.
pub(super) fn is_whole(stages: &[String]) -> bool {
    ["receive", "archive", "serve"].iter().all(|name| carries(stages, name))
}

fn stages(text: &mut String, status: &Status) {
    for (name, value) in up_to_the_log(status).into_iter().chain(from_the_log(status)) {
        let _ = writeln!(text, "  {name:<9} {value}");
    }
}

fn up_to_the_log(status: &Status) -> Vec<(&'static str, String)> {
    let (source, clean, stream) = (&status.source, &status.clean, &status.stream);
    let publishes = carries(&status.stages, "publish");
    let pace = if source.pace == "max" { String::new() } else { format!(", pace {}", source.pace) };
    let files = format!(
        "{} done, {} reading, {} waiting, {} quarantined",
        count(source.files_done),
        count(source.files_reading),
        count(source.files_waiting),
        count(source.files_quarantined)
    );
    let speed = if publishes { format!(", {}/s{pace}", rate(source.rows_per_second)) } else { String::new() };
    let rows = format!("{} of {} read{speed}", count(source.rows_read), count(source.rows_total));
    let cleaned = format!(
        "{} clean, {} rejected, {} repeats, {} filtered ({})",
        count(clean.clean),
        count(clean.rejected),
        count(clean.deduplicated),
        count(clean.filtered),
        clean.engine
    );
    let on_disk = if stream.log == "kafka" { String::new() } else { format!(", {} on disk", bytes(stream.disk_bytes)) };
    let records = if publishes {
        format!(", {} records of {:.0} rows", count(stream.records), stream.rows_per_record)
    } else {
        String::new()
    };
    let log = format!("{} `{}`{records}{on_disk}", stream.log, stream.topic);
    let mut lines = Vec::new();
    if !is_whole(&status.stages) {
        lines.push(("here", format!("{}; the other stages are other processes", status.stages.join(", "))));
    }
    if !source.path.is_empty() {
        // A topic that another program writes has no files.
        lines.extend([("files", files), ("rows", rows)]);
    }
    lines.push(("clean", cleaned));
    lines.extend(status.rejects_by_rule.iter().map(|rule| ("", format!("{:>10} by {}", count(rule.rows), rule.rule))));
    lines.push(("log", log));
    if let Some(trouble) = &stream.trouble {
        let what = if stream.log == "kafka" { "DOES NOT ANSWER" } else { "WAITS" };
        lines.push(("", format!("{what} since {}: {}", trouble.since, trouble.what)));
    }
    lines
}

fn from_the_log(status: &Status) -> Vec<(&'static str, String)> {
    let (receive, table, archive) = (&status.receive, &status.table, &status.archive);
    let received = format!(
        "{} received, {}/s, {} behind",
        count(receive.rows),
        rate(receive.rows_per_second),
        count(receive.lag_rows)
    );
    let live = format!(
        "{} rows in {} of {}, {} not archived yet",
        count(table.rows),
        bytes(table.bytes),
        bytes(table.limit_bytes),
        count(table.rows_not_archived)
    );
    let archived = format!(
        "{} rows in {} files, {}, {}; {} rejects",
        count(archive.rows),
        count(archive.files),
        bytes(archive.bytes),
        archive.version.map_or_else(|| "no version yet".to_owned(), |version| format!("version {version}")),
        count(archive.reject_rows)
    );
    let has_receiver = carries(&status.stages, "receive");
    let mut lines = Vec::new();
    if has_receiver {
        lines.push(("receive", received));
    }
    if receive.gaps > 0 {
        lines.push(("", format!("{} GAPS in the log: rows are missing", count(receive.gaps))));
    }
    if has_receiver {
        lines.push(("live", live));
    }
    lines.push(("archive", archived));
    if let Some(trouble) = &archive.trouble {
        lines.push(("", format!("WAITS since {}: {}", trouble.since, trouble.what)));
    }
    lines.extend(upkeep(archive).into_iter().map(|line| ("", line)));
    if let (Some(p50), Some(p99)) = (status.freshness.p50_seconds, status.freshness.p99_seconds) {
        lines.push(("freshness", format!("{} (p50), {} (p99)", duration(p50), duration(p99))));
    }
    lines.push(("memory", format!("{} of {}", bytes(status.memory_bytes), bytes(status.memory_limit_bytes))));
    lines
}

/// How the archive looks after itself, as far as there is something to tell.
fn upkeep(archive: &ArchiveStatus) -> Vec<String> {
    let upkeep = &archive.upkeep;
    let mut lines: Vec<String> = upkeep.doing.clone().into_iter().collect();
    if upkeep.compacted_files > 0 {
        lines.push(format!(
            "{} small files became {}, {} small ones now",
            count(upkeep.compacted_files),
            count(upkeep.compacted_into),
            count(upkeep.small_files)
        ));
    }
    if upkeep.removed_files > 0 {
        lines.push(format!("{} files removed, {}", count(upkeep.removed_files), bytes(upkeep.removed_bytes)));
    }
    if archive.expired_rows + archive.expired_rejects > 0 {
        let (rows, rejects) = (count(archive.expired_rows), count(archive.expired_rejects));
        lines.push(format!("{rows} rows and {rejects} rejects are deleted: past `archive.retention`"));
    }
    lines
}

/// The ledger as it adds up; `head` opens the first line, and the others are set below it.
pub(super) fn equation(total: &LedgerCounts, head: &str) -> String {
    let indent = " ".repeat(head.chars().count());
    let parts = [
        ("delivered", total.delivered),
        ("rejected", total.rejected),
        ("deduplicated", total.deduplicated),
        ("filtered", total.filtered),
        ("unread", total.unread),
        ("in flight", total.in_flight),
    ];
    let mut lines = vec![format!("{head}{:>12} rows", count(total.rows))];
    for (name, rows) in parts {
        let sign = if lines.len() == 1 { '=' } else { '+' };
        lines.push(format!("{indent}{sign}{:>11} {name}", count(rows)));
    }
    lines.join("\n")
}

fn quarantined(text: &mut String, ledger: &Ledger) {
    let mut files = ledger.files.iter().filter(|file| file.state == FileState::Quarantined);
    for file in files.by_ref().take(MAX_FILES) {
        let reason = file.reason.as_deref().unwrap_or("no reason was told");
        let _ = writeln!(text, "\n  quarantined `{}`: {reason}", file.file);
    }
    let more = files.count();
    if more > 0 {
        let _ = writeln!(text, "\n  and {more} more: see /api/ledger");
    }
}

fn state_name(state: PipelineState) -> &'static str {
    match state {
        PipelineState::Starting => "starting",
        PipelineState::Running => "running",
        PipelineState::Waiting => "waiting for files",
        PipelineState::Draining => "draining",
        PipelineState::Done => "done",
        PipelineState::Failed => "FAILED",
    }
}
