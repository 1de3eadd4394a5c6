//! The real-time table: recent rows in memory, as columnar segments, beside the state of the archive.
//!
//! One lock guards both, so that a query takes them as one: the segments, the version of the archive and the offsets that
//! version holds. Readers clone `Arc`s and never hold the lock while they work. A row leaves only after the archive holds it.

pub(crate) mod segment;

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::ids::{Offset, Topic, TopicPartition};
use millstream_core::progress::Offsets;
use tokio::sync::watch;

use self::segment::Segment;
use crate::archive::ArchivedTable;
use crate::stream::{FOREIGN, Tally};

/// What the table may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableLimits {
    /// Its share of the memory budget.
    pub(crate) bytes: u64,
    /// Age, by `ingested_at`, at which archived rows leave.
    pub(crate) retention: Duration,
    /// Rows past which the oldest archived ones leave.
    pub(crate) max_rows: Option<NonZeroU64>,
    /// Bytes past which the oldest archived ones leave.
    pub(crate) max_bytes: Option<NonZeroU64>,
}

/// The table; one for each process.
#[derive(Debug)]
pub(crate) struct LiveTable {
    inner: Mutex<Inner>,
    limits: TableLimits,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    partitions: BTreeMap<TopicPartition, Partition>,
    archive: ArchiveState,
}

#[derive(Debug, Default)]
struct Partition {
    segments: VecDeque<Arc<Segment>>,
    /// Behind the last record that was inserted.
    high: Offset,
    /// Below, the archive holds everything.
    archived: Offset,
}

/// The two tables of the archive, as queries see them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArchiveState {
    /// Clean rows; none before the first commit.
    pub(crate) rows: Option<Arc<ArchivedTable>>,
    /// Rejects; none before the first commit.
    pub(crate) rejects: Option<Arc<ArchivedTable>>,
}

/// What a query works on: taken at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Every segment of both topics, oldest first within a partition.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The archive.
    pub(crate) archive: ArchiveState,
    /// Below these offsets rows come from the archive.
    pub(crate) archived: Offsets,
}

/// Numbers for the board.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TableSize {
    /// Rows of clean rows.
    pub(crate) rows: u64,
    /// Bytes of both topics.
    pub(crate) bytes: u64,
    /// Segments of both topics.
    pub(crate) segments: u64,
    /// Clean rows that the archive does not hold.
    pub(crate) rows_not_archived: u64,
    /// Records of a topic that another program writes that the archive does not hold, whatever became of them.
    pub(crate) records_not_archived: u64,
    /// Bytes of both topics that the archive does not hold.
    pub(crate) bytes_not_archived: u64,
    /// `ingested_at` of the oldest row.
    pub(crate) oldest_micros: Option<i64>,
}

/// What the table holds of one partition.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PartitionSize {
    /// Segments.
    pub(crate) segments: u64,
    /// Rows.
    pub(crate) rows: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Rows that the archive does not hold.
    pub(crate) rows_not_archived: u64,
}

/// Size, limit and archive, taken at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableState {
    /// What it holds of each partition.
    pub(crate) partitions: Vec<(TopicPartition, PartitionSize)>,
    /// What the table holds.
    pub(crate) size: TableSize,
    /// What it may hold, bytes.
    pub(crate) limit_bytes: u64,
    /// The archive.
    pub(crate) archive: ArchiveState,
}

impl LiveTable {
    /// An empty table beside an archive that holds everything below `archived`.
    pub(crate) fn new(limits: TableLimits, archive: ArchiveState, archived: &Offsets) -> Self {
        let partition = |&offset| Partition { high: offset, archived: offset, ..Partition::default() };
        let partitions = archived.iter().map(|(&at, offset)| (at, partition(offset))).collect();
        Self { inner: Mutex::new(Inner { partitions, archive }), limits, changed: watch::Sender::new(0) }
    }

    /// What the table may hold.
    pub(crate) fn limits(&self) -> TableLimits {
        self.limits
    }

    /// Ticks when rows come in or are archived.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes in the rows of a record. A record below the partition's high offset, or of a partition that is not ours, is left out,
    /// and `false` comes back.
    pub(crate) fn insert(&self, segment: Segment) -> bool {
        let mut inner = self.lock();
        let Some(partition) = inner.partitions.get_mut(&segment.at) else { return false };
        if segment.end <= partition.high {
            return false;
        }
        let segment = match segment.cut(partition.high) {
            Some((_, above)) => above,
            None if segment.first < partition.high => return false,
            None => segment,
        };
        partition.high = segment.end;
        partition.segments.push_back(Arc::new(segment));
        drop(inner);
        self.changed.send_modify(|count| *count += 1);
        true
    }

    /// Takes in a partition that is received from now on, from where the archive ends.
    pub(crate) fn own(&self, at: TopicPartition, archived: Offset) {
        self.lock().partitions.insert(at, Partition { high: archived, archived, ..Partition::default() });
        self.changed.send_modify(|count| *count += 1);
    }

    /// Raises the seqs that are due in a partition to those behind what the archive holds.
    pub(crate) fn raise_seqs(&self, at: TopicPartition, seqs: &mut Seqs) {
        let inner = self.lock();
        for table in [&inner.archive.rows, &inner.archive.rejects].into_iter().flatten() {
            for (&key, &due) in table.seqs.iter().filter(|((of, _), _)| *of == at) {
                let seq = seqs.entry(key).or_default();
                *seq = due.max(*seq);
            }
        }
    }

    /// Lets go of a partition that another process receives from now on, with all of its rows: what the archive does not hold,
    /// that process reads again.
    pub(crate) fn disown(&self, at: TopicPartition) {
        self.lock().partitions.remove(&at);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Where a query works.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot {
            segments: inner.partitions.values().flat_map(|partition| partition.segments.iter().cloned()).collect(),
            archive: inner.archive.clone(),
            archived: inner.partitions.iter().map(|(&at, partition)| (at, partition.archived)).collect(),
        }
    }

    /// The newest segments of clean rows that together hold at least `rows` rows, newest first.
    pub(crate) fn newest(&self, rows: usize) -> Vec<Arc<Segment>> {
        let inner = self.lock();
        let mut newest: Vec<Arc<Segment>> = Vec::new();
        for (at, partition) in &inner.partitions {
            let mut taken = 0;
            for segment in partition.segments.iter().rev().take_while(|_| at.topic == Topic::Rows) {
                if taken >= rows {
                    break;
                }
                taken += segment.batch.num_rows();
                newest.push(Arc::clone(segment));
            }
        }
        newest.sort_by_key(|segment| std::cmp::Reverse((segment.ingested_at_micros.1, segment.end)));
        newest
    }

    /// Segments of clean rows with rows that came in since, oldest first within a partition.
    pub(crate) fn since(&self, micros: i64) -> Vec<Arc<Segment>> {
        let inner = self.lock();
        let rows = inner.partitions.iter().filter(|(at, _)| at.topic == Topic::Rows);
        let segments = rows.flat_map(|(_, partition)| partition.segments.iter());
        segments.filter(|segment| segment.ingested_at_micros.1 >= micros).cloned().collect()
    }

    /// Segments of a topic that the archive does not hold, with the offsets where they begin and end.
    pub(crate) fn window(&self, topic: Topic) -> Window {
        let inner = self.lock();
        let mut window = Window::default();
        for (&at, partition) in inner.partitions.iter().filter(|(at, _)| at.topic == topic) {
            window.start.insert(at, partition.archived);
            window.end.insert(at, partition.high);
            let open = partition.segments.iter().filter(|segment| segment.first >= partition.archived);
            window.segments.extend(open.cloned());
        }
        window
    }

    /// Swaps in a new version of the archive with the offsets that it holds.
    pub(crate) fn archived(&self, topic: Topic, table: Arc<ArchivedTable>) {
        let mut inner = self.lock();
        for (at, &offset) in &table.offsets {
            // Partitions that are not ours are not looked at.
            let Some(partition) = inner.partitions.get_mut(at) else { continue };
            // The archive never goes back.
            partition.archived = partition.archived.max(offset);
            partition.high = partition.high.max(offset);
            partition.cut();
        }
        let known = match topic {
            Topic::Rows => &mut inner.archive.rows,
            Topic::Rejects => &mut inner.archive.rejects,
        };
        // Archiver and upkeep commit both: the one that tells of its version later need not have the newer one.
        if known.as_ref().is_none_or(|known| known.version <= table.version) {
            *known = Some(table);
        }
        drop(inner);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Lets archived rows go that are too old or too many, and merges small archived segments into large ones.
    pub(crate) fn tidy(&self, now_micros: i64) {
        self.evict(now_micros);
        self.merge();
    }

    fn evict(&self, now_micros: i64) {
        let age = i64::try_from(self.limits.retention.as_micros()).unwrap_or(i64::MAX);
        let oldest = now_micros.saturating_sub(age);
        let mut inner = self.lock();
        let size = inner.size();
        // The other half of the share is for rows that the archive does not hold yet.
        let most_bytes = self.limits.max_bytes.map_or(u64::MAX, NonZeroU64::get).min(self.limits.bytes / 2);
        let mut excess_bytes = size.bytes.saturating_sub(most_bytes);
        let mut excess_rows = self.limits.max_rows.map_or(0, |rows| size.rows.saturating_sub(rows.get()));
        loop {
            let candidates = inner.partitions.iter().filter_map(|(&at, partition)| {
                let front = partition.segments.front()?;
                (front.end <= partition.archived).then_some((front.ingested_at_micros.1, at))
            });
            let Some((newest, at)) = candidates.min() else { return };
            if newest >= oldest && excess_bytes == 0 && excess_rows == 0 {
                return;
            }
            let front = inner.partitions.get_mut(&at).and_then(|partition| partition.segments.pop_front());
            let Some(front) = front else { return };
            excess_bytes = excess_bytes.saturating_sub(front.bytes);
            if at.topic == Topic::Rows {
                excess_rows = excess_rows.saturating_sub(front.batch.num_rows() as u64);
            }
        }
    }

    /// Only the archiver tidies: the segments that are merged outside of the lock cannot leave meanwhile.
    fn merge(&self) {
        let runs: Vec<Vec<Arc<Segment>>> = self.lock().partitions.values().flat_map(Partition::small_runs).collect();
        for run in runs {
            let Some(merged) = Segment::merge(&run) else { continue };
            let mut inner = self.lock();
            let Some(partition) = inner.partitions.get_mut(&merged.at) else { continue };
            let found = partition.segments.iter().position(|segment| Arc::ptr_eq(segment, &run[0]));
            if let Some(position) = found {
                partition.segments.drain(position..position + run.len());
                partition.segments.insert(position, Arc::new(merged));
            }
        }
    }

    /// Numbers for the board.
    pub(crate) fn size(&self) -> TableSize {
        self.lock().size()
    }

    /// Bytes of both topics that the archive does not hold.
    pub(crate) fn bytes_not_archived(&self) -> u64 {
        let inner = self.lock();
        let open = |partition: &Partition| -> u64 {
            let newest = partition.segments.iter().rev();
            newest.take_while(|segment| segment.first >= partition.archived).map(|segment| segment.bytes).sum()
        };
        inner.partitions.values().map(open).sum()
    }

    /// Size, limit and archive together, for the board.
    pub(crate) fn snapshot_of_state(&self) -> TableState {
        let inner = self.lock();
        let partitions = inner.partitions.iter().map(|(&at, partition)| (at, partition.size())).collect();
        TableState { partitions, size: inner.size(), limit_bytes: self.limits.bytes, archive: inner.archive.clone() }
    }

    /// Highest offset of each partition.
    pub(crate) fn high(&self) -> Offsets {
        self.lock().partitions.iter().map(|(&at, partition)| (at, partition.high)).collect()
    }

    /// Offsets below which the archive holds everything.
    pub(crate) fn archived_offsets(&self) -> Offsets {
        self.lock().partitions.iter().map(|(&at, partition)| (at, partition.archived)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change under the lock is a push, a pop or a swap: what a panicking holder leaves is whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seq that is due next, for each partition and publisher.
pub(crate) type Seqs = BTreeMap<(TopicPartition, u32), u64>;

/// Rows on their way to the archive: whole records, from `start` to `end`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// Where each partition begins.
    pub(crate) start: Offsets,
    /// Where each partition ends.
    pub(crate) end: Offsets,
    /// The rows.
    pub(crate) segments: Vec<Arc<Segment>>,
}

impl Window {
    /// The seq behind the last record of each partition and publisher that has records here.
    pub(crate) fn next_seqs(&self) -> Seqs {
        let mut seqs = Seqs::new();
        for segment in self.segments.iter().filter(|segment| segment.next_seq.0 != FOREIGN) {
            let (publisher, next) = segment.next_seq;
            let seq = seqs.entry((segment.at, publisher)).or_default();
            *seq = next.max(*seq);
        }
        seqs
    }

    /// The part of it that lies below these offsets.
    pub(crate) fn below(&self, offsets: &Offsets) -> Self {
        let below = |segment: &Arc<Segment>| {
            let offset = *offsets.get(&segment.at)?;
            if segment.end <= offset { Some(Arc::clone(segment)) } else { Some(Arc::new(segment.cut(offset)?.0)) }
        };
        let segments = self.segments.iter().filter_map(below).collect();
        Self { start: self.start.clone(), end: offsets.clone(), segments }
    }

    /// As much of it as has so many bytes, and at least one segment: the rest is for another time.
    pub(crate) fn within(mut self, bytes: u64) -> Self {
        if self.bytes() <= bytes {
            return self;
        }
        let (mut end, mut taken, mut left) = (self.start.clone(), 0, bytes);
        for segment in &self.segments {
            if taken > 0 && segment.bytes > left {
                break;
            }
            left = left.saturating_sub(segment.bytes);
            taken += 1;
            end.insert(segment.at, segment.end);
        }
        self.segments.truncate(taken);
        Self { end, ..self }
    }

    /// Bytes of its rows in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Records of a topic that another program writes: all of them, and those that the filter left out.
    pub(crate) fn tally(&self) -> (u64, u64) {
        let sum = |count: fn(&Tally) -> usize| self.segments.iter().map(|segment| count(&segment.tally) as u64).sum();
        (sum(|tally| tally.all.len()), sum(|tally| tally.filtered.len()))
    }

    /// Rows in it.
    pub(crate) fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.batch.num_rows() as u64).sum()
    }
}

impl Inner {
    fn size(&self) -> TableSize {
        let mut size = TableSize::default();
        for (at, partition) in &self.partitions {
            for segment in &partition.segments {
                let rows = if at.topic == Topic::Rows { segment.batch.num_rows() as u64 } else { 0 };
                size.rows += rows;
                size.bytes += segment.bytes;
                size.segments += 1;
                if segment.first >= partition.archived {
                    size.rows_not_archived += rows;
                    size.records_not_archived += segment.tally.all.len() as u64;
                    size.bytes_not_archived += segment.bytes;
                }
                let oldest = segment.ingested_at_micros.0;
                size.oldest_micros = Some(size.oldest_micros.map_or(oldest, |time| time.min(oldest)));
            }
        }
        size
    }
}

/// Rows that a merged segment has at most.
const MERGED_ROWS: usize = 32_768;

impl Partition {
    fn size(&self) -> PartitionSize {
        let mut size = PartitionSize::default();
        for segment in &self.segments {
            let rows = segment.batch.num_rows() as u64;
            size.segments += 1;
            size.rows += rows;
            size.bytes += segment.bytes;
            if segment.first >= self.archived {
                size.rows_not_archived += rows;
            }
        }
        size
    }

    /// Cuts the segment that lies on both sides of what the archive holds.
    fn cut(&mut self) {
        let across = |segment: &Arc<Segment>| segment.first < self.archived && self.archived < segment.end;
        let Some(position) = self.segments.iter().position(across) else { return };
        if let Some((below, above)) = self.segments[position].cut(self.archived) {
            self.segments[position] = Arc::new(below);
            self.segments.insert(position + 1, Arc::new(above));
        }
    }

    /// Runs of small archived segments that are worth merging.
    fn small_runs(&self) -> Vec<Vec<Arc<Segment>>> {
        let mut runs = Vec::new();
        let mut run: Vec<Arc<Segment>> = Vec::new();
        let mut rows = 0;
        for segment in self.segments.iter().take_while(|segment| segment.end <= self.archived) {
            let fits = rows + segment.batch.num_rows() <= MERGED_ROWS;
            let same = run.last().is_none_or(|last| last.batch.schema_ref() == segment.batch.schema_ref());
            if !(fits && same) {
                runs.push(std::mem::take(&mut run));
                rows = 0;
            }
            rows += segment.batch.num_rows();
            run.push(Arc::clone(segment));
        }
        runs.push(run);
        // Two or three segments are not worth the copy, unless they fill a merged one.
        runs.retain(|run| run.len() > 3);
        runs
    }
}
