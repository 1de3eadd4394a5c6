//! The part of `[archive]` that says how the archive is kept in shape, and for how long.

use std::num::NonZeroU32;
use std::time::Duration;

use super::reader::Item;
use super::reader::section::Section;
use super::sections::{DAY, GIB, KIB, LONGEST, MIB};

/// How the archive looks after itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upkeep {
    /// `compact`: whether small files are put together while the pipeline runs. Default true.
    pub compact: bool,
    /// `target_file_bytes`: size of the Parquet files that small ones are put together to. Default 128 MiB; 64 KiB to 4 GiB.
    pub target_file_bytes: u64,
    /// `history`: how long earlier versions can be read: age at which replaced files and log entries are removed. Default 24 h;
    /// 1 s to 10 years, and at least twice `[limits] query_timeout`.
    pub history: Duration,
    /// `checkpoint_versions`: versions after which a checkpoint is written. Default 20; 2 to 1000.
    pub checkpoint_versions: NonZeroU32,
    /// `retention`: age past which rows are deleted. Default none: rows stay. 1 s to 100 years.
    pub retention: Option<Retention>,
}

/// When rows leave the archive for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// `retention`: their age.
    pub age: Duration,
    /// `retention_by`: what it counts from.
    pub by: RetentionBy,
}

/// `retention_by`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionBy {
    /// From `ingested_at`.
    IngestedAt,
    /// From the event time; rows without one stay. Rejects, which have none, go by `ingested_at`.
    EventTime,
}

/// Settings of it that others may contradict.
#[derive(Default, Clone)]
pub(super) struct Items<'d> {
    pub(super) history: Option<Item<'d>>,
    pub(super) retention_by: Option<(Item<'d>, RetentionBy)>,
}

pub(super) fn read_upkeep<'d>(section: &mut Section<'d>) -> (Upkeep, Items<'d>) {
    let compact = section.take("compact").and_then(|item| item.boolean()).unwrap_or(true);
    let target_file_bytes = section.size("target_file_bytes", 128 * MIB, 64 * KIB..=4 * GIB);
    let history = section.take("history");
    let shortest = Duration::from_secs(1);
    let kept = history.as_ref().and_then(|item| item.duration(shortest..=LONGEST)).unwrap_or(DAY);
    let checkpoint_versions = section.integer("checkpoint_versions", 20, 2..=1000);
    let age = section.take("retention");
    let by_item = section.take("retention_by");
    let choices = [("ingested_at", RetentionBy::IngestedAt), ("event_time", RetentionBy::EventTime)];
    let by = by_item.as_ref().and_then(|item| item.choice("kind of age", &choices));
    if let (Some(item), None) = (&by_item, &age) {
        item.mistake("`archive.retention_by` says what `archive.retention` counts from, which is not set", None);
    }
    let longest = Duration::from_hours(24 * 36_500);
    let age = age.and_then(|item| item.duration(shortest..=longest));
    let upkeep = Upkeep {
        compact,
        target_file_bytes,
        history: kept,
        checkpoint_versions: super::sections::count_u32(checkpoint_versions),
        retention: age.map(|age| Retention { age, by: by.unwrap_or(RetentionBy::IngestedAt) }),
    };
    (upkeep, Items { history, retention_by: by_item.zip(by) })
}
