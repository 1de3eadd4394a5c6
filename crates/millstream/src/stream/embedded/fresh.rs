//! Batches that were just made durable, kept for the receiver of this process: it need not decode what was at hand a moment ago.
//!
//! Only what an append has made durable comes in, and nothing depends on it: what is not here is read from the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_core::ids::{Offset, TopicPartition};
use tokio::sync::Notify;

use crate::stream::Record;

/// The batches.
#[derive(Debug)]
pub(super) struct Fresh {
    limit_bytes: u64,
    held: Mutex<Held>,
    room: Notify,
}

#[derive(Debug, Default)]
struct Held {
    /// Somebody reads: otherwise nothing is kept.
    is_read: bool,
    bytes: u64,
    partitions: BTreeMap<TopicPartition, VecDeque<(Record, u64)>>,
}

impl Fresh {
    /// Keeps at most about `limit_bytes`.
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, held: Mutex::default(), room: Notify::new() }
    }

    /// Takes in records that are durable, each with the memory of its rows. Those past the limit are left out.
    pub(super) fn put(&self, records: impl IntoIterator<Item = (Record, u64)>) {
        let mut held = self.lock();
        for (record, bytes) in records {
            if !held.is_read || held.bytes >= self.limit_bytes {
                return;
            }
            held.bytes += bytes;
            held.partitions.entry(record.at).or_default().push_back((record, bytes));
        }
    }

    /// The records of a partition from `from` on, without a hole, at least one if it is here and about `max_bytes` of memory.
    /// Lets those below go.
    pub(super) fn read(&self, at: TopicPartition, from: Offset, max_bytes: u64) -> Vec<Record> {
        let mut held = self.lock();
        held.is_read = true;
        let Held { bytes: all, partitions, .. } = &mut *held;
        let Some(records) = partitions.get_mut(&at) else { return Vec::new() };
        while let Some((_, bytes)) = records.pop_front_if(|(record, _)| record.offset < from) {
            *all = all.saturating_sub(bytes);
        }
        let (mut next, mut taken) = (from, 0);
        let mut found = Vec::new();
        for (record, bytes) in &*records {
            if record.offset != next || taken >= max_bytes {
                break;
            }
            next = record.end();
            taken += bytes;
            found.push(record.clone());
        }
        if *all < self.limit_bytes {
            self.room.notify_waiters();
        }
        found
    }

    /// Waits until there is room. Cancel safe.
    pub(super) async fn has_room(&self) {
        loop {
            let told = self.room.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.lock().bytes < self.limit_bytes {
                return;
            }
            told.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // What is here is only ever a copy of what is durable.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use millstream_core::ids::{StreamId, Topic};
    use millstream_core::record::{RECORD_FORMAT, RecordHeader};

    use super::*;
    use crate::stream::Value;

    const AT: TopicPartition = TopicPartition { topic: Topic::Rows, partition: 0 };

    fn record(offset: u64) -> (Record, u64) {
        let column: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![1]));
        let header = RecordHeader {
            format: RECORD_FORMAT,
            stream: StreamId(uuid::Uuid::nil()),
            publisher: 0,
            seq: offset,
            file: String::new(),
            first_row: 0,
            end_row: 1,
            rows: 1,
            found_at_micros: 0,
            event_time_micros: None,
            rules_hash: String::new(),
            schema: None,
            resolves: false,
        };
        let value = Value::Batch(RecordBatch::try_from_iter([("n", column)]).unwrap());
        (Record { at: AT, offset: Offset(offset), timestamp_micros: 0, header, value }, 10)
    }

    fn offsets(fresh: &Fresh, from: u64, max_bytes: u64) -> Vec<u64> {
        fresh.read(AT, Offset(from), max_bytes).iter().map(|record| record.offset.0).collect()
    }

    #[test]
    fn what_is_read_has_no_hole_and_what_is_past_the_limit_is_left_to_the_log() {
        let fresh = Fresh::new(40);
        fresh.put([record(0)]);
        assert_eq!(offsets(&fresh, 0, 100), [0; 0], "nothing is kept before somebody reads");
        fresh.put([record(1), record(2), record(4), record(5), record(6)]);
        assert_eq!(offsets(&fresh, 0, 100), [0; 0], "the record at 0 is only in the log");
        assert_eq!(offsets(&fresh, 1, 100), [1, 2]);
        assert_eq!(offsets(&fresh, 1, 10), [1]);
        assert_eq!(offsets(&fresh, 1, 100), [1, 2], "a read that was given up can be asked for again");
        assert_eq!(offsets(&fresh, 4, 100), [4, 5]);
        assert_eq!(offsets(&fresh, 6, 100), [0; 0], "it was past the limit");
        assert_eq!(fresh.lock().bytes, 0);
    }
}
