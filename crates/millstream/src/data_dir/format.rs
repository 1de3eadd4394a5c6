//! `FORMAT`: what the first run fixed.

use std::collections::BTreeMap;
use std::path::Path;

use millstream_core::config::clean::DedupWithin;
use millstream_core::config::{Config, Format as RecordFormat, PartitionBy};
use serde::{Deserialize, Serialize};

use super::{Change, DataDirError, files, to_json};

/// The newest format that this program knows.
const VERSION: u64 = 3;

/// How a setting without a value is written.
const NOT_SET: &str = "(not set)";

/// The content of `FORMAT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Format {
    /// Version of the layout of the data folder.
    #[serde(rename = "format")]
    version: u64,
    /// Name of the pipeline.
    pub(super) pipeline: String,
    /// Id of the stream, once it is made.
    pub(super) stream_id: Option<String>,
    /// Settings that cannot change any more, by key, as TOML would write them.
    fixed: BTreeMap<String, String>,
}

/// What every version of `FORMAT` has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u64,
}

impl Format {
    /// What a first run with this pipeline file fixes.
    pub(super) fn of(config: &Config) -> Self {
        let fixed = [
            ("stream.partitions", config.stream.partitions.to_string()),
            ("stream.format", format!("\"{}\"", format_name(config.stream.format))),
            ("archive.partition_by", format!("\"{}\"", partition_by_name(config.archive.partition_by))),
            ("source.event_time", config.source.event_time.as_ref().map_or_else(not_set, |name| format!("{name:?}"))),
            ("clean.dedup.key", config.clean.dedup.as_ref().map_or_else(not_set, |dedup| format!("{:?}", dedup.key))),
            ("clean.dedup.within", config.clean.dedup.as_ref().map_or_else(not_set, |dedup| within_text(dedup.within))),
        ];
        Self {
            version: VERSION,
            pipeline: config.pipeline.name.clone(),
            stream_id: None,
            fixed: fixed.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        }
    }

    /// The same, with the id of the stream.
    pub(super) fn with_stream_id(&self, stream_id: &str) -> Self {
        Self { stream_id: Some(stream_id.to_owned()), ..self.clone() }
    }

    /// The same in the newest format, if it is of an older one. What has changed since: 2 has values of the embedded log in files
    /// beside its database, which may be absent; 3 has keys of dedup in chunks, beside those that were kept one by one.
    pub(super) fn raised(&self) -> Option<Self> {
        (self.version < VERSION).then(|| Self { version: VERSION, ..self.clone() })
    }

    /// Reads the file; none when it is not there.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, DataDirError> {
        let Some(text) = files::read_if_there(path)? else { return Ok(None) };
        let damaged =
            |error: serde_json::Error| DataDirError::Damaged { path: path.to_owned(), reason: error.to_string() };
        let AnyFormat { format } = serde_json::from_str(&text).map_err(damaged)?;
        if format > VERSION {
            let folder = path.parent().unwrap_or(path).to_owned();
            return Err(DataDirError::NewerFormat { path: folder, found: format, known: VERSION });
        }
        serde_json::from_str(&text).map(Some).map_err(damaged)
    }

    /// Writes the file; durable when it returns.
    pub(super) fn write(&self, path: &Path) -> Result<(), DataDirError> {
        files::write_atomically(path, &to_json(self, path)?)
    }

    /// Whether a run with the settings of `wanted` may use this folder.
    pub(super) fn admits(&self, wanted: &Self, folder: &Path) -> Result<(), DataDirError> {
        if self.pipeline != wanted.pipeline {
            return Err(DataDirError::OtherPipeline {
                path: folder.to_owned(),
                found: self.pipeline.clone(),
                wanted: wanted.pipeline.clone(),
            });
        }
        let changes: Vec<Change> = wanted
            .fixed
            .iter()
            .filter_map(|(setting, now)| {
                let before = self.fixed.get(setting)?;
                (before != now).then(|| Change { setting: setting.clone(), before: before.clone(), now: now.clone() })
            })
            .collect();
        if changes.is_empty() { Ok(()) } else { Err(DataDirError::Changed { changes }) }
    }
}

/// One line for each change, and the way out.
pub(super) fn describe_changes(changes: &[Change]) -> String {
    let lines = changes.iter().map(|Change { setting, before, now }| {
        format!("`{setting}` was {before} at the first run and is {now} now; it is fixed at the first run\n")
    });
    lines.collect::<Vec<_>>().concat() + "set it back, or start over with `millstream reset --archive`"
}

fn not_set() -> String {
    NOT_SET.to_owned()
}

fn format_name(format: RecordFormat) -> &'static str {
    match format {
        RecordFormat::Arrow => "arrow",
        RecordFormat::Json => "json",
    }
}

fn partition_by_name(partition_by: PartitionBy) -> &'static str {
    match partition_by {
        PartitionBy::ArrivalDay => "arrival_day",
        PartitionBy::None => "none",
        PartitionBy::Day => "day",
        PartitionBy::Month => "month",
    }
}

/// Also tells `"24h"` and `"1d"` to be the same.
fn within_text(within: DedupWithin) -> String {
    match within {
        DedupWithin::File => "\"file\"".to_owned(),
        DedupWithin::Source => "\"source\"".to_owned(),
        DedupWithin::Window { length_micros } => {
            const UNITS: [(&str, i64); 6] = [
                ("d", 86_400_000_000),
                ("h", 3_600_000_000),
                ("m", 60_000_000),
                ("s", 1_000_000),
                ("ms", 1_000),
                ("us", 1),
            ];
            let (unit, micros) = UNITS.into_iter().find(|(_, micros)| length_micros % micros == 0).unwrap_or(("us", 1));
            format!("\"{}{unit}\"", length_micros / micros)
        }
    }
}
