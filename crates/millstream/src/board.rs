//! What everybody may know about a running pipeline: counters that the stages feed, read by server and terminal.
//!
//! The ledger is kept here from what was made durable: progress that was appended, records that were appended and not yet
//! archived, and what the archive's own commits say that they hold.

mod find;
pub(crate) mod gauges;
mod ledger;
mod rate;
mod survey;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use millstream_core::config::{Config, Pace};
use millstream_core::ids::{Topic, TopicPartition};
use millstream_core::progress::{FileProgress, Outcomes};
use millstream_core::record::RecordHeader;
use millstream_core::status::{
    ArchiveStatus, ArchiveVersion, CleanStatus, Ledger, LogTrouble, Message, MessageLevel, PartitionStatus,
    PipelineState, ReceiveStatus, RuleCount, SourceStatus, Status, StreamStatus, TablePartition, TableStatus,
};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use self::gauges::{Gauges, Step};
use self::ledger::{Books, Received, newest};
use self::rate::{Latencies, Rate};
use self::survey::Surveyed;
pub(crate) use self::upkeep::UpkeepNumbers;
use crate::archive::ArchivedTable;
use crate::clock::{now_micros, rfc3339};
use crate::stream::{Applied, Bounds, Log, PendingRecord, Recovered};
use crate::table::{ArchiveState, LiveTable, PartitionSize, TableState, Window};

/// Messages that are kept.
const MESSAGES: usize = 50;

/// Versions of the archive that are kept.
const VERSIONS: usize = 20;

/// The board of one run; cheap to share behind an `Arc`.
#[derive(Debug)]
pub(crate) struct Board {
    config: Arc<Config>,
    stages: Vec<String>,
    started: Instant,
    started_at_micros: i64,
    parts: OnceLock<Parts>,
    gauges: Arc<Gauges>,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

/// What this process did since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Work {
    /// Rows that it published, rejects among them.
    pub(crate) published_rows: u64,
    /// In so many records.
    pub(crate) published_records: u64,
    /// Clean rows that it received.
    pub(crate) received_rows: u64,
    /// Clean rows that it archived.
    pub(crate) archived_rows: u64,
    /// Rejects that it archived.
    pub(crate) archived_rejects: u64,
    /// In so many commits.
    pub(crate) commits: u64,
}

/// Stages that are asked for their numbers.
#[derive(Debug)]
struct Parts {
    log: Arc<dyn Log>,
    live: Arc<LiveTable>,
    publisher: u32,
}

#[derive(Debug)]
struct Inner {
    state: PipelineState,
    books: Books,
    messages: VecDeque<Message>,
    source_waits: bool,
    read: Rate,
    appended: Rate,
    appends: u64,
    records: u64,
    record_rows: u64,
    record_bytes: u64,
    dedup_keys: u64,
    /// Records of this process that are appended and not received: seq, rows, when they were appended.
    unreceived: BTreeMap<TopicPartition, VecDeque<(u64, u64, i64)>>,
    received: Rate,
    /// Seq behind the last record that was received, by publisher.
    received_seqs: BTreeMap<(TopicPartition, u32), u64>,
    /// Appends since a survey of the books began; none while there is no survey.
    surveying: Option<Vec<Applied>>,
    /// What the survey found besides the books.
    surveyed: Surveyed,
    repeats: u64,
    gaps: u64,
    newest_event_micros: Option<i64>,
    /// Event times of the records of the last seconds.
    event_times: VecDeque<(Instant, (i64, i64))>,
    fresh: Latencies,
    visible: Latencies,
    commits: u64,
    /// Rows of the commits of this process: clean rows, rejects.
    committed: [u64; 2],
    last_commit_micros: Option<i64>,
    versions: VecDeque<ArchiveVersion>,
    upkeep: UpkeepNumbers,
    archive_trouble: Option<LogTrouble>,
    /// That no row is published for want of room, be it for records or for keys of dedup.
    publishing_trouble: Option<LogTrouble>,
}

impl Board {
    /// The board of a pipeline that is starting.
    pub(crate) fn new(config: Arc<Config>, stages: Vec<String>) -> Self {
        let inner = Inner {
            state: PipelineState::Starting,
            books: Books::default(),
            messages: VecDeque::new(),
            source_waits: false,
            read: Rate::default(),
            appended: Rate::default(),
            appends: 0,
            records: 0,
            record_rows: 0,
            record_bytes: 0,
            dedup_keys: 0,
            unreceived: BTreeMap::new(),
            received: Rate::default(),
            received_seqs: BTreeMap::new(),
            surveying: None,
            surveyed: Surveyed::default(),
            repeats: 0,
            gaps: 0,
            newest_event_micros: None,
            event_times: VecDeque::new(),
            fresh: Latencies::default(),
            visible: Latencies::default(),
            commits: 0,
            committed: [0, 0],
            last_commit_micros: None,
            versions: VecDeque::new(),
            upkeep: UpkeepNumbers::default(),
            archive_trouble: None,
            publishing_trouble: None,
        };
        Self {
            config,
            stages,
            started: Instant::now(),
            started_at_micros: now_micros(),
            parts: OnceLock::new(),
            gauges: Arc::default(),
            inner: Mutex::new(inner),
            changed: watch::Sender::new(0),
        }
    }

    /// Connects the stages, once they are recovered.
    pub(crate) fn connect(
        &self,
        log: Arc<dyn Log>,
        live: Arc<LiveTable>,
        publisher: u32,
        recovered: &Recovered,
        pending: &[PendingRecord],
        versions: Vec<ArchiveVersion>,
    ) {
        let archive = live.snapshot_of_state().archive;
        self.update(|inner| {
            inner.books = books(recovered, pending, &archive);
            inner.read.start(inner.books.rows_read());
            inner.versions = versions.into();
            inner.state = PipelineState::Running;
        });
        // A second call would change nothing: a board is connected once.
        let _ = self.parts.set(Parts { log, live, publisher });
    }

    /// What the stages tell of their work.
    pub(crate) fn gauges(&self) -> &Arc<Gauges> {
        &self.gauges
    }

    /// Ticks whenever something changed.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells where the pipeline is in its life.
    pub(crate) fn set_state(&self, state: PipelineState) {
        self.update(|inner| inner.state = state);
    }

    /// Tells whether the source awaits files and knows of none that is not whole.
    pub(crate) fn source_waits(&self, waits: bool) {
        if self.lock().source_waits != waits {
            self.update(|inner| inner.source_waits = waits);
        }
    }

    /// Tells people that a state changed.
    pub(crate) fn message_info(&self, text: String) {
        self.message(MessageLevel::Info, text);
    }

    /// Tells people of something odd.
    pub(crate) fn message_warn(&self, text: String) {
        self.message(MessageLevel::Warn, text);
    }

    /// Tells people that they must act.
    pub(crate) fn message_error(&self, text: String) {
        self.message(MessageLevel::Error, text);
    }

    /// Tells people something.
    pub(crate) fn message(&self, level: MessageLevel, text: String) {
        self.update(|inner| {
            inner.messages.push_front(Message { at: rfc3339(now_micros()), level, text });
            inner.messages.truncate(MESSAGES);
        });
    }

    /// Dedup has taken in what it kept.
    pub(crate) fn dedup_restored(&self, keys: u64) {
        self.update(|inner| inner.dedup_keys = keys);
    }

    /// An append is durable.
    pub(crate) fn applied(&self, applied: &Applied) {
        let now = now_micros();
        let publisher = self.parts.get().map_or(0, |parts| parts.publisher);
        let waited = self.lock().publishing_trouble.take().is_some();
        self.update(|inner| {
            if let Some(surveying) = &mut inner.surveying {
                surveying.push(applied.clone());
            }
            inner.appends += 1;
            inner.records += applied.records.len() as u64;
            inner.dedup_keys = applied.dedup_keys;
            for record in &applied.records {
                inner.record_rows += record.rows;
                inner.record_bytes += record.bytes;
                let seen = inner.received_seqs.get(&(record.at, publisher)).copied().unwrap_or_default();
                // The receiver may have been faster than this message.
                if record.seq >= seen {
                    inner.unreceived.entry(record.at).or_default().push_back((record.seq, record.rows, now));
                }
            }
            inner.books.applied(applied);
            inner.read.add(inner.books.rows_read());
            inner.appended.add(inner.records);
        });
        if waited {
            self.message_info("there is room on the disk again: publishing goes on".to_owned());
        }
    }

    /// Tells that no row is published for want of room: once, until an append lands.
    pub(crate) fn publishing_waits(&self, why: &str) {
        let since = self.lock().publishing_trouble.as_ref().map(|trouble| trouble.since.clone());
        if since.is_none() {
            self.message_error(format!("{why}. No row is published until then, and none is lost"));
        }
        let since = since.unwrap_or_else(|| rfc3339(now_micros()));
        self.update(|inner| inner.publishing_trouble = Some(LogTrouble { since, what: why.to_owned() }));
    }

    /// Appends of this process so far.
    pub(crate) fn appends(&self) -> u64 {
        self.lock().appends
    }

    /// A record is in the real-time table.
    pub(crate) fn received(&self, at: TopicPartition, appended_micros: i64, header: &RecordHeader) {
        let now = now_micros();
        self.gauges.took_micros(Step::Visible, now.saturating_sub(appended_micros));
        let is_own = self.parts.get().is_some_and(|parts| parts.publisher == header.publisher);
        self.update(|inner| {
            inner.received_seqs.insert((at, header.publisher), header.seq + 1);
            let waiting = inner.unreceived.get_mut(&at).filter(|_| is_own);
            if let Some(waiting) = waiting {
                while waiting.front().is_some_and(|(seq, _, _)| *seq <= header.seq) {
                    waiting.pop_front();
                }
            }
            let rows = inner.received.total() + header.rows;
            inner.received.add(rows);
            inner.fresh.add(now.saturating_sub(header.found_at_micros));
            inner.visible.add(now.saturating_sub(appended_micros));
            let high = header.event_time_micros.map(|(_, high)| high);
            inner.newest_event_micros = inner.newest_event_micros.max(high);
            if let Some(range) = header.event_time_micros {
                inner.saw_event_times(range);
            }
        });
    }

    /// A record came that was seen before.
    pub(crate) fn repeat(&self) {
        self.update(|inner| inner.repeats += 1);
    }

    /// Records are missing.
    pub(crate) fn gap(&self) {
        self.update(|inner| inner.gaps += 1);
    }

    /// A window is in the archive.
    pub(crate) fn archived(
        &self,
        topic: Topic,
        window: &Window,
        table: &ArchivedTable,
        version: Option<ArchiveVersion>,
    ) {
        let now = now_micros();
        for segment in &window.segments {
            self.gauges.took_micros(Step::Archived, now.saturating_sub(segment.ingested_at_micros.0));
        }
        self.update(|inner| {
            inner.books.archived(topic, window, table.rows);
            inner.last_commit_micros = Some(now_micros());
            if let Some(version) = version {
                inner.versions.push_front(version);
                inner.versions.truncate(VERSIONS);
            }
        });
    }

    /// What is durable of a file.
    pub(crate) fn file(&self, file: &str) -> Option<FileProgress> {
        self.lock().books.file(file)
    }

    /// A commit of this process landed, with so many rows.
    pub(crate) fn committed(&self, topic: Topic, rows: u64) {
        self.update(|inner| {
            inner.commits += 1;
            inner.committed[usize::from(topic == Topic::Rejects)] += rows;
        });
    }

    /// What this process did so far.
    pub(crate) fn work(&self) -> Work {
        let inner = self.lock();
        Work {
            published_rows: inner.record_rows,
            published_records: inner.records,
            received_rows: inner.received.total(),
            archived_rows: inner.committed[0],
            archived_rejects: inner.committed[1],
            commits: inner.commits,
        }
    }

    /// Tells whether rows wait for room on the archive's disk, and why; `true` when that is new.
    pub(crate) fn archive_waits(&self, why: Option<&str>) -> bool {
        let before = self.lock().archive_trouble.clone();
        match (before, why) {
            (None, None) => return false,
            (Some(_), None) => {
                self.update(|inner| inner.archive_trouble = None);
                self.message_info("there is room on the disk of the archive again: archiving goes on".to_owned());
            }
            (before, Some(why)) => {
                let since = before.as_ref().map_or_else(|| rfc3339(now_micros()), |trouble| trouble.since.clone());
                self.update(|inner| inner.archive_trouble = Some(LogTrouble { since, what: why.to_owned() }));
                if before.is_none() {
                    self.message_error(format!("{why}. Rows wait in the log, and none is lost"));
                    return true;
                }
            }
        }
        false
    }

    /// Upkeep of the archive did something.
    pub(crate) fn upkeep(&self, change: impl FnOnce(&mut UpkeepNumbers)) {
        self.update(|inner| change(&mut inner.upkeep));
    }

    /// Whether all rows of a file have an outcome.
    pub(crate) fn is_finished(&self, file: &str) -> bool {
        self.lock().books.is_finished(file)
    }

    /// The ledger now. Of a topic that another program writes nobody knows how many rows there should be: what was received counts.
    pub(crate) fn ledger(&self) -> Ledger {
        if self.config.is_foreign() {
            let live = self.parts.get().map(|parts| parts.live.snapshot_of_state()).unwrap_or_default();
            return Received::of(&live, &self.lock().surveyed.archive).ledger();
        }
        let archive = self.parts.get().map(|parts| parts.live.snapshot_of_state().archive).unwrap_or_default();
        let mut inner = self.lock();
        inner.books.set_expired(&archive);
        inner.books.ledger(inner.gaps)
    }

    /// The state now.
    pub(crate) fn status(&self) -> Status {
        let parts = self.parts.get();
        let live = parts.map(|parts| parts.live.snapshot_of_state()).unwrap_or_default();
        let inner = self.lock();
        let totals = inner.books.totals();
        let all_over = totals.files_waiting + totals.files_reading == 0;
        let waits = inner.state == PipelineState::Running && inner.source_waits && all_over;
        let state = if waits { PipelineState::Waiting } else { inner.state };
        Status {
            pipeline: self.config.pipeline.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state,
            stages: self.stages.clone(),
            started_at: rfc3339(self.started_at_micros),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            memory_bytes: memory_bytes(),
            memory_limit_bytes: self.config.limits.memory,
            source: SourceStatus {
                path: self.config.source.path.clone(),
                pace: pace_text(self.config.source.pace),
                watch: self.config.source.watch,
                files_waiting: totals.files_waiting,
                files_reading: totals.files_reading,
                files_done: totals.files_done,
                files_quarantined: totals.files_quarantined,
                rows_total: totals.rows_total,
                rows_read: inner.books.rows_read(),
                rows_per_second: inner.read.per_second(),
            },
            clean: self.clean_status(&inner, &totals.outcomes, &live),
            stream: self.stream_status(&inner, parts),
            receive: inner.receive_status(),
            table: TableStatus {
                rows: live.size.rows,
                bytes: live.size.bytes,
                limit_bytes: live.limit_bytes,
                segments: live.size.segments,
                rows_not_archived: live.size.rows_not_archived,
                oldest_ingested_at: live.size.oldest_micros.map(rfc3339),
                newest_event_time: inner.newest_event_micros.map(rfc3339),
                partitions: live.partitions.iter().map(|(at, size)| self.table_partition(*at, size)).collect(),
            },
            archive: self.archive_status(&inner, &live.archive),
            rejects_by_rule: by_rule(&totals.outcomes.by_rule),
            freshness: rate::freshness(&inner.fresh, &inner.visible),
            latencies: self.gauges.latencies(),
            messages: inner.messages.iter().cloned().collect(),
        }
    }

    fn clean_status(&self, inner: &Inner, outcomes: &Outcomes, live: &TableState) -> CleanStatus {
        let engine = if self.config.spark.is_some() { "spark" } else { "datafusion" }.to_owned();
        if self.config.is_foreign() {
            let received = Received::of(live, &inner.surveyed.archive);
            return CleanStatus {
                engine,
                clean: received.delivered,
                rejected: received.rejected,
                filtered: received.filtered,
                ..CleanStatus::default()
            };
        }
        CleanStatus {
            engine,
            clean: outcomes.clean,
            rejected: outcomes.rejected,
            deduplicated: outcomes.deduplicated,
            filtered: outcomes.filtered,
            late: outcomes.late,
            dedup_keys: inner.dedup_keys,
            splits: self.gauges.splits(),
        }
    }

    fn stream_status(&self, inner: &Inner, parts: Option<&Parts>) -> StreamStatus {
        let Some(parts) = parts else { return StreamStatus::default() };
        let log = parts.log.state();
        let archived = parts.live.archived_offsets();
        let high = parts.live.high();
        let topic = &self.config.stream.topic;
        let partition = |bounds: &Bounds| PartitionStatus {
            topic: self.topic_name(bounds.at.topic),
            partition: bounds.at.partition,
            begin_offset: bounds.begin.0,
            // A survey knows the end behind the last record; markers of transactions have offsets, too.
            end_offset: {
                let end = inner.surveyed.ends.get(&bounds.at).copied().unwrap_or(bounds.end);
                end.max(high.get(&bounds.at).copied().unwrap_or_default()).0
            },
            received_offset: high.get(&bounds.at).copied().unwrap_or_default().0,
            archived_offset: archived.get(&bounds.at).copied().unwrap_or_default().0,
        };
        #[allow(clippy::cast_precision_loss, reason = "a mean for people")]
        let rows_per_record = inner.record_rows as f64 / inner.records.max(1) as f64;
        StreamStatus {
            log: log.kind.to_owned(),
            topic: topic.clone(),
            stream_id: log.stream.to_string(),
            trouble: log
                .trouble
                .as_ref()
                .map(|trouble| LogTrouble { since: rfc3339(trouble.since_micros), what: trouble.what.clone() })
                .or_else(|| inner.publishing_trouble.clone()),
            partitions: log.partitions.iter().map(partition).collect(),
            appends: inner.appends,
            records: inner.records,
            bytes: inner.record_bytes,
            rows_per_record,
            records_per_second: inner.appended.per_second(),
            disk_bytes: log.disk_bytes,
        }
    }

    fn topic_name(&self, topic: Topic) -> String {
        let name = &self.config.stream.topic;
        match topic {
            Topic::Rows => name.clone(),
            Topic::Rejects => format!("{name}.rejects"),
        }
    }

    fn table_partition(&self, at: TopicPartition, size: &PartitionSize) -> TablePartition {
        TablePartition {
            topic: self.topic_name(at.topic),
            partition: at.partition,
            segments: size.segments,
            rows: size.rows,
            bytes: size.bytes,
            rows_not_archived: size.rows_not_archived,
        }
    }

    fn archive_status(&self, inner: &Inner, archive: &ArchiveState) -> ArchiveStatus {
        // What other processes committed counts, too.
        let rows = newest(archive.rows.as_deref(), inner.surveyed.archive.rows.as_deref());
        let rejects = newest(archive.rejects.as_deref(), inner.surveyed.archive.rejects.as_deref());
        ArchiveStatus {
            path: self.config.archive.path.to_string(),
            version: rows.map(|table| table.version),
            rows: rows.map_or(0, |table| table.rows.saturating_sub(table.expired)),
            files: rows.map_or(0, |table| table.files),
            bytes: rows.map_or(0, |table| table.bytes),
            reject_rows: rejects
                .map_or(0, |table| table.rows.saturating_sub(table.expired + inner.books.of_redriven())),
            reject_files: rejects.map_or(0, |table| table.files),
            reject_bytes: rejects.map_or(0, |table| table.bytes),
            expired_rows: rows.map_or(0, |table| table.expired),
            expired_rejects: rejects.map_or(0, |table| table.expired),
            upkeep: inner.upkeep.status(),
            trouble: inner.archive_trouble.clone(),
            commits: inner.commits,
            last_commit_at: inner.last_commit_micros.map(rfc3339),
            versions: inner.versions.iter().cloned().collect(),
        }
    }

    fn update(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Numbers for people: those of a holder that panicked are as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn saw_event_times(&mut self, range: (i64, i64)) {
        if self.event_times.len() == EVENT_TIMES {
            self.event_times.pop_front();
        }
        self.event_times.push_back((Instant::now(), range));
    }

    /// Lowest and highest event time of the records of the last seconds.
    fn event_times(&self) -> Option<[String; 2]> {
        let recent =
            self.event_times.iter().filter(|(at, _)| at.elapsed() <= EVENT_TIMES_SPAN).map(|(_, range)| *range);
        let (low, high) = recent.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some([rfc3339(low), rfc3339(high)])
    }

    fn receive_status(&self) -> ReceiveStatus {
        let waiting =
            || self.unreceived.iter().filter(|(at, _)| at.topic == Topic::Rows).flat_map(|(_, records)| records);
        let oldest = waiting().map(|(_, _, appended)| *appended).min();
        #[allow(clippy::cast_precision_loss, reason = "seconds for people")]
        let lag_seconds = oldest.map_or(0.0, |appended| now_micros().saturating_sub(appended) as f64 / 1e6);
        ReceiveStatus {
            rows: self.received.total(),
            rows_per_second: self.received.per_second(),
            lag_rows: if self.surveyed.is_there {
                self.surveyed.lag_rows
            } else {
                waiting().map(|(_, rows, _)| rows).sum()
            },
            lag_seconds,
            repeats: self.repeats,
            gaps: self.gaps,
            event_times: self.event_times(),
        }
    }
}

/// Span of the event times that are told, and how many of them are kept.
const EVENT_TIMES_SPAN: Duration = Duration::from_secs(5);
const EVENT_TIMES: usize = 1024;

/// The ledger of a topic that another program writes.
pub(crate) fn ledger_of_received(live: &TableState) -> Ledger {
    Received::of(live, &ArchiveState::default()).ledger()
}

/// The ledger of what is durable, without a run.
pub(crate) fn ledger_at_rest(recovered: &Recovered, pending: &[PendingRecord], archive: &ArchiveState) -> Ledger {
    books(recovered, pending, archive).ledger(0)
}

fn books(recovered: &Recovered, pending: &[PendingRecord], archive: &ArchiveState) -> Books {
    let rows = |table: &Option<Arc<ArchivedTable>>| table.as_ref().map_or(0, |table| table.rows);
    let mut books = Books::new(recovered, pending);
    books.set_archived(rows(&archive.rows), rows(&archive.rejects));
    books.set_expired(archive);
    books
}

fn by_rule(counts: &BTreeMap<String, u64>) -> Vec<RuleCount> {
    let mut counts: Vec<RuleCount> =
        counts.iter().map(|(rule, &rows)| RuleCount { rule: rule.clone(), rows }).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.rows));
    counts
}

fn pace_text(pace: Pace) -> String {
    match pace {
        Pace::Max => "max".to_owned(),
        Pace::RowsPerSecond(rows) => format!("{rows} rows/s"),
    }
}

/// Memory that the process holds; 0 where the system does not tell.
fn memory_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096
}
