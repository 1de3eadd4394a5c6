//! `millstream check`: whether a pipeline file is right, what it matches, and what would become of the rows. Changes nothing.

mod show;

use std::path::Path;

use millstream_core::config::Config;
use millstream_core::config::place::place;
use millstream_core::plan::check::Problem;
use serde::Serialize;

use super::client::block_on;
use super::failure::Failure;
use super::init::HowMuch;
use super::number::counted;
use super::out;
use crate::chain::chain;
use crate::clean::spark::check_address;
use crate::profile::trial::{Trial, trial};
use crate::profile::views::{self, PlannedView};
use crate::source::list::{Listed, Listing};

/// Rows that are cleaned unless the command line says otherwise.
const SAMPLE_ROWS: u64 = 200_000;

/// What is printed, and how much is read.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Options {
    /// Clean about this many rows, from many files [default: 200000]
    #[arg(long, value_name = "ROWS", conflicts_with = "full", value_parser = clap::value_parser!(u64).range(1..))]
    sample_rows: Option<u64>,
    /// Clean all rows
    #[arg(long)]
    full: bool,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Report<'r> {
    pipeline: &'r str,
    ok: bool,
    /// Whether only some of the rows were cleaned.
    sample: bool,
    #[serde(flatten)]
    trial: &'r Trial,
    views: &'r [PlannedView],
    /// What is wrong, each with its place if it has one.
    problems: &'r [String],
}

/// Checks a pipeline file that parsed against its source.
pub(super) fn check(config: &Config, pipeline_file: &Path, options: Options) -> Result<(), Failure> {
    let Options { sample_rows, full, json } = options;
    let say = |text: &str| if json { Ok(()) } else { out::line(text) };
    say(&format!("`{}` reads well: pipeline `{}`", pipeline_file.display(), config.pipeline.name))?;
    if let Some(spark) = &config.spark {
        check_address(spark).map_err(|error| Failure::Refused(chain(&error)))?;
    }
    if config.is_foreign() {
        let topic = &config.stream.topic;
        return say(&format!(
            "rows come from the Kafka topic `{topic}`, which another program writes: there are no files to check"
        ));
    }
    let listing = Listing::of(config)?;
    let Listed { files: found, problems: unseen } = block_on(async { Ok(listing.list().await?) })?;
    for problem in unseen {
        say(&format!("! {problem}"))?;
    }
    if found.is_empty() {
        let text = format!("nothing matches `source.path` = {}", listing.patterns());
        if config.source.watch {
            return say(&format!("{text}; with `watch = true` a run waits for files"));
        }
        return Err(Failure::Refused(text + "; correct it, or set `watch = true` to wait for files"));
    }
    let how_much = HowMuch::new(sample_rows, full);
    let most = how_much.rows(SAMPLE_ROWS);
    let tried = block_on(async { Ok(trial(config, &listing, &found, most, |_, _| {}).await) })?;
    let planned = block_on(async { Ok(views::plan(config, &tried.known).await) })?;
    let (planned, view_problems) = planned.map_err(|error| Failure::failed(&error))?;
    let mut placed = of_settings(&tried);
    if !tried.known.columns.is_empty() {
        placed.extend(view_problems);
    }
    let mut problems = problems(&tried);
    if !placed.is_empty() {
        let text = std::fs::read_to_string(pipeline_file).unwrap_or_default();
        problems.push(place(&text, pipeline_file, &placed).to_string());
    }
    if json {
        let report = Report {
            pipeline: &config.pipeline.name,
            ok: problems.is_empty(),
            sample: tried.rows < tried.rows_in_files,
            trial: &tried,
            views: &planned,
            problems: &problems,
        };
        out::line(&serde_json::to_string_pretty(&report).map_err(|error| Failure::failed(&error))?)?;
    } else {
        out::write(&show::report(&tried, &planned))?;
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::Refused(problems.join("\n"))) }
}

/// What keeps files from being cleaned because of a setting, which the reason names: each once.
fn of_settings(tried: &Trial) -> Vec<Problem> {
    let mut found: Vec<Problem> = Vec::new();
    for problem in tried.files.iter().filter_map(|file| file.problem.as_ref()) {
        let Some((key, text)) =
            problem.split_once(": ").filter(|(key, _)| key.starts_with("clean.") || *key == "source.event_time")
        else {
            continue;
        };
        let problem = Problem { key: key.to_owned(), text: text.to_owned() };
        if !found.contains(&problem) {
            found.push(problem);
        }
    }
    found
}

/// What keeps files from being cleaned, or a run from going on.
fn problems(tried: &Trial) -> Vec<String> {
    let mut problems = Vec::new();
    let broken = tried.files.iter().filter(|file| file.problem.is_some()).count();
    if broken > 0 {
        problems.push(format!("{} would be quarantined or stop a run", counted(broken as u64, "file")));
    }
    for rule in tried.stopping() {
        let what = rule
            .example
            .as_ref()
            .map_or_else(String::new, |touched| format!(": `{}` row {}: {}", touched.file, touched.row, touched.what));
        problems.push(format!("rule `{}` would stop a run{what}", rule.rule));
    }
    problems
}
