//! The commands: what a person types, what the terminal shows, and with which code the process ends.

mod check;
mod client;
mod demo;
mod failure;
mod init;
mod number;
mod out;
mod parity;
mod progress;
mod redrive;
mod reset;
mod retry;
mod run;
mod signals;
mod sql;
mod status;
mod table;
mod tail;
mod terminal;
mod upkeep;
mod user;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use millstream_core::config::clean::DedupWithin;
use millstream_core::config::{Config, Outside};

use crate::environment::variable;
use crate::pipeline::Role;
use crate::profile::views::syntax_problem;
use crate::source::isolated;
use crate::source::list::Listing;
use crate::source::untrusted::quiet;
use crate::stream::PublisherId;
use crate::stream::kafka::MAX_PUBLISHERS;
use crate::users;

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
        #[command(flatten)]
        instead: demo::Instead,
        /// Do not open a browser
        #[arg(long)]
        no_browser: bool,
    },
    /// Look at Parquet files and write the pipeline file that they suggest, with comments
    #[command(after_help = "Example:\n  millstream init data/*.parquet\n  millstream init data/ --stdout | less\n\n\
        What the data show beyond doubt is written to be carried out, all else as comments. The rules that it writes only mark rows.\n\
        Without --full a large source is read in part: all footers, and rows of many files.")]
    Init(init::Options),
    /// Check a pipeline file and try it on rows of its source: what every rule would do; changes nothing
    #[command(
        after_help = "Example:\n  millstream check pipeline.toml\n  millstream check pipeline.toml --full --json | jq .rules\n\n\
        Ends with code 2 when something is wrong: with the pipeline file, its views, or files that could not be cleaned."
    )]
    Check {
        #[command(flatten)]
        pipeline: PipelineFile,
        #[command(flatten)]
        options: check::Options,
    },
    /// Run a pipeline: all stages, the page and the API
    #[command(
        after_help = "Example:\n  millstream run pipeline.toml --until-done --json | jq .ledger.total\n  millstream run data/*.parquet\n\n\
        Of Parquet files, globs or folders it makes a pipeline as `millstream init` does, in a folder `millstream-NAME` here, and runs\n\
        it; the next time it goes on in that folder.\n\n\
        Ctrl-C or SIGTERM drains and ends with code 0; a second one aborts with code 130. Nothing is lost by either."
    )]
    Run {
        /// The pipeline file; or Parquet files, globs or folders
        #[arg(value_name = "PIPELINE|FILES", required = true)]
        paths: Vec<PathBuf>,
        /// For files: the folder for the pipeline and its data; without it `millstream-NAME`
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
        /// End when the source is at its end and all of it is archived
        #[arg(long)]
        until_done: bool,
        /// No progress; at the end a summary as JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Find, clean and publish files to Kafka; other processes receive
    #[command(after_help = "Example:\n  millstream publish pipeline.toml --publisher 0/2\n\n\
        Needs `[stream.kafka]`. Several publishers share the files: each is told its number and how many there are. Start each once;\n\
        one that is started a second time takes the place of the first.")]
    Publish {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// Which publisher of how many this is, such as 0/2; needed where several share the files
        #[arg(long, value_name = "I/N", value_parser = publisher)]
        publisher: Option<PublisherId>,
        /// End when the source is at its end and all of it is published
        #[arg(long)]
        until_done: bool,
        /// No progress; at the end a summary as JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Receive from Kafka and archive, as one of any number of such processes
    #[command(after_help = "Example:\n  millstream receive pipeline.toml\n\n\
        Needs `[stream.kafka]`. The processes share the partitions as a consumer group; each needs a `pipeline.data_dir` of its own and\n\
        all name the same `archive.path`. Ctrl-C or SIGTERM archives what is held and ends with code 0.")]
    Receive {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// No progress; at the end a summary as JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Serve page and SQL over a stream that other processes publish and archive
    #[command(after_help = "Example:\n  millstream serve pipeline.toml\n\n\
        Needs `[stream.kafka]`. Any number may run; each needs a `pipeline.data_dir` of its own and must see `archive.path`.")]
    Serve(PipelineFile),
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
    /// Put small files of the archive together now; a running pipeline does so by itself
    #[command(after_help = "Example:\n  millstream compact pipeline.toml --dry-run\n\n\
        The pipeline may run meanwhile. The files that are replaced stay for `archive.history`.")]
    Compact(ByHand),
    /// Remove files of the archive that nobody can read any more; a running pipeline does so by itself
    #[command(after_help = "Example:\n  millstream vacuum pipeline.toml --dry-run\n\n\
        The pipeline may run meanwhile. Removes files that were replaced longer than `archive.history` ago, and files that no version \
        has, once they are a day old.")]
    Vacuum(ByHand),
    /// Delete the rows of the archive that are past `archive.retention` now; a running pipeline does so by itself
    #[command(after_help = "Example:\n  millstream expire pipeline.toml --dry-run\n\n\
        The pipeline may run meanwhile. The rows can be read in earlier versions for `archive.history`.")]
    Expire(ByHand),
    /// Clean the same files with DataFusion and with Spark, and compare row by row; changes nothing
    #[command(after_help = "Example:\n  millstream parity pipeline.toml --connect sc://127.0.0.1:15002 --files 3\n\n\
        Ends with code 0 when both make the same of every row, otherwise with 1. Holds a file's rows in memory: `--rows` takes fewer.")]
    Parity {
        #[command(flatten)]
        pipeline: PipelineFile,
        #[command(flatten)]
        options: parity::Options,
    },
    /// Take quarantined files again, after they were mended or a limit was raised
    #[command(after_help = "Example:\n  millstream retry pipeline.toml data/2024-03.parquet\n\n\
        Works while the pipeline runs, and, with the embedded log, while it does not. A file of which rows were published goes on\n\
        behind them. Ends with code 2 when a file cannot be taken.")]
    Retry {
        #[command(flatten)]
        pipeline: PipelineFile,
        /// Quarantined files, as `millstream status` names them
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Go on behind the rows that are published though the file was changed: those rows must be what they were
        #[arg(long)]
        keep_published: bool,
    },
    /// Clean rejected rows again by the rules as the pipeline file has them now, and publish those that pass, once
    #[command(
        after_help = "Example:\n  millstream redrive pipeline.toml --rule fare --preview\n  millstream redrive pipeline.toml --rule fare\n\n\
        Works while the pipeline runs, and, with the embedded log, while it does not. Rows are read from their files: of one that was changed\n\
        or is gone they stay rejected, and the command ends with code 2. Whatever ends it midway, it goes on when asked again."
    )]
    Redrive {
        #[command(flatten)]
        pipeline: PipelineFile,
        #[command(flatten)]
        options: redrive::Options,
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
    /// Say who may log in to page and API: add, list, password, role, remove, token, revoke
    #[command(after_help = "Example:\n  millstream user add ada --role operator pipeline.toml\n\n\
        A running pipeline notices at once. As soon as there is a user, everybody has to log in; on any other address than loopback there \
        must be one, or `[server] token`.")]
    User {
        #[command(subcommand)]
        action: user::Action,
    },
    /// Read a file for another process of this program
    #[command(hide = true, name = isolated::COMMAND)]
    ReadIsolated,
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

#[derive(Debug, clap::Args)]
struct ByHand {
    #[command(flatten)]
    pipeline: PipelineFile,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

impl ByHand {
    fn work(&self, work: upkeep::Work, terminal: &Terminal) -> Result<(), Failure> {
        let options = upkeep::Options { dry_run: self.dry_run, json: self.json };
        upkeep::upkeep(&load(&self.pipeline.path)?, work, options, terminal)
    }
}

/// Does what the command line says; the whole program.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Command::ReadIsolated) {
        return isolated::child::main();
    }
    quiet::install_hook();
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
        Command::Demo { port, dir, instead, no_browser } => demo::demo(&dir, port, &instead, !no_browser, terminal),
        Command::Init(options) => init::init(options, terminal),
        Command::Check { pipeline, options } => check::check(&load(&pipeline.path)?, &pipeline.path, options),
        Command::Run { paths, dir, until_done, json } => {
            let config = load(&run::pipeline_file(&paths, dir, terminal)?)?;
            if until_done && config.is_foreign() {
                return Err(Failure::Refused(
                    "a topic that another program writes has no end: leave `--until-done` out".to_owned(),
                ));
            }
            run::run(config, run::Options::new(Role::Run, until_done, json), terminal)
        }
        Command::Publish { pipeline, publisher, until_done, json } => {
            let config = load(&pipeline.path)?;
            check_stages_apart(&config, "publish")?;
            if config.is_foreign() {
                return Err(Failure::Refused(
                    "another program writes this topic (`stream.kafka.foreign`): there is nothing to publish"
                        .to_owned(),
                ));
            }
            let role = if let Some(id) = publisher {
                check_shared_dedup(&config, id)?;
                Role::Publish(id)
            } else {
                Role::PublishAlone
            };
            run::run(config, run::Options::new(role, until_done, json), terminal)
        }
        Command::Receive { pipeline, json } => {
            let config = load(&pipeline.path)?;
            check_stages_apart(&config, "receive")?;
            run::run(config, run::Options::new(Role::Receive, false, json), terminal)
        }
        Command::Serve(pipeline) => {
            let config = load(&pipeline.path)?;
            check_stages_apart(&config, "serve")?;
            run::run(config, run::Options::new(Role::Serve, false, false), terminal)
        }
        Command::Sql { pipeline, sql, json, csv, limit } => {
            sql::sql(load(&pipeline.path)?, &sql, sql::Form::new(json, csv), limit, terminal)
        }
        Command::Tail { pipeline, json } => tail::tail(&load(&pipeline.path)?, json),
        Command::Status { pipeline, json, watch } => status::status(&load(&pipeline.path)?, json, watch),
        Command::Verify { pipeline, fast, json } => verify::verify(load(&pipeline.path)?, fast, json),
        Command::Compact(by_hand) => by_hand.work(upkeep::Work::Compact, terminal),
        Command::Vacuum(by_hand) => by_hand.work(upkeep::Work::Vacuum, terminal),
        Command::Expire(by_hand) => by_hand.work(upkeep::Work::Expire, terminal),
        Command::Parity { pipeline, options } => parity::parity(&load(&pipeline.path)?, options, terminal),
        Command::Retry { pipeline, files, keep_published } => {
            retry::retry(&load(&pipeline.path)?, &files, keep_published)
        }
        Command::Redrive { pipeline, options } => redrive::redrive(load(&pipeline.path)?, options),
        Command::Reset { pipeline, archive, yes } => reset::reset(&load(&pipeline.path)?, archive, yes, terminal),
        Command::User { action } => user::user(action, terminal),
        // It was done without terminal and log.
        Command::ReadIsolated => Ok(()),
        Command::Failpoints => failpoints(),
    }
}

/// Reads a pipeline file with all its mistakes.
fn load(path: &Path) -> Result<Config, Failure> {
    load_where(path, &users::any)
}

/// As [`load`], before there are users.
fn load_without_users(path: &Path) -> Result<Config, Failure> {
    load_where(path, &|_| true)
}

fn load_where(path: &Path, has_users: &dyn Fn(&Path) -> bool) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Refused(format!("reading the pipeline file `{}`: {error}", path.display())))?;
    // The folder of the file is where relative paths start: it must not depend on where we are.
    let file = std::path::absolute(path)
        .map_err(|error| Failure::Refused(format!("finding the folder of `{}`: {error}", path.display())))?;
    let outside = Outside { view_problem: &syntax_problem, has_users };
    Config::parse_with(&text, &file, &variable, &outside).map_err(|mut errors| {
        path.clone_into(&mut errors.file);
        Failure::Refused(errors.to_string())
    })
}

/// A file as the ledger names it, given so or as a path from where we are.
fn file_name(listing: &Listing, config: &Config, file: &Path) -> String {
    let written = file.to_string_lossy().into_owned();
    if config.base_dir.join(file).exists() && !file.is_absolute() { written } else { listing.name_of(file) }
}

/// `0/2`: the first of two.
fn publisher(text: &str) -> Result<PublisherId, String> {
    let form = || format!("`{text}` is not a number and how many there are, such as 0/2");
    let (index, count) = text.split_once('/').ok_or_else(form)?;
    let (index, count) = (index.parse::<u32>().map_err(|_| form())?, count.parse::<u32>().map_err(|_| form())?);
    if count == 0 || count > MAX_PUBLISHERS {
        return Err(format!("there can be 1 to {MAX_PUBLISHERS} publishers, not {count}"));
    }
    if index >= count {
        return Err(format!("the publishers of {count} have the numbers 0 to {}, not {index}", count - 1));
    }
    Ok(PublisherId { index, count })
}

fn check_stages_apart(config: &Config, command: &str) -> Result<(), Failure> {
    if config.stream.kafka.is_some() {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "`millstream {command}` is for stages apart, which meet on Kafka: add `[stream.kafka]` to the pipeline file, or use \
         `millstream run`, which carries all stages and needs nothing"
    )))
}

/// Keys of several files can be told apart by one publisher only.
fn check_shared_dedup(config: &Config, publisher: PublisherId) -> Result<(), Failure> {
    let is_wide = config.clean.dedup.as_ref().is_some_and(|dedup| dedup.within != DedupWithin::File);
    if publisher.count == 1 || !is_wide {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "`clean.dedup.within` reaches over several files, and {} publishers share them: use one publisher, or `within = \"file\"`",
        publisher.count
    )))
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
