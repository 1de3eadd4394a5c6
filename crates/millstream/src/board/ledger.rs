//! The books behind the ledger: what each file's rows came to, and which of them are still between log and archive.

use std::collections::{BTreeMap, HashMap};

use millstream_core::ids::{Topic, TopicPartition};
use millstream_core::progress::{FilePhase, FileProgress, Outcomes};
use millstream_core::record::{FILE, RESOLVED};
use millstream_core::status::{FileLedger, FileState, Ledger, LedgerCounts};

use crate::archive::ArchivedTable;
use crate::stream::{Applied, PendingRecord, Recovered};
use crate::table::{ArchiveState, TableState, Window};
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

/// Files shown in a ledger at most: those under way and the newest of the others.
const FILES: usize = 1000;

/// What is known of every file.
#[derive(Debug, Default)]
pub(super) struct Books {
    files: BTreeMap<u64, FileProgress>,
    sequences: HashMap<String, u64>,
    /// Rows in the log that the archive does not hold, by file and [`kind`]. Below zero for a moment when a window is archived
    /// before the append that brought its last rows was told of.
    pending: HashMap<u64, [i64; KINDS]>,
    rows_read: u64,
    /// What the archive's own counters say: clean rows and rejects.
    archived: [u64; 2],
    /// Archived rows and rejects that were deleted because they were past their retention.
    expired: u64,
}

/// Sums over all files.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) files_waiting: u64,
    pub(super) files_reading: u64,
    pub(super) files_done: u64,
    pub(super) files_quarantined: u64,
    pub(super) rows_total: u64,
    pub(super) outcomes: Outcomes,
}

impl Books {
    /// The books as the log has them.
    pub(super) fn new(recovered: &Recovered, pending: &[PendingRecord]) -> Self {
        let mut books = Self::default();
        for file in &recovered.files {
            books.put(file.clone());
        }
        for record in pending {
            if let Some(&sequence) = books.sequences.get(&record.file) {
                books.add_pending(sequence, kind(record.at.topic, record.resolves), signed(record.rows));
            }
        }
        books
    }

    /// What the archive's counters say at the start.
    pub(super) fn set_archived(&mut self, rows: u64, rejects: u64) {
        self.archived = [rows, rejects];
    }

    fn put(&mut self, file: FileProgress) {
        let before = self.sequences.insert(file.file.clone(), file.sequence).filter(|before| *before != file.sequence);
        if let Some(before) = before {
            // It is taken again, under another number.
            if let Some(gone) = self.files.remove(&before) {
                self.rows_read -= gone.outcomes.rows();
            }
            if let Some(pending) = self.pending.remove(&before) {
                self.pending.insert(file.sequence, pending);
            }
        }
        self.rows_read += file.outcomes.rows();
        if let Some(before) = self.files.insert(file.sequence, file) {
            self.rows_read -= before.outcomes.rows();
        }
    }

    fn add_pending(&mut self, sequence: u64, kind: usize, rows: i64) {
        let pending = self.pending.entry(sequence).or_default();
        pending[kind] += rows;
        if *pending == [0; KINDS] {
            self.pending.remove(&sequence);
        }
    }

    /// What the archive's counters say of rows that were deleted.
    pub(super) fn set_expired(&mut self, archive: &ArchiveState) {
        self.expired = expired(archive);
    }

    /// An append is durable.
    pub(super) fn applied(&mut self, applied: &Applied) {
        for file in &applied.files {
            self.put(file.clone());
        }
        for record in &applied.records {
            if let Some(&sequence) = self.sequences.get(&record.file) {
                self.add_pending(sequence, kind(record.at.topic, record.resolves), signed(record.rows));
            }
        }
    }

    /// A window is in the archive.
    pub(super) fn archived(&mut self, topic: Topic, window: &Window, rows: u64) {
        self.archived[side(topic)] = rows;
        for segment in &window.segments {
            if let Some((file, rows)) = rows_of_file(&segment.batch) {
                let Some(&sequence) = self.sequences.get(&file) else { continue };
                let resolves = segment.batch.column_by_name(RESOLVED).is_some();
                self.add_pending(sequence, kind(topic, resolves), -signed(rows));
            }
        }
    }

    /// Rows with an outcome in the log.
    pub(super) fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// What is durable of a file.
    pub(super) fn file(&self, file: &str) -> Option<FileProgress> {
        self.sequences.get(file).and_then(|sequence| self.files.get(sequence)).cloned()
    }

    /// Whether all rows of a file have an outcome.
    pub(super) fn is_finished(&self, file: &str) -> bool {
        let file = self.sequences.get(file).and_then(|sequence| self.files.get(sequence));
        file.is_some_and(|file| file.phase == FilePhase::Finished)
    }

    /// Sums over all files.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for file in self.files.values() {
            match file.phase {
                FilePhase::Accepted => totals.files_waiting += 1,
                FilePhase::Started => totals.files_reading += 1,
                FilePhase::Finished => totals.files_done += 1,
                FilePhase::Quarantined { .. } => totals.files_quarantined += 1,
            }
            totals.rows_total += file.rows.unwrap_or_default();
            totals.outcomes.add(&file.outcomes);
        }
        totals
    }

    /// The ledger.
    pub(super) fn ledger(&self, gaps: u64) -> Ledger {
        let mut total = LedgerCounts::default();
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for file in self.files.values() {
            let counts = self.counts(file);
            if !adds_up(&counts) {
                problems.push(format!("`{}` does not add up: {counts:?}", file.file));
            }
            add(&mut total, &counts);
            files.push(FileLedger {
                file: file.file.clone(),
                sequence: file.sequence,
                state: self.state(file),
                reason: match &file.phase {
                    FilePhase::Quarantined { reason } => Some(reason.clone()),
                    FilePhase::Accepted | FilePhase::Started | FilePhase::Finished => None,
                },
                size_bytes: file.size,
                counts,
            });
        }
        let rejects = total.rejected + self.of_redriven();
        for (name, expected, found) in
            [("rows", total.delivered, self.archived[0]), ("rejects", rejects, self.archived[1])]
        {
            if expected != found {
                problems
                    .push(format!("the archive's table `{name}` counts {found} rows, and {expected} should be in it"));
            }
        }
        if gaps > 0 {
            problems.push(format!("{gaps} gaps in the log"));
        }
        files.drain(..files.len().saturating_sub(FILES));
        Ledger { balanced: problems.is_empty(), problems, total, expired: self.expired, files }
    }

    /// Rows of the archive's table of rejects that are of rows which are rejected no more: each stands there as it was rejected, and
    /// once more as what became of it.
    pub(super) fn of_redriven(&self) -> u64 {
        let redriven: u64 = self.files.values().map(|file| file.outcomes.redriven).sum();
        let pending: i64 = self.pending.values().map(|[_, _, resolved]| resolved).sum();
        (2 * redriven).saturating_add_signed(-pending)
    }

    fn counts(&self, file: &FileProgress) -> LedgerCounts {
        let [rows, rejects, _] = self.pending.get(&file.sequence).copied().unwrap_or_default();
        let total = file.rows.unwrap_or_default();
        let rest = total.saturating_sub(file.next_row);
        let quarantined = matches!(file.phase, FilePhase::Quarantined { .. });
        let (unread, waiting) = if quarantined { (rest, 0) } else { (0, rest) };
        LedgerCounts {
            rows: total,
            delivered: file.outcomes.clean.saturating_add_signed(-rows),
            rejected: file.outcomes.rejected.saturating_add_signed(-rejects),
            deduplicated: file.outcomes.deduplicated,
            filtered: file.outcomes.filtered,
            unread,
            in_flight: waiting.saturating_add_signed(rows + rejects),
        }
    }

    fn state(&self, file: &FileProgress) -> FileState {
        match file.phase {
            FilePhase::Accepted => FileState::Waiting,
            FilePhase::Started => FileState::Reading,
            FilePhase::Finished if self.pending.contains_key(&file.sequence) => FileState::Published,
            FilePhase::Finished => FileState::Done,
            FilePhase::Quarantined { .. } => FileState::Quarantined,
        }
    }
}

/// What became of the records of a topic that another program writes, as its archive counts them and as far as they are here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) delivered: u64,
    pub(super) rejected: u64,
    pub(super) filtered: u64,
    /// Records below the offsets of the table of clean rows.
    pub(super) records: u64,
    /// Whether both tables end at the same offsets, so that all of this must add up.
    pub(super) is_level: bool,
    /// Records that were received here and are not archived.
    pub(super) waiting: u64,
    /// Rows and rejects that were deleted because they were past their retention.
    pub(super) expired: u64,
}

impl Received {
    /// By the newest version of each table that is known: `live` has those of this process, `surveyed` those of all.
    pub(super) fn of(live: &TableState, surveyed: &ArchiveState) -> Self {
        let rows = newest(live.archive.rows.as_deref(), surveyed.rows.as_deref());
        let rejects = newest(live.archive.rejects.as_deref(), surveyed.rejects.as_deref());
        let offset = |table: Option<&ArchivedTable>, at| {
            table.and_then(|table| table.offsets.get(&at)).copied().unwrap_or_default()
        };
        let mut partitions = [rows, rejects].into_iter().flatten().flat_map(|table| table.offsets.keys());
        Self {
            delivered: rows.map_or(0, |table| table.rows),
            rejected: rejects.map_or(0, |table| table.rows),
            filtered: rows.map_or(0, |table| table.foreign.filtered),
            records: rows.map_or(0, |table| table.foreign.records),
            is_level: partitions.all(|&at| {
                let of_rows = TopicPartition { topic: Topic::Rows, ..at };
                offset(rows, of_rows) == offset(rejects, at.rejects())
            }),
            waiting: live.size.records_not_archived,
            expired: [rows, rejects].into_iter().flatten().map(|table| table.expired).sum(),
        }
    }

    /// The ledger. The tables are committed one after the other: what only one of them holds yet is on its way.
    pub(super) fn ledger(self) -> Ledger {
        let Self { delivered, rejected, filtered, records, is_level, waiting, expired } = self;
        let counted = delivered + rejected + filtered;
        let half = if is_level { 0 } else { records.saturating_sub(counted) };
        let in_flight = waiting + half;
        let total = LedgerCounts {
            rows: counted + in_flight,
            delivered,
            rejected,
            filtered,
            in_flight,
            ..LedgerCounts::default()
        };
        let problem = (is_level && records != counted).then(|| {
            format!("{records} records of the topic are archived, and {counted} of them became rows or rejects or were filtered")
        });
        Ledger {
            balanced: problem.is_none(),
            problems: problem.into_iter().collect(),
            total,
            expired,
            files: Vec::new(),
        }
    }
}

/// The newer of two versions of a table.
pub(super) fn newest<'a>(
    one: Option<&'a ArchivedTable>,
    other: Option<&'a ArchivedTable>,
) -> Option<&'a ArchivedTable> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.version > one.version { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// Rows and rejects that were deleted because they were past their retention.
fn expired(archive: &ArchiveState) -> u64 {
    [&archive.rows, &archive.rejects].into_iter().flatten().map(|table| table.expired).sum()
}

fn signed(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// How many kinds of rows there are in the log.
const KINDS: usize = 3;

/// Clean rows, rejects, and rows that say what became of rejects.
fn kind(topic: Topic, resolves: bool) -> usize {
    if resolves { 2 } else { side(topic) }
}

fn side(topic: Topic) -> usize {
    match topic {
        Topic::Rows => 0,
        Topic::Rejects => 1,
    }
}

fn adds_up(counts: &LedgerCounts) -> bool {
    let LedgerCounts { rows, delivered, rejected, deduplicated, filtered, unread, in_flight } = *counts;
    rows == delivered + rejected + deduplicated + filtered + unread + in_flight
}

fn add(total: &mut LedgerCounts, counts: &LedgerCounts) {
    total.rows += counts.rows;
    total.delivered += counts.delivered;
    total.rejected += counts.rejected;
    total.deduplicated += counts.deduplicated;
    total.filtered += counts.filtered;
    total.unread += counts.unread;
    total.in_flight += counts.in_flight;
}

/// File and number of the rows of a segment. A record holds rows of one file; a merged segment is never in a window.
fn rows_of_file(batch: &arrow::record_batch::RecordBatch) -> Option<(String, u64)> {
    let column = batch.column_by_name(FILE)?.slice(0, batch.num_rows().min(1));
    let name = cast(&column, &DataType::Utf8).ok()?;
    let name = name.as_string_opt::<i32>()?;
    (!name.is_empty()).then(|| (name.value(0).to_owned(), batch.num_rows() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_another_program_add_up_once_both_tables_are_level() {
        let level =
            Received { delivered: 5, rejected: 2, filtered: 3, records: 10, is_level: true, waiting: 4, expired: 0 };
        let ledger = level.ledger();
        assert!(ledger.balanced && adds_up(&ledger.total), "{ledger:?}");
        assert_eq!((ledger.total.rows, ledger.total.in_flight), (14, 4));

        // The table of clean rows was committed, that of rejects is next.
        let half = Received { rejected: 0, is_level: false, ..level }.ledger();
        assert!(half.balanced && adds_up(&half.total), "{half:?}");
        assert_eq!((half.total.rows, half.total.in_flight), (14, 6));

        let lost = Received { filtered: 2, ..level }.ledger();
        assert!(!lost.balanced && lost.problems[0].contains("10 records"), "{lost:?}");
    }
}
