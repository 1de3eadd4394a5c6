//! Receiving: reads the log from where the archive ends and puts each record in the real-time table, where queries see it at
//! once. The archiver takes it from there.

use std::sync::Arc;

use arrow::error::ArrowError;
use millstream_core::ids::{Offset, StreamId, TopicPartition};
use millstream_core::progress::Offsets;
use millstream_core::record::{self, RECORD_FORMAT, RecordError};
use tokio::sync::watch;

use crate::board::Board;
use crate::failpoint;
use crate::stop::{Phase, StopToken};
use crate::stream::{Log, LogError, Record};
use crate::table::segment::Segment;
use crate::table::{LiveTable, Seqs};

/// Bytes of records that are asked for at once.
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// Why receiving ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record cannot be decoded.
    #[error("record {offset} of partition {at} cannot be read")]
    Record {
        /// Its partition.
        at: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// Why.
        source: RecordError,
    },
    /// The rows of a record cannot be taken in.
    #[error("the rows of record {offset} of partition {at} cannot be taken in")]
    Rows {
        /// Its partition.
        at: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// Why.
        source: ArrowError,
    },
    /// A record is of another stream or a newer format.
    #[error("record {offset} of partition {at} is {what}; this program cannot receive it")]
    Foreign {
        /// Its partition.
        at: TopicPartition,
        /// Its offset.
        offset: Offset,
        /// What it is.
        what: String,
    },
    /// Records are missing.
    #[error(
        "partition {at} misses records: seq {expected} of publisher {publisher} was due at offset {offset}, and {found} came. \
         Rows are lost from the log; `millstream verify` names them"
    )]
    Gap {
        /// Partition.
        at: TopicPartition,
        /// Offset of the record.
        offset: Offset,
        /// Its publisher.
        publisher: u32,
        /// Seq that was due.
        expected: u64,
        /// Seq that came.
        found: u64,
    },
}

/// The receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    /// The log.
    pub(crate) log: Arc<dyn Log>,
    /// Where rows go.
    pub(crate) live: Arc<LiveTable>,
    /// Where numbers go.
    pub(crate) board: Arc<Board>,
    /// Stream that is received.
    pub(crate) stream: StreamId,
}

impl Receiver {
    /// Receives from `from` on, and from the seqs that are due, until the publisher is done and everything is received, or `stop` says abort. Tells
    /// `received` when everything is.
    pub(crate) async fn run(
        self,
        from: Offsets,
        mut seqs: Seqs,
        mut published: watch::Receiver<bool>,
        received: watch::Sender<bool>,
        mut stop: StopToken,
    ) -> Result<(), ReceiveError> {
        let mut next = from;
        loop {
            // Read before the ends are compared: what is published later than that is not missed.
            let done = *published.borrow_and_update();
            if done && self.at_end(&next) {
                received.send_replace(true);
                return Ok(());
            }
            let records = tokio::select! {
                () = stop.reached(Phase::Abort) => return Ok(()),
                // An error means that the publisher is gone, which the supervisor knows.
                _ = published.changed(), if !done => continue,
                records = self.log.read(&next, READ_BYTES) => records?,
            };
            for record in records {
                next.insert(record.at, record.offset.next());
                self.take(&record, &mut seqs)?;
                if !self.room(&mut stop).await {
                    return Ok(());
                }
            }
        }
    }

    fn at_end(&self, next: &Offsets) -> bool {
        let (_, bounds) = self.log.bounds();
        bounds.iter().all(|bounds| next.get(&bounds.at).copied().unwrap_or_default() >= bounds.end)
    }

    /// Puts a record in the table, if it is the one that was due.
    fn take(&self, record: &Record, seqs: &mut Seqs) -> Result<(), ReceiveError> {
        let Record { at, offset, timestamp_micros, header, value } = record;
        let (at, offset) = (*at, *offset);
        if header.format != RECORD_FORMAT || header.stream != self.stream {
            let what = format!("of format {} and stream {}", header.format, header.stream);
            return Err(ReceiveError::Foreign { at, offset, what });
        }
        let expected = seqs.entry((at, header.publisher)).or_default();
        if header.seq < *expected {
            self.board.repeat();
            return Ok(());
        }
        if header.seq > *expected {
            self.board.gap();
            let (expected, found) = (*expected, header.seq);
            return Err(ReceiveError::Gap { at, offset, publisher: header.publisher, expected, found });
        }
        *expected += 1;
        let rows = record::decode(value).map_err(|source| ReceiveError::Record { at, offset, source })?;
        let segment = Segment::of_record(at, offset, *timestamp_micros, header, &rows)
            .map_err(|source| ReceiveError::Rows { at, offset, source })?;
        failpoint::hit("receive.before_insert");
        if self.live.insert(segment) {
            self.board.received(at, offset, *timestamp_micros, header);
        } else {
            self.board.repeat();
        }
        Ok(())
    }

    /// Waits until the table has room. `false` when it was told to abort meanwhile.
    async fn room(&self, stop: &mut StopToken) -> bool {
        let mut changed = self.live.changed();
        loop {
            if self.live.bytes_not_archived() < self.live.limits().bytes / 2 {
                return true;
            }
            tokio::select! {
                () = stop.reached(Phase::Abort) => return false,
                _ = changed.changed() => {}
            }
        }
    }
}
