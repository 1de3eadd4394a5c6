//! The books over several processes, put on the board by a survey.

use std::collections::BTreeMap;

use millstream_core::ids::{Offset, Topic, TopicPartition};

use super::{Board, books};
use crate::stream::{Bounds, PendingRecord, Recovered};
use crate::table::ArchiveState;

/// What a survey of all processes found.
#[derive(Debug, Default)]
pub(super) struct Surveyed {
    /// Whether there is one.
    pub(super) is_there: bool,
    /// Rows that are published and not received here.
    pub(super) lag_rows: u64,
    /// The archive, as far as all processes brought it.
    pub(super) archive: ArchiveState,
    /// Ends of the partitions.
    pub(super) ends: BTreeMap<TopicPartition, Offset>,
}

impl Board {
    /// A survey of the books begins: what is appended from here on comes on top of it.
    pub(crate) fn survey_begins(&self) {
        self.lock().surveying = Some(Vec::new());
    }

    /// The books over all processes, as log and archive had them since the survey began.
    pub(crate) fn survey_ends(
        &self,
        recovered: &Recovered,
        pending: &[PendingRecord],
        archive: &ArchiveState,
        bounds: &[Bounds],
    ) {
        let publisher = self.parts.get().map_or(0, |parts| parts.publisher);
        self.update(|inner| {
            let mut books = books(recovered, pending, archive);
            for mut applied in inner.surveying.take().unwrap_or_default() {
                let known = |at| recovered.next_seqs.get(&(at, publisher)).copied().unwrap_or_default();
                applied.records.retain(|record| record.seq >= known(record.at));
                applied.files.retain(|file| {
                    recovered.files.iter().all(|known| known.file != file.file || known.next_row <= file.next_row)
                });
                books.applied(&applied);
            }
            let received = |record: &&PendingRecord| {
                let next = inner.received_seqs.get(&(record.at, record.publisher));
                record.at.topic == Topic::Rows && next.is_none_or(|&next| record.seq >= next)
            };
            inner.surveyed = Surveyed {
                is_there: true,
                lag_rows: pending.iter().filter(received).map(|record| record.rows).sum(),
                archive: archive.clone(),
                ends: bounds.iter().map(|bounds| (bounds.at, bounds.end)).collect(),
            };
            inner.books = books;
            inner.read.add(inner.books.rows_read());
        });
    }

    /// The archive of a topic that another program writes, as far as all processes brought it, and the ends of the topic.
    pub(crate) fn survey_received(&self, archive: &ArchiveState, bounds: &[Bounds]) {
        let high = self.parts.get().map(|parts| parts.live.high()).unwrap_or_default();
        let archived = |at: &TopicPartition| archive.rows.as_ref().and_then(|table| table.offsets.get(at).copied());
        let behind = |bounds: &Bounds| {
            let next = high.get(&bounds.at).copied().max(archived(&bounds.at)).unwrap_or_default();
            bounds.end.0.saturating_sub(next.max(bounds.begin).0)
        };
        let of_rows = bounds.iter().filter(|bounds| bounds.at.topic == Topic::Rows);
        self.update(|inner| {
            inner.surveyed = Surveyed {
                is_there: true,
                lag_rows: of_rows.map(behind).sum(),
                archive: archive.clone(),
                ends: bounds.iter().map(|bounds| (bounds.at, bounds.end)).collect(),
            };
        });
    }
}
