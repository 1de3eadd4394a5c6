//! `millstream run`: a pipeline with its server, its progress and its end.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use millstream_core::config::Config;
use millstream_core::status::{FileState, PipelineState};
use tokio::runtime::Runtime;

use super::failure::Failure;
use super::init::{self, HowMuch, Sources, is_glob};
use super::number::{count, duration};
use super::progress::{Progress, Show};
use super::signals::Signals;
use super::terminal::Terminal;
use super::{load, out, status};
use crate::board::Work;
use crate::chain::chain;
use crate::data_dir::{DataDir, RunInfo};
use crate::pipeline::{self, Role, Running, Summary, Until};
use crate::server::Server;
use crate::stop::stop_channel;

/// Threads that serve the page; queries run elsewhere.
const SERVER_THREADS: usize = 2;

/// Name of a pipeline file that is made.
const PIPELINE_FILE: &str = "pipeline.toml";

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

/// The pipeline file that the command line names, or that is made of the data that it names.
pub(super) fn pipeline_file(paths: &[PathBuf], dir: Option<PathBuf>, terminal: &Terminal) -> Result<PathBuf, Failure> {
    if let ([only], None) = (paths, &dir)
        && !is_data(only)
    {
        return Ok(only.clone());
    }
    if let Some(file) = paths.iter().find(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        return Err(Failure::Refused(format!(
            "`{}` is a pipeline file: run one of them, without other files and without `--dir`",
            file.display()
        )));
    }
    let files: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let here = std::path::absolute(".")
        .map_err(|error| Failure::Failed(format!("finding the folder that we are in: {error}")))?;
    let name = Sources::new(&files, &here)?.name();
    let folder = dir.unwrap_or_else(|| PathBuf::from(format!("millstream-{name}")));
    let absolute = std::path::absolute(&folder)
        .map_err(|error| Failure::Refused(format!("finding the folder `{}`: {error}", folder.display())))?;
    let sources = Sources::new(&files, &absolute)?;
    let file = folder.join(PIPELINE_FILE);
    if file.exists() {
        let before = load(&file)?.source.path;
        if before != sources.paths {
            return Err(Failure::Refused(format!(
                "`{}` belongs to a run of other files ({}): name another folder with `--dir`, or run that file",
                folder.display(),
                before.join(", ")
            )));
        }
        terminal.say(&format!("going on with `{}`, which was made of these files before", file.display()));
        return Ok(file);
    }
    let made = init::make(&sources, &absolute, name, HowMuch::usual(), terminal)?;
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::Failed(format!("making the folder `{}`: {error}", folder.display())))?;
    init::write(&file, &made.text, false)?;
    terminal.say(&format!(
        "made `{}`, beside which the data of the pipeline are kept; other commands take it: millstream sql {} \"SELECT …\"",
        file.display(),
        file.display()
    ));
    Ok(file)
}

/// Whether a path stands for data rather than for a pipeline file.
fn is_data(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let starts_as_parquet = || {
        let mut magic = [0; 4];
        File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"PAR1"
    };
    text.contains("://")
        || path.extension().is_some_and(|extension| extension == "parquet")
        || (is_glob(&text) && !path.exists())
        || path.is_dir()
        || starts_as_parquet()
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
    let token = server.run_token().to_owned();
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
