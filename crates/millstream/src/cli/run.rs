//! `millstream run`: a pipeline with its server, its progress and its end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use millstream_core::config::Config;
use millstream_core::status::{FileState, PipelineState};
use tokio::runtime::Runtime;

use super::failure::Failure;
use super::number::{count, duration};
use super::progress::{Progress, Show};
use super::signals::Signals;
use super::terminal::Terminal;
use super::{out, status};
use crate::board::Work;
use crate::chain::chain;
use crate::data_dir::{DataDir, RunInfo};
use crate::pipeline::{self, Role, Running, Summary, Until};
use crate::server::Server;
use crate::stop::stop_channel;

/// Threads that serve the page; queries run elsewhere.
const SERVER_THREADS: usize = 2;

/// How long tasks that do not end are waited for at the very end.
const RUNTIME_DEADLINE: Duration = Duration::from_secs(1);

/// How a run ends and what it shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    role: Role,
    until: Until,
    show: Show,
}

impl Options {
    /// As the command line says.
    pub(super) fn new(role: Role, until_done: bool, json: bool) -> Self {
        Self {
            role,
            until: if until_done { Until::Done } else { Until::Stopped },
            show: if json { Show::Nothing } else { Show::Progress },
        }
    }
}

/// Runs a pipeline to its end and prints what it did.
pub(super) fn run(config: Config, options: Options, terminal: &Terminal) -> Result<(), Failure> {
    let data_dir = DataDir::open(&config)?;
    let runtime = server_runtime()?;
    let server = Server::start(&config, runtime.handle())?;
    run_with(config, &data_dir, options, terminal, runtime, server, |_url| {})
}

/// The runtime of the server, the signals and the progress.
pub(super) fn server_runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(SERVER_THREADS)
        .thread_name("millstream-http")
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("starting the threads of the server: {error}")))
}

/// Runs a pipeline behind a server that listens already. `ready` is told the page's address once rows can be queried.
pub(super) fn run_with(
    config: Config,
    data_dir: &DataDir,
    options: Options,
    terminal: &Terminal,
    runtime: Runtime,
    server: Server,
    ready: impl FnOnce(&str),
) -> Result<(), Failure> {
    let (stop_sender, stop) = stop_channel();
    let signals = Signals::watch(stop_sender, config.pipeline.drain_deadline, terminal.clone(), runtime.handle())
        .map_err(|error| Failure::Failed(format!("taking signals: {error}")))?;
    let token = config.server.token.as_ref().map(|token| token.reveal().to_owned());
    let started_at = now();
    let progress = OnceLock::new();
    let started = |running: Running| {
        let board = Arc::clone(&running.board);
        server.attach(running);
        let url = server.url();
        let status = board.status();
        if let Err(error) = data_dir.set_stream_id(&status.stream.stream_id) {
            tracing::warn!(error = chain(&error), "`FORMAT` does not name the stream");
        }
        let info = RunInfo { pid: std::process::id(), url: url.clone(), token, started_at };
        if let Err(error) = data_dir.write_run_info(&info) {
            tracing::warn!(error = chain(&error), "`millstream status`, `sql` and `tail` cannot find this pipeline");
        }
        if options.show == Show::Progress {
            terminal.say(&format!("pipeline `{}` runs; its page: {url}", status.pipeline));
            let _ = progress.set(Progress::start(board, terminal.clone(), runtime.handle()));
        }
        ready(&url);
    };
    let ended = pipeline::run(Arc::new(config), options.role, options.until, stop, started);
    let aborted = signals.end();
    runtime.block_on(async {
        if let Some(progress) = progress.into_inner() {
            progress.end().await;
        }
        server.stop().await;
    });
    if let Err(error) = data_dir.remove_run_info() {
        tracing::warn!(error = chain(&error), "`run.json` stays; it is known to be old, for the lock is given up");
    }
    runtime.shutdown_timeout(RUNTIME_DEADLINE);
    if aborted {
        return Err(Failure::Aborted);
    }
    report(&ended?, options)
}

#[allow(clippy::disallowed_methods, reason = "when the process started is a fact about the process")]
fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Prints the summary; a ledger that does not add up is a failure.
fn report(summary: &Summary, options: Options) -> Result<(), Failure> {
    // Who carries some of the stages knows the books as of the last survey.
    let is_whole = options.role == Role::Run;
    match options.show {
        Show::Nothing => {
            let text = serde_json::to_string_pretty(summary).map_err(|error| Failure::failed(&error))?;
            out::line(&text)?;
        }
        Show::Progress => out::write(&describe(summary))?,
    }
    if summary.state == PipelineState::Done && is_whole && !summary.ledger.balanced {
        return Err(Failure::Failed(format!("the ledger does not add up: {}", summary.ledger.problems.join("; "))));
    }
    Ok(())
}

/// What this process did, where it carries some of the stages.
fn work(summary: &Summary) -> Vec<String> {
    let Work { published_rows, published_records, received_rows, archived_rows, archived_rejects, commits } =
        summary.work;
    let carries = |name| status::carries(&summary.stages, name);
    let mut lines = vec![format!("  here      {}", summary.stages.join(", "))];
    if carries("publish") {
        lines.push(format!("  published {} rows in {} records", count(published_rows), count(published_records)));
    }
    if carries("receive") {
        lines.push(format!("  received  {} rows", count(received_rows)));
    }
    if carries("archive") {
        let (rows, rejects) = (count(archived_rows), count(archived_rejects));
        lines.push(format!("  archived  {rows} rows and {rejects} rejects in {} commits", count(commits)));
    }
    lines
}

fn describe(summary: &Summary) -> String {
    let files = |state| summary.ledger.files.iter().filter(|file| file.state == state).count() as u64;
    let how = if summary.state == PipelineState::Done { "done after" } else { "drained, having run for" };
    let version = summary.archive_version.map_or_else(|| "none".to_owned(), |version| version.to_string());
    let (done, quarantined) = (files(FileState::Done), files(FileState::Quarantined));
    let mut lines = vec![format!("\n{how} {}\n", duration(summary.seconds))];
    if !status::is_whole(&summary.stages) {
        lines.extend(work(summary));
        lines.push("\n  over all processes, as of the last look at log and archive:\n".to_owned());
    }
    if !summary.ledger.files.is_empty() {
        lines.push(format!("  files     {} done, {} quarantined", count(done), count(quarantined)));
    }
    lines.extend([
        status::equation(&summary.ledger.total, "  ledger    "),
        format!("  balanced  {}", if summary.ledger.balanced { "yes" } else { "NO" }),
        format!("  archive   version {version}\n"),
    ]);
    for file in summary.ledger.files.iter().filter(|file| file.state == FileState::Quarantined) {
        let reason = file.reason.as_deref().unwrap_or("no reason was told");
        lines.push(format!("  quarantined `{}`: {reason}\n", file.file));
    }
    lines.join("\n")
}
