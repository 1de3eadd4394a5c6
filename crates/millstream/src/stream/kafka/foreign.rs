//! A topic that another program writes, as JSON: its records are cleaned while they are received.
//!
//! Each partition gives clean rows and rejects, both up to the same offset, so that two tables of the archive can go on from it.
//! A row is (`_file`, `_row`) = (`<topic>/<partition>`, offset). Whoever cleans the same record comes to the same rows. Nothing is
//! ever written to the topic, nor taken out of it.
//!
//! Offsets are all that tells records apart, and a topic that was deleted and made anew has other records at the same offsets. So
//! Kafka's id of the topic is the id of the stream, and nothing that was read is handed on before the cluster said, after it was
//! read, that the topic still has that id.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use async_trait::async_trait;
use millstream_core::config::{Config, Kafka};
use millstream_core::dedup::KeptKeys;
use millstream_core::ids::{Offset, StreamId, Topic, TopicPartition};
use millstream_core::lists::text_lists;
use millstream_core::plan::{FilePlan, KnownSchema};
use millstream_core::progress::Offsets;
use millstream_core::record::{FILE, INGESTED_AT, RECORD_FORMAT, ROW, RecordHeader};
use rdkafka::Message;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::blocking;
use super::client::Client;
use super::error::KafkaLogError;
use super::group::Membership;
use super::health::{Health, Tell};
use super::progress::partition;
use super::read::{self, SharedReader, offset_of};
use super::settings::Settings;
use crate::chain::chain;
use crate::clean::batch::{BatchCleaner, CleanError};
use crate::stream::{
    Append, Bounds, FOREIGN, Log, LogError, LogState, PendingRecord, Record, Recovered, Retention, Tally, Value,
};
use crate::table::segment::time_range;

/// Rule of a record that is no JSON object.
const NOT_JSON: &str = "record:not_json";

/// The topic of another program, as a log.
pub(crate) struct ForeignLog {
    client: Arc<Client>,
    stream: StreamId,
    cleaner: Arc<ForeignCleaner>,
    reader: SharedReader,
    bounds: Mutex<BTreeMap<TopicPartition, Bounds>>,
    membership: OnceLock<Arc<Membership>>,
}

impl std::fmt::Debug for ForeignLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ForeignLog").field("topic", &self.client.settings.names.rows).finish_non_exhaustive()
    }
}

impl ForeignLog {
    /// Connects and checks the topic.
    pub(crate) async fn open(config: &Config, kafka: &Kafka, tell: Tell) -> Result<Self, LogError> {
        let settings = Settings::new(config, kafka)?;
        let health = Arc::new(Health::new(settings.brokers(), tell));
        let client = Arc::new(Client::new(settings, health));
        super::prepare(&client, false).await?;
        let cleaner = ForeignCleaner::new(config, &client.settings.names.rows)
            .map_err(|reason| KafkaLogError::Settings { reason })?;
        let topic = &client.settings.names.rows;
        let id = client.topic_id(topic).ok_or_else(|| KafkaLogError::Topic {
            topic: topic.clone(),
            problem: "has no id: topics of other programs need Kafka 2.8 or later, for nothing else tells one that was made anew".to_owned(),
        })?;
        Ok(Self {
            stream: StreamId(id),
            cleaner: Arc::new(cleaner),
            reader: SharedReader::default(),
            bounds: Mutex::default(),
            membership: OnceLock::new(),
            client,
        })
    }

    fn note(&self, records: &[Record]) {
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            if let Some(bounds) = bounds.get_mut(&record.at) {
                bounds.end = record.end().max(bounds.end);
            }
        }
    }
}

#[async_trait]
impl Log for ForeignLog {
    async fn append(&self, _: Append) -> Result<Offsets, LogError> {
        Err(LogError::Foreign)
    }

    async fn recover(&self) -> Result<Recovered, LogError> {
        Ok(Recovered::default())
    }

    async fn kept_keys(&self, _: mpsc::Sender<KeptKeys>) -> Result<(), LogError> {
        Ok(())
    }

    async fn pending(&self, _: &Offsets) -> Result<Vec<PendingRecord>, LogError> {
        Ok(Vec::new())
    }

    async fn read(&self, from: &Offsets, max_bytes: u64) -> Result<Vec<Record>, LogError> {
        // Rows and rejects come from the same records: from the lower of both.
        let mut lowest = Offsets::new();
        for (at, &offset) in from {
            let rows = TopicPartition { topic: Topic::Rows, ..*at };
            let known = lowest.entry(rows).or_insert(offset);
            *known = offset.min(*known);
        }
        loop {
            let (cleaner, wanted, stream) = (Arc::clone(&self.cleaner), lowest.clone(), self.stream);
            let client = Arc::clone(&self.client);
            let read = self.reader.with(&self.client, move |reader| {
                let mut runs: BTreeMap<TopicPartition, Run> = BTreeMap::new();
                reader.poll(&wanted, max_bytes, |at, message| {
                    let run = runs.entry(at).or_default();
                    run.offsets.push(offset_of(message).0);
                    run.times.push(message.timestamp().to_millis().unwrap_or_default().saturating_mul(1000));
                    run.values.push(message.payload().map(<[u8]>::to_vec));
                    Ok(())
                })?;
                if !runs.is_empty() && !client.check_topics()? {
                    // They are read again.
                    client.health.bad("the cluster does not tell whether the topic is still the same");
                    return Ok(Vec::new());
                }
                let mut records = Vec::new();
                for (at, run) in runs {
                    records.extend(cleaner.records(at, &run, stream)?);
                }
                Ok(records)
            });
            let records = read.await?;
            if !records.is_empty() {
                self.note(&records);
                return Ok(records);
            }
        }
    }

    async fn trim(&self, archived: Offsets, _: Retention) -> Result<u64, LogError> {
        // What may leave the topic is its owner's matter.
        let rows =
            archived.iter().filter(|(at, _)| at.topic == Topic::Rows).map(|(&at, &offset)| (at, offset)).collect();
        if let Some(membership) = self.membership.get() {
            membership.note_archived(&rows);
            return Ok(0);
        }
        let noted = self.reader.with(&self.client, move |reader| {
            reader.note_archived(&rows);
            Ok(())
        });
        noted.await.map(|()| 0)
    }

    async fn noted(&self) -> Result<Offsets, LogError> {
        let client = Arc::clone(&self.client);
        blocking(move || Ok(read::noted(&client, TopicPartition::rows(client.settings.partitions)))).await
    }

    async fn bounds(&self) -> Result<Vec<Bounds>, LogError> {
        let partitions = TopicPartition::rows(self.client.settings.partitions);
        // Asked every few seconds by the survey: a reader of its own each time would cost more than the question.
        let asked = self.reader.with(&self.client, |reader| reader.all_watermarks(partitions));
        let marks = asked.await?;
        let mut known = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, (begin, end)) in marks {
            for at in [at, at.rejects()] {
                known.insert(at, Bounds { at, begin, end });
            }
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
            partitions: self.bounds.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect(),
            disk_bytes: 0,
            trouble: self.client.health.trouble(),
        }
    }
}

/// Consecutive records of a partition.
#[derive(Default)]
struct Run {
    offsets: Vec<u64>,
    times: Vec<i64>,
    values: Vec<Option<Vec<u8>>>,
}

impl Run {
    /// Offsets of the records of which no row is in these batches, whose `_row` is a place in the run.
    fn without(&self, batches: &[&RecordBatch]) -> Result<Arc<[u64]>, ArrowError> {
        let mut has_row = vec![false; self.offsets.len()];
        for batch in batches {
            let rows = batch.column(batch.schema_ref().index_of(ROW)?).as_primitive::<Int64Type>();
            for place in rows.values() {
                if let Some(has_row) = usize::try_from(*place).ok().and_then(|place| has_row.get_mut(place)) {
                    *has_row = true;
                }
            }
        }
        Ok(self.offsets.iter().zip(has_row).filter(|(_, has_row)| !has_row).map(|(&offset, _)| offset).collect())
    }
}

/// What could be read of a run.
struct Read {
    /// The declared columns of the records that are JSON objects, as text.
    raw: RecordBatch,
    /// Their places in the run.
    places: Vec<usize>,
    /// Places of the others, and why.
    bad: Vec<(usize, String)>,
}

/// Cleans records: each declared column is read as text, and the plan does the rest as it does for files.
struct ForeignCleaner {
    topic: String,
    event_time: Option<String>,
    /// Names that each column may have in a record.
    names: Vec<Vec<String>>,
    raw: SchemaRef,
    rules_hash: String,
    rules: BatchCleaner,
}

impl ForeignCleaner {
    fn new(config: &Config, topic: &str) -> Result<Self, String> {
        let columns = &config.clean.columns;
        let fields: Vec<Field> = columns.iter().map(|column| Field::new(&column.name, DataType::Utf8, true)).collect();
        let names =
            columns.iter().map(|column| std::iter::once(&column.name).chain(&column.from).cloned().collect()).collect();
        let raw = Arc::new(Schema::new(fields));
        let event_time = config.source.event_time.clone();
        let plan = FilePlan::new(&config.clean, event_time.as_deref(), &KnownSchema::default(), &raw);
        let plan = Arc::new(plan.map_err(|error| error.to_string())?);
        let rules_hash = plan.rules_hash.clone();
        let rules = BatchCleaner::new(plan).map_err(|error| chain(&error))?;
        Ok(Self { topic: topic.to_owned(), event_time, names, raw, rules_hash, rules })
    }

    /// The clean rows and the rejects of a run.
    fn records(&self, at: TopicPartition, run: &Run, stream: StreamId) -> Result<[Record; 2], KafkaLogError> {
        let failed = |reason: String| KafkaLogError::Clean {
            topic: self.topic.clone(),
            partition: partition(at.partition),
            reason,
        };
        let arrange = |error: ArrowError| failed(error.to_string());
        let Read { raw, places, bad } = self.read(run).map_err(arrange)?;
        let cleaned = self.rules.clean(0, &raw).map_err(|error| match error {
            CleanError::Fail { rule, row, reason } => {
                let place = usize::try_from(row).ok().and_then(|row| places.get(row).copied()).unwrap_or_default();
                failed(format!("offset {} breaks `{rule}`, whose action is fail: {reason}", run.offsets[place]))
            }
            error @ (CleanError::Expression { .. } | CleanError::Arrange { .. }) => failed(chain(&error)),
        })?;
        let unread = unread(&bad, run, cleaned.rejects.schema_ref()).map_err(arrange)?;
        // Rows that were read count from 0; those that were not have their places already.
        let rejects = with_places(&cleaned.rejects, |row| places.get(row).copied()).map_err(arrange)?;
        let rejects = concat_batches(rejects.schema_ref(), [&rejects, &unread]).map_err(arrange)?;
        let clean = with_places(&cleaned.clean, |row| places.get(row).copied()).map_err(arrange)?;
        let record = |at: TopicPartition, batch: &RecordBatch, tally| -> Result<Record, ArrowError> {
            let (batch, offsets) = self.located(at, batch, run)?;
            let times = self.event_time.as_deref().and_then(|name| batch.column_by_name(name)).and_then(time_range);
            let first = run.offsets.first().copied().unwrap_or_default();
            let end = Offset(run.offsets.last().copied().unwrap_or_default()).next();
            let header = RecordHeader {
                format: RECORD_FORMAT,
                stream,
                publisher: FOREIGN,
                seq: 0,
                file: self.file(at),
                first_row: first,
                end_row: end.0,
                rows: batch.num_rows() as u64,
                found_at_micros: run.times.first().copied().unwrap_or_default(),
                event_time_micros: times,
                rules_hash: self.rules_hash.clone(),
                schema: None,
                resolves: false,
            };
            let timestamp_micros = run.times.first().copied().unwrap_or_default();
            let value = Value::Rows { batch, offsets, end, tally };
            Ok(Record { at, offset: Offset(first), timestamp_micros, header, value })
        };
        let all: Arc<[u64]> = Arc::from(run.offsets.as_slice());
        let filtered = run.without(&[&clean, &rejects]).map_err(arrange)?;
        if filtered.len() as u64 != cleaned.filtered {
            let (known, counted) = (filtered.len(), cleaned.filtered);
            return Err(failed(format!(
                "{known} records became neither rows nor rejects, and the filter left out {counted}"
            )));
        }
        let tally = Tally { all, filtered };
        let rejected = record(at.rejects(), &rejects, Tally::default()).map_err(arrange)?;
        Ok([record(at, &clean, tally).map_err(arrange)?, rejected])
    }

    fn file(&self, at: TopicPartition) -> String {
        format!("{}/{}", self.topic, at.partition)
    }

    /// The columns of the records that are JSON objects, as text; their places in the run; and the others, with reasons.
    fn read(&self, run: &Run) -> Result<Read, ArrowError> {
        let mut columns: Vec<Vec<Option<String>>> = vec![Vec::new(); self.names.len()];
        let (mut read, mut bad) = (Vec::new(), Vec::new());
        for (place, value) in run.values.iter().enumerate() {
            let object = value.as_deref().ok_or_else(|| "the record has no value".to_owned()).and_then(|value| {
                serde_json::from_slice::<BTreeMap<String, Option<Box<RawValue>>>>(value)
                    .map_err(|error| format!("the record is no JSON object ({error})"))
            });
            match object {
                Ok(object) => {
                    for (names, column) in self.names.iter().zip(&mut columns) {
                        let found = names.iter().find_map(|name| object.get(name)).and_then(Option::as_ref);
                        column.push(found.map(|value| text(value)));
                    }
                    read.push(place);
                }
                Err(reason) => bad.push((place, reason)),
            }
        }
        let arrays = columns.into_iter().map(|column| Arc::new(StringArray::from(column)) as ArrayRef).collect();
        Ok(Read { raw: RecordBatch::try_new(Arc::clone(&self.raw), arrays)?, places: read, bad })
    }

    /// The rows with `_file`, offsets in place of places, and their times; and the offsets.
    fn located(
        &self,
        at: TopicPartition,
        batch: &RecordBatch,
        run: &Run,
    ) -> Result<(RecordBatch, Arc<[u64]>), ArrowError> {
        // In the order of the log: rejects that could not be read came last.
        let mut order: Vec<(u64, u32)> = Vec::new();
        let places = batch.column_by_name(ROW).and_then(|rows| rows.as_primitive_opt::<Int64Type>().cloned());
        let places = places.ok_or_else(|| ArrowError::SchemaError("rows have no numbers".to_owned()))?;
        for (index, place) in (0u32..).zip(places.values()) {
            order.push((u64::try_from(*place).unwrap_or_default(), index));
        }
        order.sort_unstable();
        let indices = arrow::array::UInt32Array::from_iter_values(order.iter().map(|(_, index)| *index));
        let batch = arrow::compute::take_record_batch(batch, &indices)?;
        let place = |place: u64| usize::try_from(place).unwrap_or_default();
        let offsets: Vec<u64> = order.iter().map(|(at, _)| run.offsets[place(*at)]).collect();
        let times = order.iter().map(|(at, _)| run.times[place(*at)]);
        let rows =
            Int64Array::from_iter_values(offsets.iter().map(|&offset| i64::try_from(offset).unwrap_or(i64::MAX)));
        let files = StringArray::from_iter_values(std::iter::repeat_n(self.file(at), offsets.len()));
        let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
        let mut fields: Vec<Arc<Field>> = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if field.name() == ROW {
                fields.push(Arc::new(Field::new(FILE, DataType::Utf8, false)));
                columns.push(Arc::new(files.clone()));
                columns.push(Arc::new(rows.clone()));
            } else {
                columns.push(Arc::clone(column));
            }
            fields.push(Arc::clone(field));
        }
        fields.push(Arc::new(Field::new(INGESTED_AT, times.data_type().clone(), false)));
        columns.push(Arc::new(times));
        Ok((RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?, Arc::from(offsets)))
    }
}

/// A value as text: a text without its quotes, anything else as it stands.
fn text(value: &RawValue) -> String {
    serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

/// The batch with other numbers in `_row`.
fn with_places(batch: &RecordBatch, place: impl Fn(usize) -> Option<usize>) -> Result<RecordBatch, ArrowError> {
    let index = batch.schema_ref().index_of(ROW)?;
    let rows = batch.column(index).as_primitive::<Int64Type>();
    let number = |row: &i64| usize::try_from(*row).ok().and_then(&place).and_then(|place| i64::try_from(place).ok());
    let places = Int64Array::from_iter_values(rows.values().iter().map(|row| number(row).unwrap_or_default()));
    let mut columns = batch.columns().to_vec();
    columns[index] = Arc::new(places);
    RecordBatch::try_new(batch.schema(), columns)
}

/// Rejects for records that could not be read.
fn unread(bad: &[(usize, String)], run: &Run, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let rows = Int64Array::from_iter_values(bad.iter().map(|(place, _)| i64::try_from(*place).unwrap_or(i64::MAX)));
    let rules: Vec<Vec<String>> = bad.iter().map(|_| vec![NOT_JSON.to_owned()]).collect();
    let reasons: Vec<Vec<String>> = bad.iter().map(|(_, reason)| vec![reason.clone()]).collect();
    let original = |place: usize| {
        let value = run.values.get(place).and_then(Option::as_deref)?;
        serde_json::to_string(&BTreeMap::from([("record", String::from_utf8_lossy(value))])).ok()
    };
    let originals: StringArray = bad.iter().map(|(place, _)| original(*place)).collect();
    RecordBatch::try_new(
        Arc::clone(schema),
        vec![Arc::new(rows), Arc::new(text_lists(&rules)), Arc::new(text_lists(&reasons)), Arc::new(originals)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaner() -> ForeignCleaner {
        let text = "[pipeline]\nname = \"orders\"\n[clean.columns]\nid = { type = \"int64\", from = [\"ID\"] }\namount = { type = \
                    \"decimal(10,2)\" }\n[clean.rules]\namount = { column = \"amount\", check = { range = { min = 0 } }, action = \
                    \"reject\" }\n[clean.filter]\nkeep = \"id IS NULL OR id < 100\"\n[stream]\nformat = \"json\"\n[stream.kafka]\nbrokers = \"127.0.0.1:9092\"\nforeign = true\n";
        let config = Config::parse(text, std::path::Path::new("/p/pipeline.toml"), &|_| None).unwrap();
        ForeignCleaner::new(&config, "orders").unwrap()
    }

    #[test]
    fn each_record_is_a_row_or_a_reject_with_its_offset() {
        let values: [Option<&[u8]>; 7] = [
            Some(br#"{"ID": 1, "amount": 2.5, "more": [1]}"#),
            Some(b"no json"),
            Some(br#"{"id": "2", "amount": -1}"#),
            None,
            Some(br#"{"id": "x", "amount": "3.00"}"#),
            Some(br#"{"amount": null, "id": 5}"#),
            Some(br#"{"id": 101, "amount": "-1"}"#),
        ];
        let run = Run {
            offsets: vec![10, 11, 15, 16, 17, 30, 31],
            times: (1..8).collect(),
            values: values.iter().map(|value| value.map(<[u8]>::to_vec)).collect(),
        };
        let at = TopicPartition { topic: Topic::Rows, partition: 1 };
        let [clean, rejects] = cleaner().records(at, &run, StreamId(uuid::Uuid::nil())).unwrap();
        let offsets = |record: &Record| match &record.value {
            Value::Rows { offsets, end, .. } => (offsets.to_vec(), end.0),
            Value::Arrow(_) | Value::Batch(_) => panic!("rows are wanted"),
        };
        assert_eq!(offsets(&clean), (vec![10, 30], 32));
        assert_eq!(offsets(&rejects), (vec![11, 15, 16, 17], 32));
        let tally = |record: &Record| match &record.value {
            Value::Rows { tally, .. } => (tally.all.to_vec(), tally.filtered.to_vec()),
            Value::Arrow(_) | Value::Batch(_) => panic!("rows are wanted"),
        };
        assert_eq!(tally(&clean), (run.offsets.clone(), vec![31]));
        assert_eq!(tally(&rejects), (Vec::new(), Vec::new()));
        assert_eq!((clean.at, rejects.at), (at, at.rejects()));
        let rejects = rejects.batch().unwrap();
        let rules = arrow::util::display::array_value_to_string(rejects.column_by_name("rules").unwrap(), 0).unwrap();
        assert_eq!(rules, "[record:not_json]");
        let file = rejects.column_by_name(FILE).unwrap().as_string::<i32>().value(0).to_owned();
        assert_eq!(file, "orders/1");
    }
}
