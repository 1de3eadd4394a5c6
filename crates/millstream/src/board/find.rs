//! Where in the log a row stands.

use std::ops::Range;

use millstream_core::ids::{Offset, TopicPartition};
use millstream_core::progress::Offsets;

use super::Board;
use crate::stream::Log;
use crate::view::row::{InLog, Traced, holds};

/// Bytes of records that are read at once.
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// Reads after which a range is all that is told.
const READS: usize = 32;

impl Board {
    /// Where the log has a row that was found: exactly, where the log is in this process and still holds the record, otherwise the
    /// range of offsets that the real-time table or the commit tells.
    pub(crate) async fn record_of(&self, traced: &Traced, file: &str, row: u64) -> Option<InLog> {
        let ranges: Vec<_> = traced.live.clone().map_or_else(|| traced.committed.clone(), |live| vec![live]);
        let in_live = traced.live.is_some();
        let told = |at: TopicPartition, range: &Range<u64>, offset| InLog {
            topic: at.topic,
            partition: at.partition,
            offset,
            first_offset: range.start,
            end_offset: range.end,
            in_live,
        };
        let parts = self.parts.get()?;
        for (at, range) in &ranges {
            if range.end - range.start == 1 && ranges.len() == 1 {
                return Some(told(*at, range, Some(range.start)));
            }
            if let Some(offset) = look(&*parts.log, *at, range, file, row).await {
                return Some(told(*at, range, Some(offset.0)));
            }
        }
        match ranges.as_slice() {
            [(at, range)] => Some(told(*at, range, None)),
            _ => None,
        }
    }
}

/// Reads the records of a range until one holds the row. A log of other processes is not read: its reader is the receiver's.
async fn look(log: &dyn Log, at: TopicPartition, range: &Range<u64>, file: &str, row: u64) -> Option<Offset> {
    let state = log.state();
    let bounds = state.partitions.iter().find(|bounds| bounds.at == at).filter(|_| state.kind == "embedded")?;
    let end = range.end.min(bounds.end.0);
    let mut next = range.start.max(bounds.begin.0);
    for _ in 0..READS {
        // At the end a read would wait for what comes next.
        if next >= end {
            return None;
        }
        let records = log.read(&Offsets::from([(at, Offset(next))]), READ_BYTES).await.ok()?;
        for record in records.iter().filter(|record| record.offset.0 < end) {
            let may = record.header.file == file && (record.header.first_row..record.header.end_row).contains(&row);
            if may && record.batch().is_ok_and(|batch| holds(&batch, file, row)) {
                return Some(record.offset);
            }
        }
        next = records.last()?.end().0;
    }
    None
}
