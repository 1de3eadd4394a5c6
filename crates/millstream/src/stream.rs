//! The log between publisher and receiver: one contract, [`Log`], with two implementations: the embedded log and Apache Kafka.
//!
//! Whatever a publisher wants to be true at once goes in one [`Append`]: records for several partitions, the progress of
//! their files and the changes of the dedup state. All of it is durable when the append returns, or none of it ever is.

pub(crate) mod embedded;
pub(crate) mod kafka;
pub(crate) mod publish;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use millstream_core::dedup::{Changes, KeptKeys};
use millstream_core::ids::{Offset, StreamId, TopicPartition};
use millstream_core::progress::{FileProgress, Offsets, PublisherProgress, StartedRules};
use millstream_core::record::{self, RecordError, RecordHeader};
use tokio::sync::mpsc;

use crate::table::Seqs;

/// Which of several publishers of a stream this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublisherId {
    /// Its number, from 0.
    pub(crate) index: u32,
    /// How many there are.
    pub(crate) count: u32,
}

impl PublisherId {
    /// The only publisher of a stream.
    pub(crate) const ONLY: Self = Self { index: 0, count: 1 };
}

/// What a process wants of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To publish, and all else.
    Publish(PublisherId),
    /// To publish as the only one, if there are not several.
    PublishAlone,
    /// To receive.
    Receive,
    /// Only to look: nothing is made or changed.
    Look,
}

impl Access {
    /// Which publisher it is for.
    pub(crate) fn publisher(self) -> Option<PublisherId> {
        match self {
            Self::Publish(id) => Some(id),
            Self::PublishAlone => Some(PublisherId::ONLY),
            Self::Receive | Self::Look => None,
        }
    }
}

/// A record to append.
#[derive(Debug, Clone)]
pub(crate) struct NewRecord {
    /// Where it goes.
    pub(crate) at: TopicPartition,
    /// Its facts.
    pub(crate) header: RecordHeader,
    /// What it is keyed by, for other consumers.
    pub(crate) key: Option<Vec<u8>>,
    /// Its value.
    pub(crate) value: Bytes,
    /// The rows of the value, where they are at hand: a log in this process may hand them to the receiver once they are durable.
    pub(crate) batch: Option<RecordBatch>,
}

/// A record of the log, or consecutive records of one row each.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Where it is.
    pub(crate) at: TopicPartition,
    /// Its offset there.
    pub(crate) offset: Offset,
    /// When it was appended, microseconds since 1970; never goes back within a stream.
    pub(crate) timestamp_micros: i64,
    /// Its facts; of several records: the seq of the first, and the rows and times of all.
    pub(crate) header: RecordHeader,
    /// Its value.
    pub(crate) value: Value,
}

/// What a record carries.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A batch as an Arrow stream.
    Arrow(Bytes),
    /// The batch that the record was made of.
    Batch(RecordBatch),
    /// One row of each of several records.
    Rows {
        /// The rows.
        batch: RecordBatch,
        /// Offset of each.
        offsets: Arc<[u64]>,
        /// Behind the last record, which need not have given a row.
        end: Offset,
        /// Of a topic that another program writes: every record, also those that gave no row here.
        tally: Tally,
    },
}

/// Records of a topic that another program writes, so that each of them is counted once, also where they are archived in parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Offset of every record, in order.
    pub(crate) all: Arc<[u64]>,
    /// Offset of each that the filter left out, in order.
    pub(crate) filtered: Arc<[u64]>,
}

impl Tally {
    /// What lies below an offset and what does not.
    pub(crate) fn cut(&self, at: Offset) -> (Self, Self) {
        let parts = |offsets: &Arc<[u64]>| {
            let below = offsets.partition_point(|&offset| offset < at.0);
            (Arc::from(&offsets[..below]), Arc::from(&offsets[below..]))
        };
        let (all, filtered) = (parts(&self.all), parts(&self.filtered));
        (Self { all: all.0, filtered: filtered.0 }, Self { all: all.1, filtered: filtered.1 })
    }
}

/// Publisher of records of a topic that another program writes: they have no seqs.
pub(crate) const FOREIGN: u32 = u32::MAX;

impl Record {
    /// How many records of the log it is.
    pub(crate) fn records(&self) -> u64 {
        match &self.value {
            Value::Arrow(_) | Value::Batch(_) => 1,
            Value::Rows { offsets, .. } => offsets.len() as u64,
        }
    }

    /// The offset behind it.
    pub(crate) fn end(&self) -> Offset {
        match &self.value {
            Value::Arrow(_) | Value::Batch(_) => self.offset.next(),
            Value::Rows { end, .. } => *end,
        }
    }

    /// Its rows.
    pub(crate) fn batch(&self) -> Result<RecordBatch, RecordError> {
        match &self.value {
            Value::Arrow(bytes) => record::decode(bytes),
            Value::Batch(batch) | Value::Rows { batch, .. } => Ok(batch.clone()),
        }
    }

    /// Without its first `count` records.
    pub(crate) fn skip(mut self, count: u64) -> Self {
        if let Value::Rows { batch, offsets, end, tally } = &self.value {
            let (end, tally) = (*end, tally.clone());
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(offsets.len());
            let (batch, offsets) = (batch.slice(count, offsets.len() - count), Arc::<[u64]>::from(&offsets[count..]));
            self.header.seq += count as u64;
            self.header.rows -= count as u64;
            self.offset = Offset(offsets.first().copied().unwrap_or(self.offset.0));
            self.value = Value::Rows { batch, offsets, end, tally };
        }
        self
    }
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
    /// Numbers that files had before they got the ones in `files`.
    pub(crate) given_up: Vec<u64>,
    /// What dedup learned and forgot.
    pub(crate) dedup: Changes,
    /// Schemas by name that records refer to and that the log may not have yet.
    pub(crate) schemas: BTreeMap<String, Vec<u8>>,
}

/// What becomes true with an append; told to the board once it is.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// Files whose progress changed.
    pub(crate) files: Vec<FileProgress>,
    /// Records, in order.
    pub(crate) records: Vec<AppliedRecord>,
    /// Keys in the dedup state.
    pub(crate) dedup_keys: u64,
}

/// What the board keeps of a record.
#[derive(Debug, Clone)]
pub(crate) struct AppliedRecord {
    /// Where it is.
    pub(crate) at: TopicPartition,
    /// Its seq.
    pub(crate) seq: u64,
    /// File of its rows.
    pub(crate) file: String,
    /// How many.
    pub(crate) rows: u64,
    /// Size of its value, bytes.
    pub(crate) bytes: u64,
    /// Whether its rows say what became of rejects.
    pub(crate) resolves: bool,
}

/// What a log knows of its publisher.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// The publisher's own progress.
    pub(crate) publisher: PublisherProgress,
    /// Every file that was ever accepted, by sequence.
    pub(crate) files: Vec<FileProgress>,
    /// Seq of the next record of each partition, of every publisher that the log knows.
    pub(crate) next_seqs: Seqs,
    /// Rules that files began with.
    pub(crate) rules: Vec<StartedRules>,
    /// Names of files that other publishers have.
    pub(crate) others: HashSet<String>,
}

/// A record that the archive does not hold yet.
#[derive(Debug, Clone)]
pub(crate) struct PendingRecord {
    /// Where it is.
    pub(crate) at: TopicPartition,
    /// Who published it.
    pub(crate) publisher: u32,
    /// Its seq.
    pub(crate) seq: u64,
    /// File of its rows.
    pub(crate) file: String,
    /// How many.
    pub(crate) rows: u64,
    /// Whether they say what became of rejects.
    pub(crate) resolves: bool,
}

/// When records may leave the log, once the archive holds them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    /// Age past which they leave.
    pub(crate) age: Duration,
    /// Bytes of values past which the oldest leave; the embedded log only.
    pub(crate) bytes: u64,
}

/// Facts of a log.
#[derive(Debug, Clone)]
pub(crate) struct LogState {
    /// `embedded` or `kafka`.
    pub(crate) kind: &'static str,
    /// The stream.
    pub(crate) stream: StreamId,
    /// What each partition holds, as far as this process knows.
    pub(crate) partitions: Vec<Bounds>,
    /// Bytes on disk, where the log can tell.
    pub(crate) disk_bytes: u64,
    /// What keeps it from working at the moment.
    pub(crate) trouble: Option<Trouble>,
}

/// What keeps a log from working for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// Since when, microseconds since 1970.
    pub(crate) since_micros: i64,
    /// What, in words.
    pub(crate) what: String,
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
    #[error("cannot append to the log `{folder}` (is the disk full? then make room and start again: nothing is lost)")]
    Append {
        /// Folder of the log.
        folder: String,
        /// Why.
        source: fjall::Error,
    },
    /// An append would fill the disk: nothing was written, and what is in memory must be dropped and read again.
    #[error("cannot append to the log for now")]
    Full(#[from] crate::disk::Full),
    /// Reading failed.
    #[error("cannot read the log `{folder}`")]
    Read {
        /// Folder of the log.
        folder: String,
        /// Why.
        source: fjall::Error,
    },
    /// The files with the values of large appends cannot be written or read.
    #[error("cannot use the files with values of the log `{folder}` (is the disk full?)")]
    Values {
        /// Folder of the log.
        folder: String,
        /// Why.
        source: std::io::Error,
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
    /// Stages apart need a log that several processes can reach.
    #[error(
        "the embedded log is for one process: `publish`, `receive` and `serve` need `[stream.kafka]`; `millstream run` needs nothing"
    )]
    OneProcess,
    /// Somebody else writes the topic.
    #[error("another program writes this topic (`stream.kafka.foreign`): nothing is published to it")]
    Foreign,
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] Box<kafka::KafkaLogError>),
}

impl From<kafka::KafkaLogError> for LogError {
    fn from(error: kafka::KafkaLogError) -> Self {
        Self::Kafka(Box::new(error))
    }
}

impl LogError {
    /// Whether the user can put it right before the next start.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::InUse { .. } | Self::OutOfRange { .. } | Self::OneProcess | Self::Foreign => true,
            Self::Kafka(error) => error.is_refusal(),
            Self::Create { .. }
            | Self::Open { .. }
            | Self::Append { .. }
            | Self::Full(_)
            | Self::Read { .. }
            | Self::Values { .. }
            | Self::Damaged { .. }
            | Self::Panicked(_) => false,
        }
    }

    /// Whether the publisher can go on by reading its progress again.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Kafka(error) => error.is_passing(),
            Self::InUse { .. }
            | Self::Create { .. }
            | Self::Open { .. }
            | Self::Append { .. }
            | Self::Read { .. }
            | Self::Values { .. }
            | Self::Damaged { .. }
            | Self::OutOfRange { .. }
            | Self::OneProcess
            | Self::Foreign
            | Self::Panicked(_) => false,
        }
    }
}

/// The contract of every log.
#[async_trait]
pub(crate) trait Log: Send + Sync + std::fmt::Debug {
    /// Appends all of it or nothing. When it returns `Ok`, all of it is on disk. Gives the offsets behind the last record
    /// of each partition that got one. Not cancel safe: wait for it.
    async fn append(&self, append: Append) -> Result<Offsets, LogError>;

    /// What the publisher must know to go on. From here on no other process can append in its place; before, nobody was
    /// disturbed.
    async fn recover(&self) -> Result<Recovered, LogError>;

    /// Sends what dedup kept, for one who has recovered and has appended nothing since. Ends early when nobody takes it.
    async fn kept_keys(&self, to: mpsc::Sender<KeptKeys>) -> Result<(), LogError>;

    /// The records at or above `archived`.
    async fn pending(&self, archived: &Offsets) -> Result<Vec<PendingRecord>, LogError>;

    /// Records at or above `from`, at most about `max_bytes` of them and at least one, in offset order within each partition.
    /// Waits until there is one. Cancel safe.
    async fn read(&self, from: &Offsets, max_bytes: u64) -> Result<Vec<Record>, LogError>;

    /// Lets records go that the archive holds and that are past `retention`. Never goes past `archived`. Gives the number of
    /// records that left, as far as it is known.
    async fn trim(&self, archived: Offsets, retention: Retention) -> Result<u64, LogError>;

    /// Takes a place in the group of those who share the partitions; a log of one process has none.
    fn join(&self) -> Result<Arc<kafka::Membership>, LogError>;

    /// How far somebody archived the stream, by a note that may be missing, old or behind; a log of one process has none.
    async fn noted(&self) -> Result<Offsets, LogError>;

    /// What each partition holds, asked anew. Never less than what any reader has seen before.
    async fn bounds(&self) -> Result<Vec<Bounds>, LogError>;

    /// Its facts.
    fn state(&self) -> LogState;
}
