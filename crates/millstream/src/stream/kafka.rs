//! Apache Kafka as the log: an append is one transaction, readers see what is committed.
//!
//! Nothing here believes its memory: after any error of a transaction the publisher is told to read its progress again
//! ([`LogError::is_passing`]), and who may publish is decided by transactional ids, never by this process.

mod client;
mod error;
mod foreign;
mod group;
mod health;
pub(crate) mod progress;
mod read;
mod scan;
mod settings;
mod start;
mod topics;
mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use millstream_core::config::{Config, Kafka};
use millstream_core::dedup::KeptKeys;
use millstream_core::ids::{Offset, StreamId, TopicPartition};
use millstream_core::progress::{Offsets, PublisherProgress};
use millstream_core::record::RecordHeader;
use rdkafka::Message;
use rdkafka::admin::AdminOptions;
use rdkafka::topic_partition_list::Offset as KafkaOffset;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use uuid::Uuid;

use self::client::Client;
pub(crate) use self::error::KafkaLogError;
pub(crate) use self::foreign::ForeignLog;
pub(crate) use self::group::Membership;
use self::health::Health;
pub(crate) use self::health::Tell;
use self::progress::{Progress, read_kept_keys};
use self::read::SharedReader;
pub(crate) use self::settings::MAX_PUBLISHERS;
use self::settings::{CALL_TIMEOUT, Settings};
use self::start::start;
use self::write::{Step, Writer};
use super::{
    Access, Append, Bounds, Log, LogError, LogState, PendingRecord, PublisherId, Record, Recovered, Retention,
};
use crate::clock::now_micros;
use crate::failpoint;

/// How long a start waits for a broker that does not answer.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two tries of something that may pass.
const PAUSE: Duration = Duration::from_millis(250);

/// How often an abort is asked for; the broker ends an abandoned transaction by itself.
const ABORT_TRIES: u32 = 2;

/// How often the group is told how far the archive is.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// How often in a row the broker may take no records out before a missing right is suspected.
const KEPT_PATIENCE: u32 = 3;

/// Shortest and longest time between two looks for records that may leave.
const TRIM_INTERVALS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Kafka as the log of a pipeline.
pub(crate) struct KafkaLog {
    client: Arc<Client>,
    stream: StreamId,
    publisher: Option<PublisherId>,
    instance: String,
    writing: tokio::sync::Mutex<Writing>,
    /// Whether the place of the publisher was taken.
    has_started: AtomicBool,
    reader: SharedReader,
    bounds: Mutex<BTreeMap<TopicPartition, Bounds>>,
    times: Mutex<Times>,
    membership: OnceLock<Arc<Membership>>,
}

/// When something was done last.
#[derive(Default)]
struct Times {
    noted: Option<Instant>,
    trimmed: Option<Instant>,
    /// How often in a row the broker took no records out.
    kept: u32,
}

/// Whether `interval` has passed; then it begins anew.
fn is_due(last: &mut Option<Instant>, interval: Duration) -> bool {
    let is_due = last.is_none_or(|at| at.elapsed() >= interval);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}

/// The publisher's side.
#[derive(Default)]
struct Writing {
    writer: Option<Arc<Writer>>,
    last_millis: i64,
}

impl std::fmt::Debug for KafkaLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KafkaLog").field("topic", &self.client.settings.names.rows).finish_non_exhaustive()
    }
}

impl KafkaLog {
    /// Connects, and makes or checks topics and stream. The place of a publisher is taken by [`Log::recover`] only. `tell` hears
    /// of troubles and of what is odd.
    pub(crate) async fn open(config: &Config, kafka: &Kafka, access: Access, tell: Tell) -> Result<Self, LogError> {
        let publisher = access.publisher();
        let settings = Settings::new(config, kafka)?;
        let health = Arc::new(Health::new(settings.brokers(), tell));
        let client = Arc::new(Client::new(settings, health));
        for odd in prepare(&client, access != Access::Look).await? {
            client.health.odd(odd);
        }
        let instance = Uuid::new_v4().to_string();
        let shared = Arc::clone(&client);
        let layout = blocking(move || match Progress::read(&shared)?.layout {
            Some(layout) => Ok(layout),
            None if access == Access::Look => Err(KafkaLogError::Topic {
                topic: shared.settings.names.progress.clone(),
                problem: "has no stream yet: nothing was published".to_owned(),
            }
            .into()),
            None => Ok(start::make(&shared, publisher.map(|id| id.count))?),
        })
        .await?;
        if access == Access::PublishAlone && layout.publishers > 1 {
            let count = layout.publishers;
            return Err(KafkaLogError::Shared { count, last: count - 1 }.into());
        }
        Ok(Self {
            client,
            stream: layout.stream,
            publisher,
            instance,
            writing: tokio::sync::Mutex::default(),
            has_started: AtomicBool::new(false),
            reader: SharedReader::default(),
            bounds: Mutex::default(),
            times: Mutex::default(),
            membership: OnceLock::new(),
        })
    }

    fn lock_bounds(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Bounds>> {
        // Every change replaces one number: what a panicking holder leaves is whole.
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lift_ends(&self, ends: &Offsets) {
        let mut bounds = self.lock_bounds();
        for (&at, &end) in ends {
            let bounds = bounds.entry(at).or_insert(Bounds { at, begin: Offset::default(), end });
            bounds.end = end.max(bounds.end);
        }
    }

    /// One transaction, to its end.
    async fn transact(&self, writer: Arc<Writer>, append: Append, now_millis: i64) -> Result<Offsets, LogError> {
        let index = self.publisher.map_or(0, |publisher| publisher.index);
        failpoint::hit("append.before");
        let began = Instant::now();
        let sending = Arc::clone(&writer);
        let sent = blocking(move || Ok(sending.send(&append, index, now_millis)?)).await;
        if let Err(error) = sent {
            self.abort(writer).await;
            return Err(error);
        }
        failpoint::hit("kafka.sent");
        let mut was_asked_again = false;
        loop {
            let committing = Arc::clone(&writer);
            match blocking(move || Ok(committing.commit()?)).await {
                Ok(Step::Done) => break,
                // It may have landed: only the same question again can tell, never an abort.
                Ok(Step::Again) => {
                    was_asked_again = true;
                    self.check_topics().await?;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    if matches!(&error, LogError::Kafka(error) if matches!(**error, KafkaLogError::Aborted { .. })) {
                        self.abort(writer).await;
                    }
                    return Err(error);
                }
            }
        }
        if was_asked_again {
            // The broker may have come back without all that it should know of this transaction: see `Writer::sweep`.
            let reason = "the broker was away while a transaction ended".to_owned();
            return Err(KafkaLogError::Fenced { reason }.into());
        }
        failpoint::hit("append.after");
        debug!(millis = began.elapsed().as_millis(), "appended");
        Ok(writer.ends())
    }

    /// Refuses topics that are not those of the start any more.
    async fn check_topics(&self) -> Result<(), LogError> {
        let client = Arc::clone(&self.client);
        blocking(move || Ok(client.check_topics()?)).await.map(|_| ())
    }

    /// Gives a transaction up, so that readers need not wait until the broker does.
    async fn abort(&self, writer: Arc<Writer>) {
        for _ in 0..ABORT_TRIES {
            let aborting = Arc::clone(&writer);
            match blocking(move || Ok(aborting.abort()?)).await {
                Ok(Step::Done) => return,
                Ok(Step::Again) => {}
                Err(error) => {
                    debug!(%error, "a transaction is left to the broker");
                    return;
                }
            }
        }
    }

    /// The records at or above `from`; from here on the ends of the partitions are those behind their last records.
    async fn records_from(&self, from: &Offsets) -> Result<Vec<PendingRecord>, LogError> {
        let client = Arc::clone(&self.client);
        let bounds = self.lock_bounds().clone();
        let from = from.clone();
        // Where nobody else publishes nothing may be open any more.
        let is_alone = self.publisher == Some(PublisherId::ONLY) && self.has_started.load(Ordering::Relaxed);
        let (records, ends) = blocking(move || {
            let mut records = Vec::new();
            let mut ends = Offsets::new();
            let mut starts: BTreeMap<&str, BTreeMap<i32, KafkaOffset>> = BTreeMap::new();
            for (&at, bounds) in &bounds {
                let offset = from.get(&at).copied().unwrap_or_default();
                ends.insert(at, offset);
                let start = read::to_kafka(offset.max(bounds.begin));
                let topic = client.settings.names.of(at.topic);
                starts.entry(topic).or_default().insert(progress::partition(at.partition), start);
            }
            for (topic, partitions) in &starts {
                if is_alone {
                    client.wait_until_stable(topic, &partitions.keys().copied().collect::<Vec<_>>())?;
                }
                scan::scan(&client, topic, partitions, |message| {
                    let at = client.settings.names.at(message.topic(), message.partition());
                    let (Some(at), Some(header)) = (at, read::header(message)?) else { return Ok(()) };
                    ends.insert(at, read::offset_of(message).next());
                    let RecordHeader { publisher, seq, file, rows, resolves, .. } = header;
                    records.push(PendingRecord { at, publisher, seq, file, rows, resolves });
                    Ok(())
                })?;
            }
            Ok((records, ends))
        })
        .await?;
        let mut bounds = self.lock_bounds();
        for (at, end) in ends {
            // Markers of transactions have offsets, too.
            if let Some(bounds) = bounds.get_mut(&at) {
                bounds.end = end;
            }
        }
        Ok(records)
    }

    async fn delete_below(&self, targets: &Offsets) -> Result<u64, LogError> {
        let failed = |error| self.client.failed("let old records go", error);
        let list = read::list(&self.client.settings, targets).map_err(failed)?;
        let options = AdminOptions::new().request_timeout(Some(2 * CALL_TIMEOUT));
        let deleted = self.client.admin()?.delete_records(&list, &options).await.map_err(failed)?;
        let mut bounds = self.lock_bounds();
        let mut records = 0;
        for element in deleted.elements() {
            let Some(at) = self.client.settings.names.at(element.topic(), element.partition()) else { continue };
            let (KafkaOffset::Offset(begin), Some(bounds)) = (element.offset(), bounds.get_mut(&at)) else { continue };
            let begin = Offset(u64::try_from(begin).unwrap_or_default());
            records += begin.0.saturating_sub(bounds.begin.0);
            bounds.begin = begin.max(bounds.begin);
        }
        drop(bounds);
        let kept = deleted.elements().iter().find_map(|element| match element.offset() {
            KafkaOffset::Offset(_) => None,
            KafkaOffset::Beginning
            | KafkaOffset::End
            | KafkaOffset::Stored
            | KafkaOffset::Invalid
            | KafkaOffset::OffsetTail(_) => Some(element.topic().to_owned()),
        });
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.kept = if kept.is_some() { times.kept + 1 } else { 0 };
        match kept {
            // A partition without a leader passes; the library does not hand on what the broker says.
            Some(topic) if times.kept >= KEPT_PATIENCE && self.client.health.trouble().is_none() => {
                let right = format!("Delete on the topic `{topic}`");
                let operation = format!("take archived records out of the topic `{topic}`");
                let reason = "the broker takes none out".to_owned();
                Err(self.client.not_permitted(operation, right, &reason).into())
            }
            Some(_) | None => Ok(records),
        }
    }
}

#[async_trait]
impl Log for KafkaLog {
    async fn append(&self, append: Append) -> Result<Offsets, LogError> {
        let mut writing = self.writing.lock().await;
        let writer = writing.writer.clone();
        let writer =
            writer.ok_or_else(|| KafkaLogError::Fenced { reason: "the publisher has not started".to_owned() })?;
        let now_millis = (now_micros() / 1000).max(writing.last_millis);
        let appended = self.transact(writer, append, now_millis).await;
        if let Ok(ends) = &appended {
            writing.last_millis = now_millis;
            self.lift_ends(ends);
        } else {
            writing.writer = None;
        }
        if appended.is_err() || self.client.is_time_to_look() {
            self.check_topics().await?;
        }
        appended
    }

    async fn recover(&self) -> Result<Recovered, LogError> {
        let client = Arc::clone(&self.client);
        let Some(id) = self.publisher else {
            return blocking(move || Ok(of_all(Progress::read(&client)?))).await;
        };
        let mut writing = self.writing.lock().await;
        // The old producer goes first, so that it cannot fence the new one.
        writing.writer = None;
        let instance = self.instance.clone();
        let was_started = self.has_started.load(Ordering::Relaxed);
        let started = blocking(move || {
            if was_started {
                client.check_topics()?;
            }
            Ok(start(&client, id, &instance, was_started)?)
        });
        let started = started.await?;
        if started.layout.stream != self.stream {
            return Err(KafkaLogError::TakenOver { index: id.index, count: id.count }.into());
        }
        writing.writer = Some(Arc::new(started.writer));
        if self.has_started.swap(true, Ordering::Relaxed) {
            // What was appended last may have landed without a word.
            let ends: Offsets = self.lock_bounds().iter().map(|(&at, bounds)| (at, bounds.end)).collect();
            self.records_from(&ends).await?;
        }
        Ok(started.recovered)
    }

    async fn kept_keys(&self, to: mpsc::Sender<KeptKeys>) -> Result<(), LogError> {
        let Some(id) = self.publisher.filter(|_| self.client.settings.has_dedup) else { return Ok(()) };
        let client = Arc::clone(&self.client);
        blocking(move || Ok(read_kept_keys(&client, id.index, &to)?)).await
    }

    async fn pending(&self, archived: &Offsets) -> Result<Vec<PendingRecord>, LogError> {
        self.records_from(archived).await
    }

    async fn read(&self, from: &Offsets, max_bytes: u64) -> Result<Vec<Record>, LogError> {
        loop {
            let wanted = from.clone();
            let records = self.reader.with(&self.client, move |reader| reader.read(&wanted, max_bytes)).await?;
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }

    async fn trim(&self, archived: Offsets, retention: Retention) -> Result<u64, LogError> {
        let age = retention.age;
        let (is_time_to_note, is_time_to_trim) = {
            let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
            let interval = (age / 10).clamp(TRIM_INTERVALS.0, TRIM_INTERVALS.1);
            (is_due(&mut times.noted, NOTE_INTERVAL), is_due(&mut times.trimmed, interval))
        };
        if archived.is_empty() || !(is_time_to_note || is_time_to_trim) {
            return Ok(0);
        }
        let age_millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let oldest_millis = (now_micros() / 1000).saturating_sub(age_millis);
        let limit = archived.clone();
        let membership = self.membership.get().cloned();
        let looked = self
            .reader
            .with(&self.client, move |reader| {
                let noted = reader.behind_markers(&archived);
                match membership {
                    Some(membership) => membership.note_archived(&noted),
                    None => reader.note_archived(&noted),
                }
                if is_time_to_trim { reader.younger_than(&archived, oldest_millis) } else { Ok(Offsets::new()) }
            })
            .await;
        let bounds = self.lock_bounds().clone();
        let trimmed = match looked {
            Ok(younger) => {
                let target = |(at, offset): (TopicPartition, Offset)| {
                    let target = offset.min(limit.get(&at).copied().unwrap_or_default());
                    let begin = bounds.get(&at).map_or(Offset::default(), |bounds| bounds.begin);
                    (target > begin).then_some((at, target))
                };
                let targets: Offsets = younger.into_iter().filter_map(target).collect();
                if targets.is_empty() { Ok(0) } else { self.delete_below(&targets).await }
            }
            Err(error) => Err(error),
        };
        // Old records that stay are no reason to stop.
        Ok(trimmed.unwrap_or_else(|error| {
            let text = crate::chain::chain(&error);
            if matches!(&error, LogError::Kafka(error) if matches!(**error, KafkaLogError::NotPermitted { .. })) {
                // It will not pass by itself.
                self.client.health.odd_once(format!("archived records stay on Kafka: {text}"));
            } else {
                warn!(error = text, "old records stay on Kafka for now");
            }
            0
        }))
    }

    async fn noted(&self) -> Result<Offsets, LogError> {
        let client = Arc::clone(&self.client);
        blocking(move || Ok(read::noted(&client, TopicPartition::all(client.settings.partitions)))).await
    }

    async fn bounds(&self) -> Result<Vec<Bounds>, LogError> {
        let client = Arc::clone(&self.client);
        let marks =
            blocking(move || Ok(read::all_watermarks(&client, TopicPartition::all(client.settings.partitions))?));
        let marks = marks.await?;
        let mut known = self.lock_bounds();
        for (at, (begin, end)) in marks {
            let bounds = known.entry(at).or_insert(Bounds { at, begin, end });
            (bounds.begin, bounds.end) = (begin, end.max(bounds.end));
        }
        Ok(known.values().copied().collect())
    }

    fn join(&self) -> Result<Arc<Membership>, LogError> {
        Ok(Membership::join(&self.client, &self.membership)?)
    }

    fn state(&self) -> LogState {
        LogState {
            kind: "kafka",
            stream: self.stream,
            partitions: self.lock_bounds().values().copied().collect(),
            disk_bytes: 0,
            trouble: self.client.health.trouble(),
        }
    }
}

/// Progress of all publishers, for those who only look.
fn of_all(progress: Progress) -> Recovered {
    let mut all = Recovered { next_seqs: progress.next_seqs(), ..Recovered::default() };
    for kept in progress.publishers.into_values() {
        let Recovered { publisher, files, .. } = start::recovered(kept, PublisherProgress::default());
        if all.publisher == PublisherProgress::default() {
            all.publisher = publisher;
        }
        all.files.extend(files);
    }
    all.files.sort_by_key(|file| file.sequence);
    all
}

/// Topics as they must be; waits some time for a broker that does not answer.
async fn prepare(client: &Arc<Client>, may_make: bool) -> Result<Vec<String>, LogError> {
    let began = Instant::now();
    loop {
        match topics::prepare(client, may_make).await {
            Ok(odd) => {
                client.health.good();
                return Ok(odd);
            }
            Err(error) if error.is_passing() && began.elapsed() < START_PATIENCE => {
                client.health.bad("no answer");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Does on a thread of its own what waits.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.map_err(LogError::Panicked)?
}
