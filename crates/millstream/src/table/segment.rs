//! A segment: consecutive records of one partition as one Arrow batch, with what is needed to pass over it unread.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatchOptions, TimestampMicrosecondArray, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use millstream_core::ids::{Offset, TopicPartition};
use millstream_core::record::{INGESTED_AT, memory_of};

use crate::stream::{Record, Tally, Value};

/// Rows of consecutive records.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Their partition.
    pub(crate) at: TopicPartition,
    /// Offset of the first record.
    pub(crate) first: Offset,
    /// Behind the last record.
    pub(crate) end: Offset,
    /// Publisher of the last record, and the seq behind it.
    pub(crate) next_seq: (u32, u64),
    /// Offset of each row, where each row is a record of its own: such a segment can be cut.
    pub(crate) row_offsets: Option<Arc<[u64]>>,
    /// Records of a topic that another program writes, also those that gave no row here.
    pub(crate) tally: Tally,
    /// The rows, with `ingested_at`.
    pub(crate) batch: RecordBatch,
    /// Memory of the rows, bytes.
    pub(crate) bytes: u64,
    /// Lowest and highest `ingested_at`.
    pub(crate) ingested_at_micros: (i64, i64),
    /// Lowest and highest event time; none without any.
    pub(crate) event_time_micros: Option<(i64, i64)>,
}

impl Segment {
    /// The rows of a record, `ingested_at` added.
    pub(crate) fn of_record(record: &Record, rows: &RecordBatch) -> Result<Self, ArrowError> {
        let own_times = rows.column_by_name(INGESTED_AT).map(time_range);
        let times = own_times.map_or(Some((record.timestamp_micros, record.timestamp_micros)), |range| range);
        // Rows that say what became of rejects have no time: they must not expire before what they speak of.
        let own = Some(record.timestamp_micros).filter(|_| !record.header.resolves);
        let batch = if own_times.is_some() { rows.clone() } else { with_ingested_at(rows, own)? };
        Ok(Self {
            at: record.at,
            first: record.offset,
            end: record.end(),
            next_seq: (record.header.publisher, record.header.seq + record.records()),
            row_offsets: match &record.value {
                Value::Arrow(_) | Value::Batch(_) => None,
                Value::Rows { offsets, .. } => Some(Arc::clone(offsets)),
            },
            tally: match &record.value {
                Value::Arrow(_) | Value::Batch(_) => Tally::default(),
                Value::Rows { tally, .. } => tally.clone(),
            },
            bytes: memory_of(&batch) as u64,
            batch,
            ingested_at_micros: times.unwrap_or((record.timestamp_micros, record.timestamp_micros)),
            event_time_micros: record.header.event_time_micros,
        })
    }

    /// What lies below an offset and what does not; none where it cannot be cut there.
    pub(crate) fn cut(&self, at: Offset) -> Option<(Self, Self)> {
        let offsets = self.row_offsets.as_ref()?;
        let below = offsets.partition_point(|&offset| offset < at.0);
        if at <= self.first || at >= self.end {
            return None;
        }
        let tallies = self.tally.cut(at);
        let part = |rows: std::ops::Range<usize>, first, end, tally| {
            let batch = self.batch.slice(rows.start, rows.len());
            let (publisher, next) = self.next_seq;
            Self {
                at: self.at,
                first,
                end,
                next_seq: (publisher, next - (offsets.len() - rows.end) as u64),
                row_offsets: Some(Arc::from(&offsets[rows])),
                tally,
                bytes: memory_of(&batch) as u64,
                batch,
                ingested_at_micros: self.ingested_at_micros,
                event_time_micros: self.event_time_micros,
            }
        };
        Some((part(0..below, self.first, at, tallies.0), part(below..offsets.len(), at, self.end, tallies.1)))
    }

    /// One segment for a run of neighbours; none when they cannot be put together.
    pub(crate) fn merge(run: &[Arc<Self>]) -> Option<Self> {
        let (first, last) = (run.first()?, run.last()?);
        let batches = run.iter().map(|segment| &segment.batch);
        let batch = concat_batches(first.batch.schema_ref(), batches).ok()?;
        let event_times = run.iter().filter_map(|segment| segment.event_time_micros);
        Some(Self {
            at: first.at,
            first: first.first,
            end: last.end,
            next_seq: last.next_seq,
            // Merged segments are archived: nobody cuts them any more.
            row_offsets: None,
            tally: Tally::default(),
            bytes: memory_of(&batch) as u64,
            batch,
            ingested_at_micros: (first.ingested_at_micros.0, last.ingested_at_micros.1),
            event_time_micros: event_times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))),
        })
    }
}

/// The batch with the columns of `schema`: missing ones are null, dictionaries plain.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| -> Result<ArrayRef, ArrowError> {
        match batch.column_by_name(field.name()) {
            Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
            Some(array) => cast(array, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// The type as stored and sent: dictionaries are a matter of memory only.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are treated alike")]
pub(crate) fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain(values),
        other => other.clone(),
    }
}

/// Type of times in all tables.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Lowest and highest value of a column of times.
pub(crate) fn time_range(column: &ArrayRef) -> Option<(i64, i64)> {
    let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some((arrow::compute::min(times)?, arrow::compute::max(times)?))
}

fn with_ingested_at(rows: &RecordBatch, timestamp_micros: Option<i64>) -> Result<RecordBatch, ArrowError> {
    let times = match timestamp_micros {
        Some(micros) => TimestampMicrosecondArray::from_value(micros, rows.num_rows()),
        None => TimestampMicrosecondArray::new_null(rows.num_rows()),
    };
    let times = times.with_timezone("UTC");
    let mut fields: Vec<Arc<Field>> = rows.schema_ref().fields().iter().cloned().collect();
    let mut columns = rows.columns().to_vec();
    fields.push(Arc::new(Field::new(INGESTED_AT, time_type(), timestamp_micros.is_none())));
    columns.push(Arc::new(times));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use arrow::array::Int64Array;
    use millstream_core::ids::{Offset, StreamId, Topic};
    use millstream_core::record::RecordHeader;

    use super::*;
    use crate::table::Window;

    const AT: TopicPartition = TopicPartition { topic: Topic::Rows, partition: 0 };

    fn header(rows: usize) -> RecordHeader {
        RecordHeader {
            format: 1,
            stream: StreamId(uuid::Uuid::nil()),
            publisher: 0,
            seq: 100,
            file: "f".to_owned(),
            first_row: 0,
            end_row: 1,
            rows: rows as u64,
            found_at_micros: 0,
            event_time_micros: None,
            rules_hash: String::new(),
            schema: None,
            resolves: false,
        }
    }

    /// These rows as one record.
    pub(crate) fn of_rows(batch: &RecordBatch, offset: u64) -> Segment {
        let (header, value) = (header(batch.num_rows()), Value::Batch(batch.clone()));
        let record = Record { at: AT, offset: Offset(offset), timestamp_micros: 7, header, value };
        Segment::of_record(&record, batch).unwrap()
    }

    #[test]
    fn a_window_without_room_is_cut_between_records_and_the_rest_comes_later() {
        let batch = |rows: i64| {
            let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
            RecordBatch::try_from_iter([("n", values)]).unwrap()
        };
        let segments: Vec<_> = (0..5).map(|offset| Arc::new(of_rows(&batch(100), offset))).collect();
        let (start, end) = (BTreeMap::from([(AT, Offset(0))]), BTreeMap::from([(AT, Offset(5))]));
        let whole = Window { start, end, segments };
        let each = whole.bytes() / 5;
        for (bytes, records) in [(0, 1), (each - 1, 1), (each, 1), (2 * each, 2), (5 * each - 1, 4), (5 * each, 5)] {
            let part = whole.clone().within(bytes);
            assert_eq!((part.segments.len() as u64, part.end[&AT]), (records, Offset(records)), "{bytes}");
            assert_eq!(part.start, whole.start);
        }
    }

    /// A row for each of these offsets, its value the offset.
    fn segment(offsets: &[u64], end: u64) -> Segment {
        let values: ArrayRef =
            Arc::new(Int64Array::from_iter_values(offsets.iter().map(|&offset| i64::try_from(offset).unwrap())));
        let batch = RecordBatch::try_from_iter([("n", values)]).unwrap();
        let header = header(offsets.len());
        // Records between gave no row here; every other of them was left out by the filter.
        let all: Arc<[u64]> = (offsets[0]..end).collect();
        let filtered = all.iter().copied().filter(|offset| !offsets.contains(offset) && offset % 2 == 0).collect();
        let tally = Tally { all, filtered };
        let value = Value::Rows { batch: batch.clone(), offsets: Arc::from(offsets), end: Offset(end), tally };
        let record = Record { at: AT, offset: Offset(offsets[0]), timestamp_micros: 7, header, value };
        Segment::of_record(&record, &batch).unwrap()
    }

    fn values(segment: &Segment) -> Vec<i64> {
        segment.batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
    }

    #[test]
    fn rows_that_are_records_can_be_cut_at_any_offset_and_none_is_lost_or_repeated() {
        let whole = segment(&[10, 11, 14, 20], 25);
        for cut in 11..25 {
            let (below, above) = whole.cut(Offset(cut)).unwrap();
            let all: Vec<i64> = values(&below).into_iter().chain(values(&above)).collect();
            assert_eq!(all, [10, 11, 14, 20], "cut at {cut}");
            let counts = |part: &Segment| (part.tally.all.len(), part.tally.filtered.len());
            let (of_below, of_above) = (counts(&below), counts(&above));
            assert_eq!((of_below.0 + of_above.0, of_below.1 + of_above.1), (15, 5), "cut at {cut}");
            assert!(below.tally.all.iter().chain(&*below.tally.filtered).all(|&offset| offset < cut));
            assert!(values(&below).iter().all(|&value| value < i64::try_from(cut).unwrap()));
            assert_eq!(
                (below.first, below.end, above.first, above.end),
                (Offset(10), Offset(cut), Offset(cut), Offset(25))
            );
            assert_eq!(above.next_seq, (0, 104));
            assert_eq!(below.next_seq, (0, 100 + values(&below).len() as u64));
        }
        assert!(whole.cut(Offset(10)).is_none() && whole.cut(Offset(25)).is_none());
    }
}
