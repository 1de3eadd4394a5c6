//! What columns hold lately: nulls, distinct values, lowest and highest, how the values are spread. Of many rows a sample is
//! looked at, every n-th, and the answer says so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use millstream_core::detail::{ColumnProfile, Profile, TopValue};
use millstream_core::ids::Topic;
use millstream_core::record::{INGESTED_AT, memory_of};

use super::tables::merged_schema;
use super::{Queries, QueryError};
use crate::clock::now_micros;
use crate::table::segment::{Segment, conform};

/// Rows that are looked at.
const SAMPLE_ROWS: usize = 20_000;

/// Memory of these rows, about: of long ones fewer are looked at.
const SAMPLE_BYTES: usize = 16 * 1024 * 1024;

/// Bars of a histogram.
const BARS: usize = 24;

/// Columns with at most this many values are told value by value.
const FEW_VALUES: usize = 12;

/// Share of the values on either side that do not stretch a histogram, per mille.
const TAIL_PER_MILLE: usize = 5;

impl Queries {
    /// What the columns of rows of the last minutes hold.
    pub(crate) async fn profile(&self, minutes: u32) -> Result<Profile, QueryError> {
        let since = now_micros() - i64::from(minutes) * 60_000_000;
        let segments = self.live.since(since);
        let memory = MemoryConsumer::new("rows of a profile").register(&self.runtime.memory_pool);
        self.on_runtime(async move { profile(&segments, since, minutes, &memory) }).await
    }
}

/// Counts the rows that it looks at against `memory`.
fn profile(
    segments: &[Arc<Segment>],
    since_micros: i64,
    minutes: u32,
    memory: &MemoryReservation,
) -> Result<Profile, DataFusionError> {
    let schema = merged_schema(None, segments, Topic::Rows);
    let recent: Vec<RecordBatch> = segments.iter().map(|segment| newer(&segment.batch, since_micros)).collect();
    let rows: usize = recent.iter().map(RecordBatch::num_rows).sum();
    let bytes: usize = recent.iter().map(memory_of).sum();
    let step = rows.div_ceil(SAMPLE_ROWS).max(bytes.div_ceil(SAMPLE_BYTES)).max(1);
    let mut skipped = 0;
    let mut parts = Vec::new();
    for batch in &recent {
        let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
        let first = u32::try_from((step - skipped % step) % step).unwrap_or(0);
        let every = UInt32Array::from_iter_values((first..rows).step_by(step));
        skipped += batch.num_rows();
        let part = conform(&take_record_batch(batch, &every)?, &schema)?;
        // Once as parts, once put together.
        memory.try_grow(2 * memory_of(&part))?;
        parts.push(part);
    }
    let sample = concat_batches(&schema, &parts)?;
    let fields = schema.fields().iter().zip(sample.columns());
    let columns = fields.map(|(field, array)| column(field, array)).collect::<Result<_, _>>()?;
    Ok(Profile { minutes, rows: rows as u64, sampled: sample.num_rows() as u64, columns })
}

/// The rows of a segment that came in since; within it they are in the order in which they did.
fn newer(batch: &RecordBatch, since_micros: i64) -> RecordBatch {
    let times =
        batch.column_by_name(INGESTED_AT).and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    let first = times.map_or(0, |times| times.values().partition_point(|&time| time < since_micros));
    batch.slice(first, batch.num_rows() - first)
}

fn column(field: &Field, array: &ArrayRef) -> Result<ColumnProfile, ArrowError> {
    let mut profile = ColumnProfile {
        name: field.name().clone(),
        data_type: field.data_type().to_string(),
        nulls: array.logical_null_count() as u64,
        ..ColumnProfile::default()
    };
    if let Some(numbers) = numbers(array)? {
        spread(&mut profile, numbers);
    } else {
        texts(&mut profile, array)?;
    }
    Ok(profile)
}

/// Numbers as they are, times in milliseconds since 1970; none for what has no order worth drawing.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are told as texts")]
fn numbers(array: &ArrayRef) -> Result<Option<Vec<f64>>, ArrowError> {
    let (numbers, factor) = match array.data_type() {
        DataType::Timestamp(unit, _) => {
            let factor = match unit {
                TimeUnit::Second => 1e3,
                TimeUnit::Millisecond => 1.0,
                TimeUnit::Microsecond => 1e-3,
                TimeUnit::Nanosecond => 1e-6,
            };
            (cast(array, &DataType::Int64)?, factor)
        }
        DataType::Date32 => (cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?, 86_400_000.0),
        other if other.is_numeric() => (Arc::clone(array), 1.0),
        _ => return Ok(None),
    };
    #[allow(clippy::cast_precision_loss, reason = "a picture for people")]
    let values = match numbers.as_primitive_opt::<Int64Type>() {
        Some(whole) => whole.iter().flatten().map(|value| value as f64 * factor).collect(),
        None => cast(&numbers, &DataType::Float64)?.as_primitive::<Float64Type>().iter().flatten().collect(),
    };
    Ok(Some(values))
}

fn spread(profile: &mut ColumnProfile, mut values: Vec<f64>) {
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    let distinct: HashSet<u64> = values.iter().map(|value| value.to_bits()).collect();
    profile.distinct = distinct.len() as u64;
    let (Some(&low), Some(&high)) = (values.first(), values.last()) else { return };
    (profile.low, profile.high) = (Some(low), Some(high));
    profile.median = values.get(values.len() / 2).copied();
    let tail = values.len() * TAIL_PER_MILLE / 1000;
    let (from, to) = (values[tail], values[values.len() - 1 - tail]);
    if from >= to {
        return;
    }
    let mut bars = vec![0_u64; BARS];
    for value in &values {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "between 0 and the number of bars"
        )]
        let bar = (((value - from) / (to - from)).clamp(0.0, 1.0) * BARS as f64) as usize;
        bars[bar.min(BARS - 1)] += 1;
    }
    profile.bars = bars;
    (profile.bars_from, profile.bars_to) = (Some(from), Some(to));
}

fn texts(profile: &mut ColumnProfile, array: &ArrayRef) -> Result<(), ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    let mut counts: HashMap<String, u64> = HashMap::new();
    for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
        *counts.entry(formatter.value(row).try_to_string()?).or_default() += 1;
    }
    profile.distinct = counts.len() as u64;
    let mut top: Vec<TopValue> = counts.into_iter().map(|(value, rows)| TopValue { value, rows }).collect();
    top.sort_by(|left, right| right.rows.cmp(&left.rows).then_with(|| left.value.cmp(&right.value)));
    top.truncate(FEW_VALUES);
    profile.top = top;
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Float64Array, StringArray};
    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};

    use super::*;
    use crate::table::segment::tests::of_rows;

    fn memory(bytes: usize) -> MemoryReservation {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(bytes));
        MemoryConsumer::new("test").register(&pool)
    }

    #[test]
    fn of_long_rows_fewer_are_looked_at_and_none_without_memory() {
        let texts: ArrayRef = Arc::new((0..64).map(|n| Some(n.to_string().repeat(1 << 19))).collect::<StringArray>());
        let segment = Arc::new(of_rows(&RecordBatch::try_from_iter([("t", texts)]).unwrap(), 0));
        let told = profile(&[Arc::clone(&segment)], 0, 5, &memory(usize::MAX)).unwrap();
        assert_eq!(told.rows, 64);
        assert!((1..20).contains(&told.sampled), "{}", told.sampled);
        assert!(profile(&[segment], 0, 5, &memory(1 << 20)).is_err());
    }

    fn of(array: impl Array + 'static) -> ColumnProfile {
        let array: ArrayRef = Arc::new(array);
        column(&Field::new("c", array.data_type().clone(), true), &array).unwrap()
    }

    #[test]
    fn numbers_are_told_by_their_spread_and_nulls_are_counted_apart() {
        let profile = of(Float64Array::from(vec![Some(1.0), None, Some(3.0), Some(3.0), Some(f64::NAN)]));
        assert_eq!((profile.nulls, profile.distinct), (1, 2));
        assert_eq!((profile.low, profile.high, profile.median), (Some(1.0), Some(3.0), Some(3.0)));
        assert_eq!(profile.bars.iter().sum::<u64>(), 3);
    }

    #[test]
    fn a_single_far_value_does_not_flatten_the_rest() {
        let values: Vec<f64> = (0..1000).map(f64::from).chain([1e9]).collect();
        let profile = of(Float64Array::from(values));
        assert_eq!(profile.high, Some(1e9));
        assert!(profile.bars.iter().all(|&rows| rows > 20), "{:?}", profile.bars);
        assert_eq!(profile.bars.iter().sum::<u64>(), 1001);
    }

    #[test]
    fn decimals_are_numbers_and_texts_are_counted_by_value() {
        let decimals = Decimal128Array::from(vec![150, 250]).with_precision_and_scale(10, 2).unwrap();
        let profile = of(decimals);
        assert_eq!((profile.low, profile.high), (Some(1.5), Some(2.5)));
        let profile = of(StringArray::from(vec![Some("b"), Some("a"), Some("b"), None]));
        let top: Vec<_> = profile.top.iter().map(|top| (top.value.as_str(), top.rows)).collect();
        assert_eq!((profile.nulls, profile.distinct, top), (1, 2, vec![("b", 2), ("a", 1)]));
    }

    #[test]
    fn nothing_makes_an_empty_profile() {
        let profile = profile(&[], 0, 5, &memory(0)).unwrap();
        assert_eq!((profile.rows, profile.sampled), (0, 0));
        assert!(profile.columns.iter().all(|column| column.low.is_none() && column.bars.is_empty()));
    }
}
