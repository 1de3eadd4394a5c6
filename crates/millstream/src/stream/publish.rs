//! Publishing: takes cleaned batches in the order of files and rows, drops repeats, and appends records together with the
//! progress of their files and the changes of the dedup state.
//!
//! While one append is on its way to disk the next is collected. Nothing is told to anybody before its append returned.

mod in_flight;
mod redriven;
pub(crate) mod rows;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use bytes::Bytes;
use millstream_core::config::{Config, Format, Pace};
use millstream_core::dedup::{Claimed, DedupError, Deduplicator};
use millstream_core::ids::{StreamId, Topic, TopicPartition};
use millstream_core::progress::{FilePhase, FileProgress, Outcomes, PublisherProgress};
use millstream_core::record::{Encoder, RECORD_FORMAT, RecordError, RecordHeader, memory_of};
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant};
use tracing::{info, warn};

use self::in_flight::{InFlight, Interrupted, landed};
use self::redriven::Answered;
use self::rows::{Form, Parts};
use super::{Append, Applied, AppliedRecord, Log, NewRecord, PublisherId};
use crate::board::Board;
use crate::board::gauges::Step;
use crate::clean::{CleanError, CleanedBatch, SplitEvent};
use crate::failpoint;
use crate::publishing::rules::Rules;
use crate::redrive::asks::Asks;
use crate::source::SourceError;
use crate::source::find::{Accept, NewFile};
use crate::source::plan::{Start, Work};
use crate::source::retry;
use crate::stop::{Phase, StopToken};
use crate::table::Seqs;

/// Why publishing ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    /// The log did not take an append, or nobody knows whether it did.
    #[error(transparent)]
    Append(#[from] Box<Interrupted>),
    /// Cleaning says that the run must stop.
    #[error("`{file}`: {source}")]
    Clean {
        /// The file.
        file: String,
        /// Why.
        source: Box<CleanError>,
    },
    /// Dedup cannot go on.
    #[error("`{file}`: {source}")]
    Dedup {
        /// The file.
        file: String,
        /// Why.
        source: DedupError,
    },
    /// What dedup kept cannot be taken in.
    #[error("cannot take in the keys of dedup from the log")]
    Restore(#[source] DedupError),
    /// A batch could not become records.
    #[error("`{file}`: {source}")]
    Record {
        /// The file.
        file: String,
        /// Why.
        source: RecordError,
    },
    /// A batch could not be put together.
    #[error("`{file}`: cannot arrange cleaned rows")]
    Arrange {
        /// The file.
        file: String,
        /// Why.
        source: arrow::error::ArrowError,
    },
}

/// The publisher.
pub(crate) struct Publisher {
    /// The pipeline file.
    pub(crate) config: Arc<Config>,
    /// Rules of now, and those under which files began.
    pub(crate) rules: Arc<Rules>,
    /// The log.
    pub(crate) log: Arc<dyn Log>,
    /// Stream that is written.
    pub(crate) stream: StreamId,
    /// Which of its publishers this is.
    pub(crate) id: PublisherId,
    /// From one file's number to the next.
    pub(crate) sequence_step: u64,
    /// Where numbers go.
    pub(crate) board: Arc<Board>,
    /// What the log knows of this publisher.
    pub(crate) progress: PublisherProgress,
    /// Its files, also those that are over: rejects of theirs may still be delivered.
    pub(crate) files: BTreeMap<u64, FileProgress>,
    /// Seqs behind what was published before this life, by every publisher: files may have been another's.
    pub(crate) seqs_before: Seqs,
    /// What is asked for rejects.
    pub(crate) asks: Arc<Asks>,
    /// Whether it stays for them when there is no more work.
    pub(crate) stays: bool,
    /// Dedup, if wanted, with its recovered state.
    pub(crate) dedup: Option<Deduplicator>,
    /// Schemas that this life has appended.
    pub(crate) schemas: HashSet<String>,
    /// Makes records of clean rows.
    pub(crate) encoder: Encoder,
    /// Memory of rows that are handed on with their records, at which these are appended; 0 when they are not.
    pub(crate) handed_bytes: u64,
}

/// What is collected for the next append.
#[derive(Debug, Default)]
struct Pending {
    append: Append,
    files: BTreeMap<u64, FileProgress>,
    claimed: Claimed,
    bytes: u64,
    /// Memory of the rows that are handed on.
    handed_bytes: u64,
    since: Option<Instant>,
    /// Who waits for their files' numbers to be durable.
    replies: Vec<(tokio::sync::oneshot::Sender<Vec<FileProgress>>, Vec<FileProgress>)>,
    /// Who waits for an answer about rejects to be durable.
    answered: Vec<Answered>,
}

/// The file whose batches come.
struct Current {
    start: Box<Start>,
    split: Option<mpsc::Receiver<SplitEvent>>,
    given_up: bool,
}

impl Publisher {
    /// Publishes until there is no more work, or `stop` says so: then what is collected is appended, and the rest is read
    /// again by the next start. Tells `published` when nothing more will be appended.
    pub(crate) async fn run(
        mut self,
        mut accept: mpsc::Receiver<Accept>,
        mut work: mpsc::Receiver<Work>,
        published: &watch::Sender<bool>,
        mut stop: StopToken,
    ) -> Result<(), PublishError> {
        let mut pending = Pending::default();
        let mut current: Option<Current> = None;
        let mut in_flight: Option<InFlight> = None;
        let mut not_before = Instant::now();
        let asks = Arc::clone(&self.asks);
        let (mut accepting, mut working) = (true, true);
        while accepting || working || self.stays {
            let full = pending.bytes >= self.config.stream.flush_bytes
                || (self.handed_bytes > 0 && pending.handed_bytes >= self.handed_bytes);
            let due = pending.since.map(|since| since + self.config.stream.flush_interval);
            if in_flight.is_none() && (full || due.is_some_and(|due| due <= Instant::now())) {
                in_flight = Some(self.append(&mut pending));
            }
            tokio::select! {
                biased;
                () = stop.reached(Phase::Drain) => break,
                applied = landed(&mut in_flight), if in_flight.is_some() => {
                    in_flight = None;
                    self.board.applied(&applied?);
                }
                () = sleep_until(due), if in_flight.is_none() && due.is_some() => {}
                request = accept.recv(), if accepting => match request {
                    Some(request) => self.accept(request, &mut pending),
                    None => accepting = false,
                },
                ask = asks.next(), if !(full && in_flight.is_some()) => self.answer(ask, &mut pending)?,
                event = next_event(&mut current, &mut work, not_before), if working && !(full && in_flight.is_some()) => {
                    match event {
                        Event::Split(event) => {
                            let rows = self.split(&mut current, event, &mut pending)?;
                            not_before = self.paced(not_before, rows);
                        }
                        Event::Work(item) => self.work(item, &mut current, &mut pending),
                        Event::End => working = false,
                    }
                }
            }
        }
        let rest = async {
            if let Some(mut append) = in_flight {
                self.board.applied(&append.landed().await?);
            }
            if pending.since.is_some() {
                let applied = self.append(&mut pending).landed().await?;
                self.board.applied(&applied);
            }
            Ok::<(), PublishError>(())
        };
        tokio::select! {
            // A log that does not answer must not hold up the end: the next start reads what landed.
            () = stop.reached(Phase::Abort) => {}
            ended = rest => ended?,
        }
        published.send_replace(true);
        Ok(())
    }

    /// When the next batch may be taken, after `rows` rows.
    fn paced(&self, not_before: Instant, rows: u64) -> Instant {
        match self.config.source.pace {
            Pace::Max => not_before,
            #[allow(clippy::cast_precision_loss, reason = "a pace needs no more than the digits of a double")]
            Pace::RowsPerSecond(pace) => {
                // Each of several publishers has its share.
                let pause = Duration::from_secs_f64(rows as f64 * f64::from(self.id.count) / pace.get() as f64);
                not_before.max(Instant::now().checked_sub(Duration::from_millis(200)).unwrap_or(not_before)) + pause
            }
        }
    }

    /// Sends what is collected on its way.
    #[allow(
        clippy::disallowed_methods,
        reason = "the publisher joins its one append before the next and before it ends"
    )]
    fn append(&mut self, pending: &mut Pending) -> InFlight {
        let Pending { mut append, files, claimed, replies, answered, .. } = std::mem::take(pending);
        append.publisher = Some(self.progress.clone());
        append.files = files.into_values().collect();
        let log = Arc::clone(&self.log);
        append.dedup = self.dedup.as_mut().map(|dedup| dedup.changes(claimed)).unwrap_or_default();
        let dedup_keys = self.dedup.as_ref().map_or(0, Deduplicator::keys);
        let describe = |record: &NewRecord| AppliedRecord {
            at: record.at,
            seq: record.header.seq,
            file: record.header.file.clone(),
            rows: record.header.rows,
            bytes: record.value.len() as u64,
            resolves: record.header.resolves,
        };
        let records = append.records.iter().map(describe).collect();
        let applied = Applied { files: append.files.clone(), records, dedup_keys };
        let gauges = Arc::clone(self.board.gauges());
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let redrives = append.records.iter().any(|record| record.header.resolves);
            if redrives {
                failpoint::hit("redrive.before_append");
            }
            log.append(append).await?;
            if redrives {
                failpoint::hit("redrive.appended");
            }
            gauges.took(Step::Append, began.elapsed());
            for (reply, files) in replies {
                // A finder that is gone needs no answer.
                let _ = reply.send(files);
            }
            answered.into_iter().for_each(Answered::tell);
            Ok(())
        });
        InFlight { task, applied, progress: self.progress.clone() }
    }

    /// Gives files their numbers. One that is taken again gets a new one: it is published behind those that came meanwhile.
    fn accept(&mut self, request: Accept, pending: &mut Pending) {
        let mut accepted = Vec::with_capacity(request.files.len());
        for new in request.files {
            let sequence = self.progress.next_sequence;
            let progress = match new.before {
                Some(before) => {
                    info!(file = %before.file, from_row = before.next_row, "file taken again");
                    self.board.message_info(format!("`{}` was quarantined and is taken again", before.file));
                    pending.append.given_up.push(before.sequence);
                    // Rejects of it may have been delivered since somebody looked at it.
                    let before = self.files.remove(&before.sequence).unwrap_or(*before);
                    retry::again(before, new.found, new.rows, new.found_at_micros, sequence)
                }
                None => self.first_time(new, sequence),
            };
            self.progress.next_sequence += self.sequence_step;
            pending.put(progress.clone());
            self.files.insert(progress.sequence, progress.clone());
            accepted.push(progress);
        }
        // One that goes on midway may wait for longer than its rules are those of now.
        self.keep_rules();
        pending.replies.push((request.reply, accepted));
    }

    fn first_time(&self, new: NewFile, sequence: u64) -> FileProgress {
        let (rows, phase) = match new.rows {
            Ok(rows) => (Some(rows), FilePhase::Accepted),
            Err(reason) => {
                self.tell_quarantine(&new.found.file, &reason);
                (None, FilePhase::Quarantined { reason })
            }
        };
        FileProgress {
            file: new.found.file.to_string(),
            sequence,
            size: new.found.size,
            tag: new.found.tag,
            found_at_micros: new.found_at_micros,
            phase,
            rows,
            next_row: 0,
            rules_hash: None,
            engine: None,
            outcomes: Outcomes::default(),
            retried_from_row: None,
        }
    }

    fn work(&mut self, item: Work, current: &mut Option<Current>, pending: &mut Pending) {
        match item {
            Work::Start(start) => {
                self.start(&start, pending);
                *current = Some(Current { start, split: None, given_up: false });
            }
            Work::Split(split) => {
                if let Some(current) = current.as_mut().filter(|current| !current.given_up) {
                    current.split = Some(split);
                }
            }
            Work::End => {
                if let Some(Current { start, given_up: false, .. }) = current.take() {
                    self.finish(start.sequence, pending);
                }
            }
            Work::Quarantine { sequence, reason } => self.quarantine(sequence, reason, pending),
        }
    }

    fn start(&mut self, start: &Start, pending: &mut Pending) {
        let Some(file) = self.files.get_mut(&start.sequence) else { return };
        file.phase = FilePhase::Started;
        file.size = start.size;
        file.tag.clone_from(&start.tag);
        file.rows = Some(start.rows);
        file.rules_hash = Some(start.plan.rules_hash.clone());
        file.engine = Some(start.engine.to_owned());
        self.progress.known_schema = serde_json::to_value(&start.known).ok();
        info!(file = %file.file, rows = start.rows, from_row = file.next_row, "file started");
        pending.put(file.clone());
        self.keep_rules();
    }

    /// The rules of every file under way are kept with the progress.
    fn keep_rules(&mut self) {
        self.progress.keep_rules(self.rules.under_way(&self.files.values()));
    }

    fn finish(&mut self, sequence: u64, pending: &mut Pending) {
        let Some(file) = self.files.get(&sequence) else { return };
        if file.rows != Some(file.next_row) {
            let reason = format!("reading ended at row {} of {}", file.next_row, file.rows.unwrap_or_default());
            return self.quarantine(sequence, reason, pending);
        }
        if let Some(file) = self.files.get_mut(&sequence) {
            file.phase = FilePhase::Finished;
            info!(file = %file.file, rows = file.next_row, "file finished");
            pending.put(file.clone());
        }
    }

    fn tell_quarantine(&self, file: &str, reason: &str) {
        warn!(%file, %reason, "file quarantined");
        self.board.message_warn(format!(
            "`{file}` is quarantined: {reason}. Once it is mended, or the limit raised, `millstream retry` takes it again"
        ));
    }

    fn quarantine(&mut self, sequence: u64, reason: String, pending: &mut Pending) {
        if let Some(mut file) = self.files.get(&sequence).filter(|file| !file.is_over()).cloned() {
            self.tell_quarantine(&file.file, &reason);
            file.phase = FilePhase::Quarantined { reason };
            self.files.insert(sequence, file.clone());
            pending.put(file);
        }
    }

    /// Takes in what a split sent. Gives the number of source rows that it covers.
    fn split(
        &mut self,
        current: &mut Option<Current>,
        event: Option<SplitEvent>,
        pending: &mut Pending,
    ) -> Result<u64, PublishError> {
        let Some(current) = current.as_mut().filter(|current| !current.given_up) else { return Ok(0) };
        let sequence = current.start.sequence;
        let name = self.files.get(&sequence).map(|file| file.file.clone()).unwrap_or_default();
        match event {
            Some(SplitEvent::Batch(batch)) => {
                let rows = batch.rows.end - batch.rows.start;
                self.publish(&current.start, &name, batch, pending)?;
                Ok(rows)
            }
            Some(SplitEvent::End) => {
                current.split = None;
                Ok(0)
            }
            None => {
                // Interrupted by an abort: the next start reads on.
                current.given_up = true;
                current.split = None;
                Ok(0)
            }
            // Not the file's fault.
            Some(SplitEvent::Failed(
                source @ (CleanError::Source(SourceError::Stop { .. }) | CleanError::Rows(_) | CleanError::Spark(_)),
            )) => Err(PublishError::Clean { file: name, source: Box::new(source) }),
            Some(SplitEvent::Failed(CleanError::Source(error))) => {
                current.given_up = true;
                current.split = None;
                self.quarantine(sequence, error.reason(), pending);
                Ok(0)
            }
        }
    }

    fn publish(
        &mut self,
        start: &Start,
        name: &str,
        batch: CleanedBatch,
        pending: &mut Pending,
    ) -> Result<(), PublishError> {
        let CleanedBatch { rows, cleaned } = batch;
        let arrange = |source| PublishError::Arrange { file: name.to_owned(), source };
        let mut outcomes = Outcomes { filtered: cleaned.filtered, ..Outcomes::default() };
        let mut clean = cleaned.clean;
        let new_file = self.progress.dedup_file != Some(start.sequence);
        if let Some(judged) = self.judge(name, new_file, &clean, pending)? {
            self.progress.dedup_file = Some(start.sequence);
            if judged.duplicates > 0 {
                clean = filter_record_batch(&clean, &judged.keep).map_err(arrange)?;
            }
            outcomes.deduplicated = judged.duplicates;
            outcomes.late = judged.late;
        }
        let found_at_micros = self.files.get(&start.sequence).map_or(0, |file| file.found_at_micros);
        let rules_hash = &start.plan.rules_hash;
        let facts = Facts { name, rules_hash, found_at_micros, rows: rows.clone(), resolves: false };
        let encode = |source| PublishError::Record { file: name.to_owned(), source };
        let config = Arc::clone(&self.config);
        let form = form(&config);
        let event_time = self.config.source.event_time.as_deref();
        let clean = rows::clean_records(&clean, name, event_time, form, &mut self.encoder);
        let (clean, too_large) = clean.map_err(encode)?;
        let (rejects, by_rule) = rows::reject_records(&cleaned.rejects, name, &too_large, form).map_err(encode)?;
        outcomes.clean = clean.records.iter().map(|part| part.rows).sum();
        outcomes.rejected = rejects.records.iter().map(|part| part.rows).sum();
        outcomes.by_rule = by_rule;
        self.records(Topic::Rows, clean, &facts, pending);
        self.records(Topic::Rejects, rejects, &facts, pending);
        if let Some(file) = self.files.get_mut(&start.sequence) {
            file.next_row = rows.end;
            file.outcomes.add(&outcomes);
            pending.put(file.clone());
        }
        Ok(())
    }

    /// Which rows repeat others; none where nobody wants to know. What dedup learned goes with the rows.
    fn judge(
        &mut self,
        name: &str,
        starts_new_file: bool,
        rows: &RecordBatch,
        pending: &mut Pending,
    ) -> Result<Option<Judged>, PublishError> {
        let Some(dedup) = &mut self.dedup else { return Ok(None) };
        let verdict = dedup
            .observe(starts_new_file, rows)
            .map_err(|source| PublishError::Dedup { file: name.to_owned(), source })?;
        self.progress.dedup_high_micros = verdict.window_high;
        pending.bytes += verdict.claimed.bytes() as u64;
        pending.claimed.append(verdict.claimed);
        Ok(Some(Judged { keep: verdict.keep, duplicates: verdict.duplicates, late: verdict.late }))
    }

    /// Puts records where they go. Without a key that says where: one partition after the other, batch by batch.
    fn records(&mut self, topic: Topic, parts: Parts, facts: &Facts<'_>, pending: &mut Pending) {
        let schema = parts.schema.map(|(name, bytes)| {
            if self.schemas.insert(name.clone()) {
                pending.append.schemas.insert(name.clone(), bytes);
            }
            name
        });
        let partitions = self.config.stream.partitions.get();
        let is_one_row_each = self.config.stream.format == Format::Json;
        let mut next = self.progress.next_partition;
        for (index, part) in parts.records.into_iter().enumerate() {
            if topic == Topic::Rows && part.partition.is_none() && (index == 0 || !is_one_row_each) {
                next = self.progress.next_partition;
                self.progress.next_partition = (next + 1) % partitions;
            }
            let partition = if topic == Topic::Rows { part.partition.unwrap_or(next) } else { 0 };
            self.record(TopicPartition { topic, partition }, facts, part, schema.clone(), pending);
        }
    }

    fn record(
        &mut self,
        at: TopicPartition,
        facts: &Facts<'_>,
        part: rows::Part,
        schema: Option<String>,
        pending: &mut Pending,
    ) {
        let seq = self.progress.next_seq.entry(at).or_default();
        let header = RecordHeader {
            format: RECORD_FORMAT,
            stream: self.stream,
            publisher: self.id.index,
            seq: *seq,
            file: facts.name.to_owned(),
            first_row: facts.rows.start,
            end_row: facts.rows.end,
            rows: part.rows,
            found_at_micros: facts.found_at_micros,
            event_time_micros: part.event_time_micros,
            rules_hash: facts.rules_hash.to_owned(),
            schema,
            resolves: facts.resolves,
        };
        *seq += 1;
        pending.bytes += part.value.len() as u64;
        let (value, batch) = (Bytes::from(part.value), part.batch.filter(|_| self.handed_bytes > 0));
        pending.handed_bytes += batch.as_ref().map_or(0, |batch| memory_of(batch) as u64);
        pending.append.records.push(NewRecord { at, header, key: part.key, value, batch });
    }
}

/// What all records of a batch share.
struct Facts<'a> {
    name: &'a str,
    rules_hash: &'a str,
    found_at_micros: i64,
    rows: std::ops::Range<u64>,
    resolves: bool,
}

/// What dedup says of rows.
struct Judged {
    keep: BooleanArray,
    duplicates: u64,
    late: u64,
}

/// How records look.
fn form(config: &Config) -> Form<'_> {
    let stream = &config.stream;
    let (partitions, max_bytes) = (stream.partitions.get(), stream.max_record_bytes);
    Form { format: stream.format, key: &stream.key, partitions, max_bytes }
}

impl Pending {
    fn put(&mut self, file: FileProgress) {
        self.since.get_or_insert_with(Instant::now);
        self.files.insert(file.sequence, file);
    }
}

/// What comes next for the publisher.
enum Event {
    Split(Option<SplitEvent>),
    Work(Work),
    End,
}

/// The next batch of the split at hand, or the next piece of work. Cancel safe: every wait is one receive.
async fn next_event(current: &mut Option<Current>, work: &mut mpsc::Receiver<Work>, not_before: Instant) -> Event {
    tokio::time::sleep_until(not_before).await;
    if let Some(current) = current
        && let Some(split) = &mut current.split
    {
        return Event::Split(split.recv().await);
    }
    work.recv().await.map_or(Event::End, Event::Work)
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
