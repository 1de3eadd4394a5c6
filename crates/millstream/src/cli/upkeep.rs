//! `millstream compact`, `vacuum` and `expire`: upkeep of the archive by hand, whether the pipeline runs or not.

use indicatif::{ProgressBar, ProgressStyle};
use millstream_core::config::Config;
use millstream_core::ids::Topic;
use serde_json::{Map, Value, json};

use super::client::block_on;
use super::failure::Failure;
use super::number::{bytes, count};
use super::out;
use super::terminal::Terminal;
use crate::archive::upkeep::{Compacted, Expired, Manner, Pace, Vacuumed};
use crate::archive::{self, ArchiveError, ArchiveTable};
use crate::chain::chain;
use crate::durable::{OpenArchive, open_archive};
use crate::pipeline::PipelineError;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Small files are put together.
    Compact,
    /// Files that nobody can read any more are removed.
    Vacuum,
    /// Rows past their retention are deleted.
    Expire,
}

/// How it is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Only tell what would be done.
    pub(super) dry_run: bool,
    /// As JSON.
    pub(super) json: bool,
}

/// What came of it for a table.
enum Done {
    Compacted(Compacted),
    Vacuumed(Vacuumed),
    Expired(Expired),
}

/// Does it for both tables of the archive.
pub(super) fn upkeep(config: &Config, work: Work, options: Options, terminal: &Terminal) -> Result<(), Failure> {
    if work == Work::Expire && config.archive.upkeep.retention.is_none() {
        return Err(Failure::Refused(
            "there is no `archive.retention` in the pipeline file, so no row is ever too old; set it first".to_owned(),
        ));
    }
    let mut lines = Vec::new();
    let mut values = Map::new();
    block_on(async {
        for table in tables(config).await? {
            let name = name(table.topic);
            let done = with_bar(config, &table, work, options, terminal).await.map_err(|error| failed(&error))?;
            lines.push(format!("{name:<8} {}", done.describe(options.dry_run)));
            values.insert(name.to_owned(), done.value());
        }
        Ok(())
    })?;
    if options.json {
        return out::write(&format!("{}\n", json!({ "dry_run": options.dry_run, "tables": Value::Object(values) })));
    }
    out::write(&(lines.join("\n") + "\n"))
}

async fn tables(config: &Config) -> Result<[ArchiveTable; 2], Failure> {
    let path = &config.archive.path;
    let stream = archive::stream_of(path).await.map_err(|error| failed(&error))?;
    let Some(stream) = stream else {
        return Err(Failure::Refused(format!(
            "there is no archive in `{path}` yet; start the pipeline with `millstream run`"
        )));
    };
    let OpenArchive { tables, .. } = open_archive(config, stream).await?;
    Ok(tables)
}

async fn with_bar(
    config: &Config,
    table: &ArchiveTable,
    work: Work,
    options: Options,
    terminal: &Terminal,
) -> Result<Done, ArchiveError> {
    let mut manner = Manner {
        memory: config.limits.memory,
        pace: Pace::full(),
        everything: true,
        dry_run: options.dry_run,
        live: None,
    };
    let bar = terminal.is_terminal().then(|| terminal.add(bar(table)));
    let step = |number: usize, count: usize| {
        if let Some(bar) = &bar {
            bar.set_length(count as u64);
            bar.set_position(number as u64);
        } else {
            terminal.say(&format!("{}: {} of {count}", name(table.topic), number + 1));
        }
    };
    let done = match work {
        Work::Compact => table.compact(&mut manner, &step).await.map(Done::Compacted),
        Work::Expire => table.expire(&mut manner, &step).await.map(Done::Expired),
        Work::Vacuum => {
            let vacuumed = table.vacuum(config.archive.upkeep.history, options.dry_run).await;
            vacuumed.map(|vacuumed| Done::Vacuumed(vacuumed.unwrap_or_default()))
        }
    };
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    done
}

fn bar(table: &ArchiveTable) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos} of {len}");
    let bar = ProgressBar::new(0).with_prefix(name(table.topic));
    // A template that is wrong leaves the library's own.
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

impl Done {
    fn describe(&self, dry_run: bool) -> String {
        let would = if dry_run { "would be " } else { "" };
        match self {
            Self::Compacted(Compacted { files_before: 0, .. }) => "no small files to put together".to_owned(),
            Self::Compacted(of) if dry_run => {
                format!("{} small files ({}) would be put together", count(of.files_before), bytes(of.bytes_before))
            }
            Self::Compacted(of) => format!(
                "{} small files ({}) are {} now ({})",
                count(of.files_before),
                bytes(of.bytes_before),
                count(of.files_after),
                bytes(of.bytes_after)
            ),
            Self::Vacuumed(of) => format!(
                "{} replaced files and {} that no version has {would}removed ({}); {} replaced files stay for the history ({})",
                count(of.replaced_files),
                count(of.unknown_files),
                bytes(of.bytes),
                count(of.kept_files),
                bytes(of.kept_bytes)
            ),
            Self::Expired(of) => format!(
                "{} rows {would}deleted, {} files as a whole, {} rewritten",
                count(of.rows),
                count(of.whole_files),
                count(of.rewritten_files)
            ),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Compacted(of) => json!(of),
            Self::Vacuumed(of) => json!(of),
            Self::Expired(of) => json!(of),
        }
    }
}

fn name(topic: Topic) -> &'static str {
    match topic {
        Topic::Rows => "rows",
        Topic::Rejects => "rejects",
    }
}

fn failed(error: &ArchiveError) -> Failure {
    PipelineError::Failed(chain(error)).into()
}
