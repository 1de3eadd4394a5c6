//! The log between publisher and receiver: one contract, [`Log`], with the embedded log as its first implementation.
//!
//! Whatever a publisher wants to be true at once goes in one [`Append`]: records for several partitions, the progress of
//! their files and the changes of the dedup state. All of it is durable when the append returns, or none of it ever is.

pub(crate) mod embedded;
pub(crate) mod publish;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use millstream_core::dedup::KeyHash;
use millstream_core::ids::{Offset, StreamId, TopicPartition};
use millstream_core::progress::{FileProgress, Offsets, PublisherProgress};
use millstream_core::record::RecordHeader;

/// Number of the only publisher of an embedded log.
pub(crate) const PUBLISHER: u32 = 0;

/// A record to append.
#[derive(Debug, Clone)]
pub(crate) struct NewRecord {
    /// Where it goes.
    pub(crate) at: TopicPartition,
    /// Its facts.
    pub(crate) header: RecordHeader,
    /// Its value.
    pub(crate) value: Bytes,
}

/// A record of the log.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Where it is.
    pub(crate) at: TopicPartition,
    /// Its offset there.
    pub(crate) offset: Offset,
    /// When it was appended, microseconds since 1970; never goes back within a stream.
    pub(crate) timestamp_micros: i64,
    /// Its facts.
    pub(crate) header: RecordHeader,
    /// Its value.
    pub(crate) value: Bytes,
}

/// What becomes true at once.
#[derive(Debug, Default)]
pub(crate) struct Append {
    /// Records, in order.
    pub(crate) records: Vec<NewRecord>,
    /// The publisher's own progress, if it changed.
    pub(crate) publisher: Option<PublisherProgress>,
    /// Files whose progress changed.
    pub(crate) files: Vec<FileProgress>,
    /// What dedup learned and forgot: the event time of each key that it holds now, none for one that it does not hold any
    /// more.
    pub(crate) dedup: BTreeMap<KeyHash, Option<i64>>,
}

impl Append {
    /// Whether there is nothing to append.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.files.is_empty() && self.publisher.is_none()
    }
}

/// What became true with an append; told to the board.
#[derive(Debug)]
pub(crate) struct Applied {
    /// Files whose progress changed.
    pub(crate) files: Vec<FileProgress>,
    /// Records: partition, file, rows, bytes.
    pub(crate) records: Vec<(TopicPartition, String, u64, u64)>,
    /// Offsets behind the last record of each partition that got one.
    pub(crate) ends: Offsets,
    /// Keys in the dedup state.
    pub(crate) dedup_keys: u64,
}

/// What a log knows of its publisher.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// The publisher's own progress.
    pub(crate) publisher: PublisherProgress,
    /// Every file that was ever accepted, by sequence.
    pub(crate) files: Vec<FileProgress>,
    /// Keys that dedup knows, with their event times.
    pub(crate) dedup: Vec<(KeyHash, i64)>,
    /// Records at or above the offsets that were asked for.
    pub(crate) pending: Vec<PendingRecord>,
}

/// A record that the archive does not hold yet.
#[derive(Debug, Clone)]
pub(crate) struct PendingRecord {
    /// Where it is.
    pub(crate) at: TopicPartition,
    /// File of its rows.
    pub(crate) file: String,
    /// How many.
    pub(crate) rows: u64,
}

/// What a partition holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Which.
    pub(crate) at: TopicPartition,
    /// Lowest offset that is still there.
    pub(crate) begin: Offset,
    /// Offset of the next record.
    pub(crate) end: Offset,
}

/// Why the log could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// Another process has the folder open.
    #[error("another process has the log `{folder}` open; stop it first, or use another `pipeline.data_dir`")]
    InUse {
        /// Folder of the log.
        folder: String,
    },
    /// Making it failed.
    #[error("cannot make the log `{folder}`")]
    Create {
        /// Folder of the log.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// Opening failed.
    #[error("cannot open the log `{folder}`")]
    Open {
        /// Folder of the log.
        folder: String,
        /// Why.
        source: fjall::Error,
    },
    /// An append failed; what is in memory must be dropped and read again.
    #[error("cannot append to the log `{folder}` (is the disk full?)")]
    Append {
        /// Folder of the log.
        folder: String,
        /// Why.
        source: fjall::Error,
    },
    /// Reading failed.
    #[error("cannot read the log `{folder}`")]
    Read {
        /// Folder of the log.
        folder: String,
        /// Why.
        source: fjall::Error,
    },
    /// Something in the log is not what this program writes.
    #[error("the log `{folder}` holds {what} that cannot be understood; it may be damaged or of a newer version")]
    Damaged {
        /// Folder of the log.
        folder: String,
        /// What.
        what: &'static str,
    },
    /// A reader asked for an offset that is gone or not there yet.
    #[error(
        "partition {at} of the log has offsets {begin} to {end}, but {asked} was asked for: the archive and the log are not \
         of one life (was `data_dir` or the archive deleted or restored?); `millstream reset` starts over"
    )]
    OutOfRange {
        /// Which partition.
        at: TopicPartition,
        /// Offset that was asked for.
        asked: Offset,
        /// Lowest there.
        begin: Offset,
        /// Next there.
        end: Offset,
    },
    /// The blocking task of an operation ended by a panic.
    #[error("an operation on the log ended by a panic")]
    Panicked(#[source] tokio::task::JoinError),
}

/// The contract of every log.
#[async_trait]
pub(crate) trait Log: Send + Sync + std::fmt::Debug {
    /// Appends all of it or nothing. When it returns `Ok`, all of it is on disk. Gives the offsets behind the last record
    /// of each partition that got one. Not cancel safe: wait for it.
    async fn append(&self, append: Append) -> Result<Offsets, LogError>;

    /// What the publisher must know to go on, and the records at or above `archived`.
    async fn recover(&self, archived: &Offsets) -> Result<Recovered, LogError>;

    /// Records at or above `from`, at most about `max_bytes` of them and at least one, in offset order within each partition.
    /// Waits until there is one. Cancel safe.
    async fn read(&self, from: &Offsets, max_bytes: u64) -> Result<Vec<Record>, LogError>;

    /// Stream id and bounds of every partition.
    fn bounds(&self) -> (StreamId, Vec<Bounds>);
}
