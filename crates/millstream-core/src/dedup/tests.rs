use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, TimestampMicrosecondArray};
use proptest::prelude::*;

use super::*;

fn batch(keys: &[Option<i32>], times: &[Option<i64>]) -> RecordBatch {
    let times = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> =
        vec![("key", Arc::new(Int32Array::from(keys.to_vec()))), ("at", Arc::new(times))];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

fn dedup(within: DedupWithin, limit_bytes: usize) -> Deduplicator {
    Deduplicator::new(&Dedup { key: vec!["key".to_owned()], within }, Some("at"), limit_bytes)
}

fn kept(verdict: &Verdict) -> Vec<bool> {
    verdict.keep.iter().map(Option::unwrap_or_default).collect()
}

const ROOM: usize = 1 << 20;

#[test]
fn the_first_row_of_a_key_is_kept_and_null_equals_null() {
    let mut dedup = dedup(DedupWithin::Source, ROOM);
    let verdict = dedup.observe(true, &batch(&[Some(1), None, Some(1), None, Some(2)], &[None; 5])).unwrap();
    assert_eq!(kept(&verdict), [true, true, false, false, true]);
    assert_eq!(verdict.duplicates, 2);
    assert_eq!(verdict.added.len(), 3);
}

#[test]
fn zeros_are_equal_and_so_are_all_kinds_of_nan() {
    let values = Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.0]);
    let batch = RecordBatch::try_from_iter(vec![("key", Arc::new(values) as ArrayRef)]).unwrap();
    let verdict = dedup(DedupWithin::Source, ROOM).observe(true, &batch).unwrap();
    assert_eq!(kept(&verdict), [true, false, true, false, true]);
}

#[test]
fn within_a_file_the_next_file_knows_nothing() {
    let mut dedup = dedup(DedupWithin::File, ROOM);
    let rows = batch(&[Some(1)], &[None]);
    assert_eq!(kept(&dedup.observe(true, &rows).unwrap()), [true]);
    assert_eq!(kept(&dedup.observe(false, &rows).unwrap()), [false]);
    let next = dedup.observe(true, &rows).unwrap();
    assert_eq!(kept(&next), [true]);
    assert!(next.removed.is_empty(), "the key is claimed anew by the same append");
    assert_eq!(dedup.observe(true, &batch(&[Some(2)], &[None])).unwrap().removed.len(), 1);
}

#[test]
fn a_window_forgets_what_lies_behind_it_and_counts_late_rows() {
    let mut dedup = dedup(DedupWithin::Window { length_micros: 100 }, ROOM);
    let verdict = dedup.observe(true, &batch(&[Some(1), Some(2), Some(1)], &[Some(0), Some(100), Some(0)])).unwrap();
    assert_eq!(kept(&verdict), [true, true, false], "a key lives as long as the window reaches it");
    let verdict = dedup.observe(false, &batch(&[Some(3), Some(1), Some(1)], &[Some(101), Some(0), Some(0)])).unwrap();
    assert_eq!(kept(&verdict), [true, true, true]);
    assert_eq!(verdict.late, 2);
    assert_eq!(verdict.window_high, Some(101));
}

#[test]
fn a_full_memory_names_the_settings() {
    let mut dedup = dedup(DedupWithin::Source, 2 * KEY_BYTES);
    let error = dedup.observe(true, &batch(&[Some(1), Some(2), Some(3)], &[None; 3])).unwrap_err().to_string();
    assert!(error.contains("`clean.dedup.within`") && error.contains("`limits.memory`"), "{error}");
}

/// The same by the book: a list of all keys claimed, searched from its start.
#[derive(Default)]
struct Naive {
    claimed: Vec<(Option<i32>, i64)>,
    high: Option<i64>,
}

impl Naive {
    /// Whether the row is kept, and whether it is late.
    fn row(&mut self, within: DedupWithin, key: Option<i32>, time: Option<i64>) -> (bool, bool) {
        let DedupWithin::Window { length_micros } = within else {
            let new = !self.claimed.iter().any(|(claimed, _)| *claimed == key);
            self.claimed.push((key, 0));
            return (new, false);
        };
        self.high = self.high.max(time);
        let high = self.high.unwrap_or(i64::MIN);
        let oldest = high.saturating_sub(length_micros);
        let time = time.unwrap_or(high);
        if self.claimed.iter().any(|(claimed, at)| *claimed == key && *at >= oldest) {
            return (false, false);
        }
        if time >= oldest {
            self.claimed.push((key, time));
        }
        (true, time < oldest)
    }
}

type Rows = Vec<(Option<i32>, Option<i64>)>;

fn rows() -> impl Strategy<Value = Rows> {
    let row = (prop::option::weighted(0.9, 0..12), prop::option::weighted(0.9, -300_i64..900));
    prop::collection::vec(row, 0..40)
}

fn within() -> impl Strategy<Value = DedupWithin> {
    prop_oneof![
        Just(DedupWithin::File),
        Just(DedupWithin::Source),
        (1_i64..400).prop_map(|length_micros| DedupWithin::Window { length_micros }),
    ]
}

proptest! {
    #[test]
    fn it_decides_as_a_search_through_all_rows_does_also_after_restarts(
        within in within(),
        batches in prop::collection::vec((rows(), any::<bool>(), any::<bool>()), 1..12),
    ) {
        let mut dedup = dedup(within, ROOM);
        let mut naive = Naive::default();
        let mut stored: HashMap<KeyHash, i64> = HashMap::new();
        let mut high = None;
        for (rows, new_file, restart) in batches {
            if restart {
                dedup = self::dedup(within, ROOM);
                dedup.restore(stored.iter().map(|(key, time)| (*key, *time)), high).unwrap();
            }
            if new_file && within == DedupWithin::File {
                naive.claimed.clear();
            }
            let (keys, times): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
            let verdict = dedup.observe(new_file, &batch(&keys, &times)).unwrap();
            let expected: Vec<_> = rows.iter().map(|(key, time)| naive.row(within, *key, *time)).collect();
            prop_assert_eq!(kept(&verdict), expected.iter().map(|(keep, _)| *keep).collect::<Vec<_>>());
            prop_assert_eq!(verdict.late, expected.iter().filter(|(_, late)| *late).count() as u64);
            for key in &verdict.removed {
                stored.remove(key);
                prop_assert!(!verdict.added.iter().any(|(added, _)| added == key));
            }
            stored.extend(verdict.added.iter().copied());
            high = verdict.window_high;
            prop_assert_eq!(stored.len(), dedup.len());
        }
    }
}
