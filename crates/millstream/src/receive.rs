//! Receiving: reads the log from where the archive ends and puts each record in the real-time table, where queries see it at
//! once. The archiver takes it from there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::error::ArrowError;
use millstream_core::ids::{Offset, StreamId, Topic, TopicPartition};
use millstream_core::progress::Offsets;
use millstream_core::record::{RECORD_FORMAT, RecordError, RecordHeader};
use tokio::sync::watch;

mod member;

pub(crate) use self::member::Member;
use crate::archive::ArchiveError;
use crate::board::Board;
use crate::board::gauges::Step;
use crate::clock::now_micros;
use crate::failpoint;
use crate::stop::{Phase, StopToken};
use crate::stream::{FOREIGN, Log, LogError, Record};
use crate::table::segment::Segment;
use crate::table::{LiveTable, Seqs};

/// Bytes of records that are asked for at once.
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// Pause between two looks whether others archived what seems to be missing.
const GAP_PAUSE: Duration = Duration::from_millis(100);

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
    /// The archive cannot tell where to go on.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
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
    /// How long a record may seem to be missing: other processes archive what is between, and then trim the log.
    pub(crate) patience: Duration,
    /// When it ends without having received everything.
    pub(crate) ends_at: Phase,
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
            self.skip_archived(&mut next, &mut seqs);
            if done && self.at_end(&next) {
                received.send_replace(true);
                return Ok(());
            }
            let records = tokio::select! {
                () = stop.reached(self.ends_at) => return Ok(()),
                // An error means that the publisher is gone, which the supervisor knows.
                _ = published.changed(), if !done => continue,
                records = self.log.read(&next, READ_BYTES) => records?,
            };
            for record in records {
                self.take(record, &mut next, &mut seqs).await?;
                if !self.room(&mut stop).await {
                    return Ok(());
                }
            }
        }
    }

    fn at_end(&self, next: &Offsets) -> bool {
        let partitions = self.log.state().partitions;
        partitions.iter().all(|bounds| next.get(&bounds.at).copied().unwrap_or_default() >= bounds.end)
    }

    /// Passes over what other processes archived meanwhile.
    fn skip_archived(&self, next: &mut Offsets, seqs: &mut Seqs) {
        let high = self.live.high();
        for (at, next) in next {
            if let Some(&high) = high.get(at).filter(|high| *high > next) {
                *next = high;
                self.live.raise_seqs(*at, seqs);
            }
        }
    }

    /// Puts a record in the table, if it is the one that was due.
    async fn take(&self, record: Record, next: &mut Offsets, seqs: &mut Seqs) -> Result<(), ReceiveError> {
        let (at, offset, end, publisher) = (record.at, record.offset, record.end(), record.header.publisher);
        let waited = now_micros().saturating_sub(record.timestamp_micros);
        self.board.gauges().took_micros(Step::Receive, waited);
        if record.header.format != RECORD_FORMAT || record.header.stream != self.stream {
            let what = format!("of format {} and stream {}", record.header.format, record.header.stream);
            return Err(ReceiveError::Foreign { at, offset, what });
        }
        if publisher == FOREIGN {
            return self.take_foreign(&record, next);
        }
        let due = |seqs: &Seqs| seqs.get(&(at, publisher)).copied().unwrap_or_default();
        let began = Instant::now();
        while record.header.seq > due(seqs) && end > next.get(&at).copied().unwrap_or_default() {
            if began.elapsed() >= self.patience {
                self.board.gap();
                let (expected, found) = (due(seqs), record.header.seq);
                return Err(ReceiveError::Gap { at, offset, publisher, expected, found });
            }
            tokio::time::sleep(GAP_PAUSE).await;
            self.skip_archived(next, seqs);
        }
        if end <= next.get(&at).copied().unwrap_or_default() {
            return Ok(());
        }
        next.insert(at, end);
        let seen = due(seqs).saturating_sub(record.header.seq);
        if seen >= record.records() {
            self.board.repeat();
            return Ok(());
        }
        let record = record.skip(seen);
        let last_seq = record.header.seq + record.records() - 1;
        seqs.insert((at, publisher), last_seq + 1);
        let rows = record.batch().map_err(|source| ReceiveError::Record { at, offset, source })?;
        let segment = Segment::of_record(&record, &rows).map_err(|source| ReceiveError::Rows { at, offset, source })?;
        failpoint::hit("receive.before_insert");
        if self.live.insert(segment) {
            let header = RecordHeader { seq: last_seq, ..record.header };
            self.board.received(at, record.timestamp_micros, &header);
        } else {
            self.board.repeat();
        }
        Ok(())
    }

    /// Puts records of another program in the table: offsets are all that tells them apart.
    fn take_foreign(&self, record: &Record, next: &mut Offsets) -> Result<(), ReceiveError> {
        let (at, offset, end) = (record.at, record.offset, record.end());
        if end <= next.get(&at).copied().unwrap_or_default() {
            return Ok(());
        }
        next.insert(at, end);
        let rows = record.batch().map_err(|source| ReceiveError::Record { at, offset, source })?;
        let segment = Segment::of_record(record, &rows).map_err(|source| ReceiveError::Rows { at, offset, source })?;
        failpoint::hit("receive.before_insert");
        if self.live.insert(segment) && at.topic == Topic::Rows {
            self.board.received(at, record.timestamp_micros, &record.header);
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
