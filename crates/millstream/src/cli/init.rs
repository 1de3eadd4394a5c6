//! `millstream init`: profiles data and writes the pipeline file that they suggest.

use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use millstream_core::config::Config;
use millstream_core::profile::draft::Draft;
use millstream_core::profile::render::{Form, render, toml_text};
use millstream_core::profile::suggest::{Frame, suggest};

use super::failure::Failure;
use super::number::{counted, duration};
use super::terminal::Terminal;
use super::{client::block_on, out};
use crate::environment::variable;
use crate::profile::read::{Profiled, profile};
use crate::profile::trial::{Trial, trial};
use crate::source::list::Listing;
use crate::source::untrusted::Guard;

mod paths;

pub(super) use self::paths::{Sources, is_glob};

/// Rows that are read unless the command line says otherwise.
const SAMPLE_ROWS: u64 = 1_000_000;

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Parquet files, globs or folders
    #[arg(required = true, value_name = "FILES")]
    files: Vec<String>,
    /// Where the pipeline file is written
    #[arg(short, long, default_value = "pipeline.toml", value_name = "PATH")]
    output: PathBuf,
    /// Print it instead
    #[arg(long, conflicts_with_all = ["output", "force"])]
    stdout: bool,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    /// Name of the pipeline; without it one is made of the names of the files
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    how_much: HowMuch,
}

/// How many rows are looked at.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct HowMuch {
    /// Read about this many rows, from many files [default: 1000000]
    #[arg(long, value_name = "ROWS", conflicts_with = "full", value_parser = clap::value_parser!(u64).range(1..))]
    sample_rows: Option<u64>,
    /// Read all rows
    #[arg(long)]
    full: bool,
}

impl HowMuch {
    /// Rows at most, if not all.
    pub(super) fn rows(self, default: u64) -> Option<u64> {
        if self.full { None } else { Some(self.sample_rows.unwrap_or(default)) }
    }

    /// As the command line says.
    pub(super) fn new(sample_rows: Option<u64>, full: bool) -> Self {
        Self { sample_rows, full }
    }

    /// As much as `init` reads unless it is told otherwise.
    pub(super) fn usual() -> Self {
        Self { sample_rows: None, full: false }
    }
}

/// Profiles, writes, and tells what was found.
pub(super) fn init(options: Options, terminal: &Terminal) -> Result<(), Failure> {
    let Options { files, output, stdout, force, name, how_much } = options;
    if !stdout && !force && output.exists() {
        return Err(Failure::Refused(format!(
            "`{}` is there already: write over it with `--force`, or choose another with `--output`",
            output.display()
        )));
    }
    let folder = folder_of(&output)?;
    let sources = Sources::new(&files, &folder)?;
    let name = match name {
        Some(name) => name,
        None => sources.name(),
    };
    let made = make(&sources, &folder, name, how_much, terminal)?;
    if stdout {
        return out::write(&made.text);
    }
    write(&output, &made.text, force)?;
    terminal.say(&summary(&made, &output));
    Ok(())
}

/// The folder that a pipeline file stands in.
fn folder_of(file: &Path) -> Result<PathBuf, Failure> {
    let file = std::path::absolute(file)
        .map_err(|error| Failure::Refused(format!("finding the folder of `{}`: {error}", file.display())))?;
    file.parent().map(Path::to_owned).ok_or_else(|| Failure::Refused(format!("`{}` is no file", file.display())))
}

/// A pipeline file that was made.
pub(super) struct Made {
    /// Its text.
    pub(super) text: String,
    draft: Draft,
}

/// Makes a pipeline file of sources, to be written into `folder`.
pub(super) fn make(
    sources: &Sources,
    folder: &Path,
    name: String,
    how_much: HowMuch,
    terminal: &Terminal,
) -> Result<Made, Failure> {
    let started = Instant::now();
    let file = folder.join("pipeline.toml");
    let frame = Frame { name, data_dir: None, paths: sources.paths.clone(), made_by: sources.made_by() };
    // Only the name and the paths come from outside.
    let bare = Config::parse(&bare(&frame), &file, &variable).map_err(|errors| Failure::Refused(errors.to_string()))?;
    let listing = Listing::of(&bare)?;
    let found = block_on(async { Ok(listing.list().await?) })?;
    for problem in &found.problems {
        terminal.say(&format!("! {problem}"));
    }
    if found.files.is_empty() {
        return Err(Failure::Refused(format!(
            "nothing matches {}: name Parquet files, globs or folders",
            listing.patterns()
        )));
    }
    let most = how_much.rows(SAMPLE_ROWS);
    let steps = Steps::new(terminal);
    let looked = block_on(async {
        Ok(profile((&listing, &Guard::of(&bare)), &found.files, most, |rows, of| steps.show("reading", rows, of)).await)
    })?;
    let Profiled { profile, files, broken } = looked;
    for (file, reason) in &broken {
        terminal.say(&format!("! `{file}` cannot be read and will be quarantined: {reason}"));
    }
    if files.is_empty() || profile.columns.is_empty() {
        return Err(Failure::Refused(
            "no file could be read, so there is nothing to make a pipeline of; the reasons stand above".to_owned(),
        ));
    }
    let mut draft = suggest(&profile, frame);
    for (file, reason) in &broken {
        draft.source_notes.push(format!("{file} could not be read: {reason}"));
    }
    let rows = profile.rows;
    drop(profile);
    for _ in 0..2 {
        let config = parse(&render(&draft, Form::Trial), &file)?;
        let work = trial(&config, &listing, &files, most, |done, _| steps.show("trying the rules", done, rows));
        let tried = block_on(async { Ok(work.await) })?;
        draft.count(|rule| tried.rows_of(rule), tried.duplicates);
        if !doubt(&mut draft, &tried) {
            break;
        }
    }
    steps.end();
    terminal.say(&format!(
        "{} ({})",
        draft.head.get(1).map_or("", String::as_str),
        duration(started.elapsed().as_secs_f64())
    ));
    let text = render(&draft, Form::Final);
    parse(&text, &file)?;
    Ok(Made { text, draft })
}

/// Takes back types that rows do not fit; tells whether there were any.
fn doubt(draft: &mut Draft, tried: &Trial) -> bool {
    let mut doubted = false;
    for rule in &tried.rules {
        if let Some(column) = rule.rule.strip_prefix("type:").filter(|_| rule.action == "reject" && rule.rows > 0) {
            draft.doubt(column, rule.rows);
            doubted = true;
        }
    }
    doubted
}

/// Only what is needed to list the files.
fn bare(frame: &Frame) -> String {
    let paths: Vec<String> = frame.paths.iter().map(|path| toml_text(path)).collect();
    format!("[pipeline]\nname = {}\n[source]\npath = [{}]\n", toml_text(&frame.name), paths.join(", "))
}

/// What we wrote must read well; if it does not, the mistake is ours.
fn parse(text: &str, file: &Path) -> Result<Config, Failure> {
    Config::parse(text, file, &variable)
        .map_err(|errors| Failure::Failed(format!("the pipeline file that was made does not read well:\n{errors}")))
}

/// Writes a pipeline file, over one that is there only with `force`.
pub(super) fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let path = path.display();
        if error.kind() == ErrorKind::AlreadyExists {
            return Failure::Refused(format!("`{path}` is there already: write over it with `--force`"));
        }
        if error.kind() == ErrorKind::NotFound {
            return Failure::Refused(format!("writing `{path}`: its folder is not there"));
        }
        Failure::Failed(format!("writing `{path}`: {error}"))
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if !force {
        options.create_new(true);
    }
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}

fn summary(made: &Made, output: &Path) -> String {
    let Draft { columns, rules, dedup, drop, .. } = &made.draft;
    let certain = rules.iter().filter(|rule| rule.is_certain).count();
    let guesses = rules.len() - certain + columns.iter().filter(|column| column.guess.is_some()).count();
    let mut found = vec![
        counted(columns.len() as u64, "column"),
        format!("{} that mark rows", counted(certain as u64, "rule")),
        format!("{guesses} {} left as comments", if guesses == 1 { "guess" } else { "guesses" }),
    ];
    if !drop.is_empty() {
        found.push(format!("{} left out", counted(drop.len() as u64, "column")));
    }
    if let Some(dedup) = dedup.as_ref().filter(|dedup| dedup.is_certain) {
        found.push(format!("dedup over {}", counted(dedup.key.len() as u64, "column")));
    }
    let file = output.display();
    format!(
        "wrote `{file}`: {}\n\n  look   {file}\n  try    millstream check {file}\n  run    millstream run {file}\n",
        found.join(", ")
    )
}

/// How far reading is, on a terminal.
struct Steps {
    bar: Option<ProgressBar>,
    step: RefCell<&'static str>,
}

impl Steps {
    fn new(terminal: &Terminal) -> Self {
        let style = ProgressStyle::with_template("{bar:28.cyan/dim} {percent:>3}%  {msg}").ok();
        let bar = terminal.is_terminal().then(|| terminal.add(ProgressBar::new(0)));
        if let (Some(bar), Some(style)) = (&bar, style) {
            bar.set_style(style);
        }
        Self { bar, step: RefCell::new("") }
    }

    fn show(&self, step: &'static str, done: u64, of: u64) {
        let Some(bar) = &self.bar else { return };
        if *self.step.borrow() != step {
            *self.step.borrow_mut() = step;
            bar.set_message(step);
        }
        bar.set_length(of);
        bar.set_position(done);
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
