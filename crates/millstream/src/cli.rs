//! The commands: what a person types, what the terminal shows, and with which code the process ends.

mod check;
mod client;
mod demo;
mod failure;
mod number;
mod out;
mod progress;
mod reset;
mod run;
mod signals;
mod sql;
mod status;
mod table;
mod tail;
mod terminal;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use millstream_core::config::Config;
use millstream_core::plan::check::check_config;

use crate::environment::variable;

use self::failure::Failure;
use self::terminal::Terminal;

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or stopped and drained
  1    failed
  2    wrong usage, a mistake in the pipeline file, or refused
  130  aborted by a second signal (nothing is lost: the next run goes on)

Example:
  millstream demo
  millstream run pipeline.toml --until-done";

/// Carries Parquet files to a live, queryable table and a Delta archive without losing or repeating a row.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Arguments {
    /// Form of the log lines on stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Least level that is logged: error, warn, info, debug, trace, or a filter such as `millstream=debug,warn`
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL")]
    log_level: String,
    #[command(subcommand)]
    command: Command,
}

/// Form of the log: for people, or one JSON object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the example: 108,500 real taxi trips, a page in the browser
    #[command(after_help = "Example:\n  millstream demo --port 8090")]
    Demo {
        /// Port of the page; the next free one when it is taken
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Folder for the example and its data; a second run goes on in it
        #[arg(long, default_value = "millstream-demo")]
        dir: PathBuf,
        /// Do not open a browser
        #[arg(long)]
        no_browser: bool,
    },
    /// Check a pipeline file and list the source files that it matches; changes nothing
    #[command(after_help = "Example:\n  millstream check pipeline.toml")]
    Check(PipelineFile),
    /// Run a pipeline: all stages, the page and the API
    #[command(after_help = "Example:\n  millstream run pipeline.toml --until-done --json | jq .ledger.total\n\n\
        Ctrl-C or SIGTERM drains and ends with code 0; a second one aborts with code 130. Nothing is lost by either.")]
    Run {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// End when the source is at its end and all of it is archived
        #[arg(long)]
        until_done: bool,
        /// No progress; at the end a summary as JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Query `events`, `live`, `archive`, `rejects` and the views; on the archive when the pipeline does not run
    #[command(after_help = "Example:\n  millstream sql pipeline.toml \"SELECT count(*) FROM events\"")]
    Sql {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// One statement that only reads
        #[arg(value_name = "SELECT")]
        sql: String,
        /// One JSON object a row and line
        #[arg(long, conflicts_with = "csv")]
        json: bool,
        /// CSV with a head line
        #[arg(long)]
        csv: bool,
        /// Most rows; without it `limits.query_rows`
        #[arg(long, value_name = "ROWS")]
        limit: Option<usize>,
    },
    /// Show the newest rows as they come (of a fast stream some), until Ctrl-C
    #[command(after_help = "Example:\n  millstream tail pipeline.toml --json | jq .fare_amount")]
    Tail {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// One JSON object a row and line
        #[arg(long)]
        json: bool,
    },
    /// Show where the rows are: every stage, the ledger, messages
    #[command(after_help = "Example:\n  millstream status pipeline.toml --watch")]
    Status {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// As JSON on stdout: {"running": …, "status": …, "ledger": …}
        #[arg(long)]
        json: bool,
        /// Again every second, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Recount source and archive of a pipeline that does not run, without trusting any counter
    #[command(after_help = "Example:\n  millstream verify pipeline.toml --json\n\n\
        Ends with code 0 when every row is where it should be, otherwise with 1.")]
    Verify {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// Take the counts of filtered rows and repeats from the ledger instead of cleaning again
        #[arg(long)]
        fast: bool,
        /// As JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Start over: remove the log and the state of a pipeline, asking first
    #[command(after_help = "Example:\n  millstream reset pipeline.toml --archive")]
    Reset {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// Remove the archive too: clean rows and rejects
        #[arg(long)]
        archive: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List the names of the fail-points (development builds)
    #[command(hide = true)]
    Failpoints,
}

#[derive(Debug, clap::Args)]
struct PipelineFile {
    /// The pipeline file
    #[arg(value_name = "PIPELINE")]
    path: PathBuf,
}

/// Does what the command line says; the whole program.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let terminal = Terminal::new();
    let done = terminal::start_log(&terminal, arguments.log_format, &arguments.log_level)
        .and_then(|()| dispatch(arguments.command, &terminal));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(text) = failure.text() {
                terminal.say(&format!("error: {text}"));
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch(command: Command, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Command::Demo { port, dir, no_browser } => demo::demo(&dir, port, !no_browser, terminal),
        Command::Check(pipeline) => check::check(&load(&pipeline.path)?, &pipeline.path),
        Command::Run { pipeline, until_done, json } => {
            let options = run::Options::new(until_done, json);
            run::run(load(&pipeline.path)?, options, terminal)
        }
        Command::Sql { pipeline, sql, json, csv, limit } => {
            sql::sql(load(&pipeline.path)?, &sql, sql::Form::new(json, csv), limit, terminal)
        }
        Command::Tail { pipeline, json } => tail::tail(&load(&pipeline.path)?, json),
        Command::Status { pipeline, json, watch } => status::status(&load(&pipeline.path)?, json, watch),
        Command::Verify { pipeline, fast, json } => verify::verify(load(&pipeline.path)?, fast, json),
        Command::Reset { pipeline, archive, yes } => reset::reset(&load(&pipeline.path)?, archive, yes, terminal),
        Command::Failpoints => failpoints(),
    }
}

/// Reads a pipeline file with all its mistakes.
fn load(path: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Refused(format!("reading the pipeline file `{}`: {error}", path.display())))?;
    // The folder of the file is where relative paths start: it must not depend on where we are.
    let file = std::path::absolute(path)
        .map_err(|error| Failure::Refused(format!("finding the folder of `{}`: {error}", path.display())))?;
    let config = Config::parse(&text, &file, &variable).map_err(|errors| Failure::Refused(errors.to_string()))?;
    let problems = check_config(&config.clean, config.source.event_time.as_deref());
    if problems.is_empty() {
        return Ok(config);
    }
    let lines = problems.iter().map(|problem| format!("{}: {}: {}", path.display(), problem.key, problem.text));
    Err(Failure::Refused(lines.collect::<Vec<_>>().join("\n")))
}

fn failpoints() -> Result<(), Failure> {
    if !cfg!(debug_assertions) {
        return Err(Failure::Refused("this build has no fail-points; development builds have".to_owned()));
    }
    for name in crate::failpoint::NAMES {
        out::line(name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
