//! The embedded log: one process, one folder, `fjall` beneath. An append is one atomic batch that is fsynced before it
//! returns.
//!
//! Keyspaces: `headers` and `values` by (topic, partition, offset), `state` (stream id, publisher, files, bounds), `keys` (chunks of
//! keys of dedup) and `dedup` (keys that earlier versions kept one by one, only read). Headers are apart from values so that recovery
//! and trimming never read rows. Large appends have their values in files of their own: [`values`].

mod fresh;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use millstream_core::dedup::{ChunkId, Claim, ForgottenSlice, KeptKeys, KeyChunk};
use millstream_core::ids::{Offset, StreamId, Topic, TopicPartition};
use millstream_core::progress::Offsets;
use millstream_core::record::{RecordHeader, memory_of};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use self::fresh::Fresh;
use self::values::{Place, Values};
use super::{
    Append, Bounds, Log, LogError, LogState, NewRecord, PendingRecord, PublisherId, Record, Recovered, Retention,
    Trouble, Value,
};
use crate::clock::now_micros;
use crate::disk;
use crate::failpoint;
use crate::stream::kafka::Membership;

/// What the embedded log keeps in memory at most: memtables and block cache.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// What its journals may take on disk before memtables are flushed.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;

/// Values that are together larger than this go to files of their own: they need one more call that forces to disk, and are
/// not written twice. The development build, which tests kill, does both with little data.
const LARGE_BYTES: u64 = if cfg!(debug_assertions) { 16 * 1024 } else { 1024 * 1024 };

/// Single keys that are given back at once.
const SINGLE_KEYS: usize = 2048;

/// How long an append waits at its end for a receiver that is behind. It would have to decode what could be handed to it; but a
/// receiver that waits itself must not stop the publisher.
const COURTESY: Duration = Duration::from_millis(500);

/// A handle to the open log; cheap to clone.
#[derive(Clone)]
pub(crate) struct EmbeddedLog(Arc<Inner>);

struct Inner {
    folder: String,
    stream: StreamId,
    database: Database,
    headers: Keyspace,
    values: Keyspace,
    state: Keyspace,
    keys: Keyspace,
    single_keys: Keyspace,
    files: Values,
    fresh: Fresh,
    /// One append at a time.
    appending: Mutex<()>,
    tails: Mutex<Tails>,
    /// What keeps rows from being appended.
    trouble: Mutex<Option<Trouble>>,
    appended: watch::Sender<u64>,
}

/// The ends of the partitions. Never locked while anything is written.
#[derive(Debug, Default)]
struct Tails {
    partitions: BTreeMap<TopicPartition, Tail>,
    last_timestamp_micros: i64,
    appends: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tail {
    begin: Offset,
    end: Offset,
    bytes: u64,
}

/// A header as stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    timestamp_micros: i64,
    value_bytes: u64,
    /// Where the value is; none when it is in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    header: RecordHeader,
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EmbeddedLog").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens the log in `folder`, making it when it is not there. Keeps about `fresh_bytes` of what it has just made durable for
    /// its reader. Blocks. The caller holds the lock of the data folder.
    pub(crate) fn open(folder: &Path, partitions: u32, fresh_bytes: u64) -> Result<Self, LogError> {
        if !folder.exists() {
            create(folder)?;
        }
        let inner = Inner::open(folder, fresh_bytes)?;
        let tails = inner.scan_tails(partitions)?;
        inner.files.remove_unnamed().map_err(inner.files_error())?;
        *inner.lock_tails() = tails;
        Ok(Self(Arc::new(inner)))
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    async fn append(&self, append: Append) -> Result<Offsets, LogError> {
        let values = append.records.iter().map(|record| record.value.len());
        let keys = append.dedup.chunks.iter().map(|chunk| chunk.value.len());
        self.0.check_room(values.chain(keys).map(|bytes| bytes as u64).sum())?;
        let inner = Arc::clone(&self.0);
        let ends = blocking(move || inner.append(append)).await?;
        // Whether the receiver comes in time changes nothing of what is durable.
        let _ = tokio::time::timeout(COURTESY, self.0.fresh.has_room()).await;
        Ok(ends)
    }

    async fn recover(&self) -> Result<Recovered, LogError> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            if inner.lock_trouble().is_some() {
                // Whoever begins anew after a full disk would find it full again.
                inner.probe_room()?;
            }
            inner.recover()
        })
        .await
    }

    async fn kept_keys(&self, to: mpsc::Sender<KeptKeys>) -> Result<(), LogError> {
        let inner = Arc::clone(&self.0);
        blocking(move || inner.kept_keys(&to)).await
    }

    async fn pending(&self, archived: &Offsets) -> Result<Vec<PendingRecord>, LogError> {
        let inner = Arc::clone(&self.0);
        let archived = archived.clone();
        blocking(move || inner.pending(&archived)).await
    }

    async fn read(&self, from: &Offsets, max_bytes: u64) -> Result<Vec<Record>, LogError> {
        let mut appended = self.0.appended.subscribe();
        loop {
            appended.mark_unchanged();
            let inner = Arc::clone(&self.0);
            let wanted = from.clone();
            let records = blocking(move || inner.read(&wanted, max_bytes)).await?;
            if !records.is_empty() {
                return Ok(records);
            }
            // The sender lives as long as the log: an error cannot come.
            let _ = appended.changed().await;
        }
    }

    async fn trim(&self, archived: Offsets, retention: Retention) -> Result<u64, LogError> {
        if disk::check(Path::new(&self.0.folder), disk::TRIM_RESERVE_BYTES).is_err() {
            return Ok(0);
        }
        let inner = Arc::clone(&self.0);
        blocking(move || inner.trim(&archived, retention, now_micros())).await
    }

    async fn noted(&self) -> Result<Offsets, LogError> {
        Ok(Offsets::new())
    }

    async fn bounds(&self) -> Result<Vec<Bounds>, LogError> {
        Ok(self.state().partitions)
    }

    fn join(&self) -> Result<Arc<Membership>, LogError> {
        Err(LogError::OneProcess)
    }

    fn state(&self) -> LogState {
        let tails = self.0.lock_tails().partitions.clone();
        LogState {
            kind: "embedded",
            stream: self.0.stream,
            partitions: tails.iter().map(|(&at, tail)| Bounds { at, begin: tail.begin, end: tail.end }).collect(),
            disk_bytes: self.0.database.disk_space().unwrap_or_default() + self.0.files.disk_bytes(),
            trouble: self.0.lock_trouble().clone(),
        }
    }
}

/// Makes a log whole before it gets its name: fjall cannot open what a kill left of one that was being made.
fn create(folder: &Path) -> Result<(), LogError> {
    let unnamed = folder.with_extension("new");
    let error = |source| LogError::Create { folder: folder.display().to_string(), source };
    if unnamed.exists() {
        std::fs::remove_dir_all(&unnamed).map_err(error)?;
    }
    drop(Inner::open(&unnamed, 0)?);
    failpoint::hit("embedded.created");
    std::fs::rename(&unnamed, folder).map_err(error)?;
    let parent = folder.parent().unwrap_or(Path::new("."));
    std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(error)
}

impl Inner {
    fn open(folder: &Path, fresh_bytes: u64) -> Result<Self, LogError> {
        let name = folder.display().to_string();
        let open = |source| {
            let folder = name.clone();
            if matches!(source, fjall::Error::Locked) {
                LogError::InUse { folder }
            } else {
                LogError::Open { folder, source }
            }
        };
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(2)
            .open()
            .map_err(open)?;
        let small = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES / 2);
        let large = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .with_kv_separation(Some(KvSeparationOptions::default()))
        };
        let headers = database.keyspace("headers", small).map_err(open)?;
        let values = database.keyspace("values", large).map_err(open)?;
        let state = database.keyspace("state", small).map_err(open)?;
        let keys = database.keyspace("keys", large).map_err(open)?;
        let single_keys = database.keyspace("dedup", small).map_err(open)?;
        let stream = stream_id(&database, &state, &name)?;
        let files =
            Values::open(folder.join("values")).map_err(|source| LogError::Create { folder: name.clone(), source })?;
        Ok(Self {
            folder: name,
            stream,
            database,
            headers,
            values,
            state,
            keys,
            single_keys,
            files,
            fresh: Fresh::new(fresh_bytes),
            appending: Mutex::default(),
            tails: Mutex::default(),
            trouble: Mutex::default(),
            appended: watch::Sender::new(0),
        })
    }

    fn lock_tails(&self) -> MutexGuard<'_, Tails> {
        // Every change under the lock is whole by itself.
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        // It is only ever set as a whole.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// fjall takes no more writes after one that failed, so none is begun that might.
    fn check_room(&self, bytes: u64) -> Result<(), disk::Full> {
        // What is appended is written twice before the first copy goes.
        let checked = disk::check(Path::new(&self.folder), disk::LOG_RESERVE_BYTES + 2 * bytes);
        match &checked {
            Ok(()) => *self.lock_trouble() = None,
            Err(full) => self.troubled(full),
        }
        checked
    }

    /// Whether there is room again after there was none. Of a quota only writing tells. Blocks.
    fn probe_room(&self) -> Result<(), LogError> {
        if let Err(full) = disk::check(Path::new(&self.folder), disk::LOG_RESERVE_BYTES) {
            self.troubled(&full);
            return Err(full.into());
        }
        self.files.probe().map_err(|source| self.not_written(source))?;
        *self.lock_trouble() = None;
        Ok(())
    }

    /// Keeps what keeps rows from being appended, and since when.
    fn troubled(&self, full: &disk::Full) {
        let mut trouble = self.lock_trouble();
        let since_micros = trouble.as_ref().map_or_else(now_micros, |trouble| trouble.since_micros);
        *trouble = Some(Trouble { since_micros, what: full.to_string() });
    }

    /// Why values are not written. A full disk or quota is waited out: nothing refers to them yet.
    fn not_written(&self, source: std::io::Error) -> LogError {
        if disk::is_full(&source) {
            let full = disk::Full::Refused { path: PathBuf::from(&self.folder) };
            self.troubled(&full);
            return full.into();
        }
        self.files_error()(source)
    }

    fn read_error(&self) -> impl Fn(fjall::Error) -> LogError + '_ {
        |source| LogError::Read { folder: self.folder.clone(), source }
    }

    fn files_error(&self) -> impl Fn(std::io::Error) -> LogError + '_ {
        |source| LogError::Values { folder: self.folder.clone(), source }
    }

    fn damaged(&self, what: &'static str) -> LogError {
        LogError::Damaged { folder: self.folder.clone(), what }
    }

    fn scan_tails(&self, partitions: u32) -> Result<Tails, LogError> {
        let mut tails = Tails::default();
        for at in TopicPartition::all(partitions) {
            let mut tail = Tail::default();
            if let Some(end) = self.state.get(end_key(at)).map_err(self.read_error())? {
                tail.end = Offset(u64::from_be_bytes(end.as_ref().try_into().map_err(|_| self.damaged("an offset"))?));
            }
            tail.begin = tail.end;
            for guard in self.headers.range(record_key(at, Offset(0))..record_key(at, tail.end)) {
                let (key, stored) = self.stored(guard)?;
                tail.begin = tail.begin.min(key);
                tail.bytes += stored.value_bytes;
                if let Some(place) = stored.place {
                    self.files.name(place);
                }
                tails.last_timestamp_micros = tails.last_timestamp_micros.max(stored.timestamp_micros);
            }
            tails.partitions.insert(at, tail);
        }
        Ok(tails)
    }

    fn stored(&self, guard: fjall::Guard) -> Result<(Offset, Stored), LogError> {
        let (key, value) = guard.into_inner().map_err(self.read_error())?;
        let offset = key.get(5..13).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let offset = offset.ok_or_else(|| self.damaged("a record key"))?;
        let stored = serde_json::from_slice(&value).map_err(|_| self.damaged("a record header"))?;
        Ok((Offset(offset), stored))
    }

    fn append(&self, append: Append) -> Result<Offsets, LogError> {
        let _one = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut next, last_micros) = {
            let tails = self.lock_tails();
            (tails.partitions.clone(), tails.last_timestamp_micros)
        };
        let now = now_micros().max(last_micros);
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        let mut places = self.places(&append.records)?.into_iter();
        let mut ends = Offsets::new();
        let mut durable = Vec::with_capacity(append.records.len());
        for NewRecord { at, header, value, batch: rows, .. } in append.records {
            let tail = next.entry(at).or_default();
            let (key, offset) = (record_key(at, tail.end), tail.end);
            let stored =
                Stored { timestamp_micros: now, value_bytes: value.len() as u64, place: places.next(), header };
            batch.insert(&self.headers, key, to_json(&stored));
            if stored.place.is_none() {
                batch.insert(&self.values, key, value.as_ref());
            }
            tail.end = tail.end.next();
            ends.insert(at, tail.end);
            durable.push(Durable { at, offset, stored, rows });
        }
        for (&at, end) in &ends {
            batch.insert(&self.state, end_key(at), end.0.to_be_bytes());
        }
        if let Some(publisher) = &append.publisher {
            batch.insert(&self.state, "publisher", to_json(publisher));
        }
        for &sequence in &append.given_up {
            batch.remove(&self.state, file_key(sequence));
        }
        for file in &append.files {
            batch.insert(&self.state, file_key(file.sequence), to_json(file));
        }
        for id in append.dedup.forgotten.into_iter().flat_map(ForgottenSlice::ids) {
            batch.remove(&self.keys, id.to_bytes());
        }
        for KeyChunk { id, value } in append.dedup.chunks {
            batch.insert(&self.keys, id.to_bytes(), value);
        }
        failpoint::hit("append.before");
        batch.commit().map_err(|source| LogError::Append { folder: self.folder.clone(), source })?;
        failpoint::hit("append.after");
        let appends = self.became_durable(&durable, &ends, now);
        failpoint::acknowledge(appends);
        self.fresh.put(durable.into_iter().filter_map(Durable::into_record));
        self.appended.send_modify(|count| *count += 1);
        Ok(ends)
    }

    /// Writes values that are together large to files of their own, where nothing refers to them yet.
    fn places(&self, records: &[NewRecord]) -> Result<Vec<Place>, LogError> {
        if records.iter().map(|record| record.value.len() as u64).sum::<u64>() <= LARGE_BYTES {
            return Ok(Vec::new());
        }
        self.files.append(records.iter().map(|record| &record.value)).map_err(|source| self.not_written(source))
    }

    /// Takes in what an append has made true. Gives the number of appends.
    fn became_durable(&self, records: &[Durable], ends: &Offsets, now_micros: i64) -> u64 {
        let mut tails = self.lock_tails();
        for Durable { at, stored, .. } in records {
            tails.partitions.entry(*at).or_default().bytes += stored.value_bytes;
            if let Some(place) = stored.place {
                self.files.name(place);
            }
        }
        for (&at, &end) in ends {
            tails.partitions.entry(at).or_default().end = end;
        }
        tails.last_timestamp_micros = now_micros;
        tails.appends += 1;
        tails.appends
    }

    fn recover(&self) -> Result<Recovered, LogError> {
        let mut recovered = Recovered::default();
        if let Some(value) = self.state.get("publisher").map_err(self.read_error())? {
            recovered.publisher =
                serde_json::from_slice(&value).map_err(|_| self.damaged("the publisher's progress"))?;
        }
        for guard in self.state.prefix("file/") {
            let value = guard.value().map_err(self.read_error())?;
            recovered.files.push(serde_json::from_slice(&value).map_err(|_| self.damaged("the progress of a file"))?);
        }
        let PublisherId { index, .. } = PublisherId::ONLY;
        recovered.next_seqs = recovered.publisher.next_seq.iter().map(|(&at, &next)| ((at, index), next)).collect();
        recovered.rules = recovered.publisher.rules().cloned().collect();
        Ok(recovered)
    }

    fn kept_keys(&self, to: &mpsc::Sender<KeptKeys>) -> Result<(), LogError> {
        let mut single = Vec::new();
        for guard in self.single_keys.iter() {
            let (key, time) = guard.into_inner().map_err(self.read_error())?;
            if key.len() + time.len() != Claim::BYTES {
                return Err(self.damaged("a dedup key"));
            }
            single.push(Claim::read(&[key.as_ref(), time.as_ref()].concat()));
            if single.len() == SINGLE_KEYS && to.blocking_send(KeptKeys::Single(std::mem::take(&mut single))).is_err() {
                return Ok(());
            }
        }
        if !single.is_empty() && to.blocking_send(KeptKeys::Single(single)).is_err() {
            return Ok(());
        }
        for guard in self.keys.iter() {
            let (id, value) = guard.into_inner().map_err(self.read_error())?;
            let id = id.as_ref().try_into().map_err(|_| self.damaged("the name of a chunk of dedup keys"))?;
            let chunk = KeyChunk { id: ChunkId::from_bytes(id), value: value.to_vec() };
            if to.blocking_send(KeptKeys::Chunk(chunk)).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn pending(&self, archived: &Offsets) -> Result<Vec<PendingRecord>, LogError> {
        let mut pending = Vec::new();
        let tails = self.lock_tails().partitions.clone();
        for (&at, tail) in &tails {
            let from = archived.get(&at).copied().unwrap_or_default();
            for guard in self.headers.range(record_key(at, from)..record_key(at, tail.end.max(from))) {
                let (_, stored) = self.stored(guard)?;
                let RecordHeader { publisher, seq, file, rows, resolves, .. } = stored.header;
                pending.push(PendingRecord { at, publisher, seq, file, rows, resolves });
            }
        }
        Ok(pending)
    }

    fn read(&self, from: &Offsets, max_bytes: u64) -> Result<Vec<Record>, LogError> {
        let tails = self.lock_tails().partitions.clone();
        let mut records = Vec::new();
        // Each partition gets its share, so that none waits for another.
        let share = max_bytes / (from.len().max(1) as u64);
        for (&at, &start) in from {
            let tail = tails.get(&at).copied().unwrap_or_default();
            if start < tail.begin || start > tail.end {
                return Err(LogError::OutOfRange { at, asked: start, begin: tail.begin, end: tail.end });
            }
            let fresh = self.fresh.read(at, start, share);
            if !fresh.is_empty() {
                records.extend(fresh);
                continue;
            }
            let mut bytes = 0;
            for guard in self.headers.range(record_key(at, start)..record_key(at, tail.end)) {
                let (offset, stored) = self.stored(guard)?;
                bytes += stored.value_bytes;
                let value = Value::Arrow(self.value(at, offset, &stored)?);
                let Stored { timestamp_micros, header, .. } = stored;
                records.push(Record { at, offset, timestamp_micros, header, value });
                if bytes >= share {
                    break;
                }
            }
        }
        Ok(records)
    }

    fn value(&self, at: TopicPartition, offset: Offset, stored: &Stored) -> Result<Bytes, LogError> {
        if let Some(place) = stored.place {
            return self.files.read(place, stored.value_bytes).map_err(self.files_error());
        }
        let value = self.values.get(record_key(at, offset)).map_err(self.read_error())?;
        value.map(Bytes::from_owner).ok_or_else(|| self.damaged("a header without its value"))
    }

    fn trim(&self, archived: &Offsets, retention: Retention, now: i64) -> Result<u64, LogError> {
        let oldest = now.saturating_sub(i64::try_from(retention.age.as_micros()).unwrap_or(i64::MAX));
        let tails = self.lock_tails().partitions.clone();
        let total = tails.values().map(|tail| tail.bytes).sum::<u64>();
        let over = total.saturating_sub(retention.bytes);
        let mut batch = self.database.batch();
        let mut gone: Vec<(TopicPartition, Offset, u64)> = Vec::new();
        let mut places = Vec::new();
        for (&at, tail) in &tails {
            let end = archived.get(&at).copied().unwrap_or_default().min(tail.end);
            // Each partition gives its part of what is too much.
            let mut excess =
                u64::try_from(u128::from(over) * u128::from(tail.bytes) / u128::from(total.max(1))).unwrap_or(over);
            for guard in self.headers.range(record_key(at, tail.begin)..record_key(at, end.max(tail.begin))) {
                let (offset, stored) = self.stored(guard)?;
                if stored.timestamp_micros > oldest && excess == 0 {
                    break;
                }
                excess = excess.saturating_sub(stored.value_bytes);
                batch.remove(&self.headers, record_key(at, offset));
                match stored.place {
                    Some(place) => places.push(place),
                    None => batch.remove(&self.values, record_key(at, offset)),
                }
                gone.push((at, offset, stored.value_bytes));
            }
        }
        if gone.is_empty() {
            return Ok(0);
        }
        let append_error = |source| LogError::Append { folder: self.folder.clone(), source };
        batch.commit().map_err(append_error)?;
        let free = self.files.let_go(&places);
        if !free.is_empty() {
            // No header may come back after its value went.
            self.database.persist(PersistMode::SyncAll).map_err(append_error)?;
            self.files.remove(&free).map_err(self.files_error())?;
        }
        let mut tails = self.lock_tails();
        for (at, offset, bytes) in &gone {
            let tail = tails.partitions.entry(*at).or_default();
            tail.begin = tail.begin.max(offset.next());
            tail.bytes = tail.bytes.saturating_sub(*bytes);
        }
        Ok(gone.len() as u64)
    }
}

/// A record that an append has made durable.
struct Durable {
    at: TopicPartition,
    offset: Offset,
    stored: Stored,
    rows: Option<RecordBatch>,
}

impl Durable {
    /// As its reader gets it, with the memory of its rows; none without them.
    fn into_record(self) -> Option<(Record, u64)> {
        let Self { at, offset, stored: Stored { timestamp_micros, header, .. }, rows } = self;
        let rows = rows?;
        let bytes = memory_of(&rows) as u64;
        Some((Record { at, offset, timestamp_micros, header, value: Value::Batch(rows) }, bytes))
    }
}

/// The stream id of the log; made when it is first opened.
fn stream_id(database: &Database, state: &Keyspace, folder: &str) -> Result<StreamId, LogError> {
    let read = state.get("stream").map_err(|source| LogError::Read { folder: folder.to_owned(), source })?;
    if let Some(bytes) = read {
        return Uuid::from_slice(&bytes)
            .map(StreamId)
            .map_err(|_| LogError::Damaged { folder: folder.to_owned(), what: "a stream id" });
    }
    let stream = StreamId(Uuid::new_v4());
    let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(state, "stream", stream.0.as_bytes().as_slice());
    batch.commit().map_err(|source| LogError::Append { folder: folder.to_owned(), source })?;
    Ok(stream)
}

fn record_key(at: TopicPartition, offset: Offset) -> [u8; 13] {
    let mut key = [0; 13];
    key[0] = match at.topic {
        Topic::Rows => b'r',
        Topic::Rejects => b'x',
    };
    key[1..5].copy_from_slice(&at.partition.to_be_bytes());
    key[5..].copy_from_slice(&offset.0.to_be_bytes());
    key
}

fn end_key(at: TopicPartition) -> String {
    format!("end/{at}")
}

fn file_key(sequence: u64) -> String {
    // Sixteen hexadecimal digits sort as numbers do.
    format!("file/{sequence:016x}")
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    // These types hold only numbers, texts and lists: serializing them cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.map_err(LogError::Panicked)?
}

/// Where the embedded log of a data folder is.
pub(crate) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("log")
}
