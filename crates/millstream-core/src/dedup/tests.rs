use std::collections::BTreeMap;
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

fn spec(within: DedupWithin) -> Dedup {
    Dedup { key: vec!["key".to_owned()], within }
}

fn dedup(within: DedupWithin) -> Deduplicator {
    Deduplicator::new(&spec(within), Some("at"), 1 << 20, None)
}

/// Whose table holds twelve keys.
fn tiny(within: DedupWithin) -> Deduplicator {
    Deduplicator::new(&spec(within), Some("at"), 1, Some(Box::new(Model::default())))
}

/// Older keys by the book.
#[derive(Debug, Default)]
struct Model {
    newest: BTreeMap<KeyHash, i64>,
    oldest: Option<i64>,
}

impl Older for Model {
    fn take(&mut self, claims: &[Claim]) -> Result<(), OlderError> {
        assert!(claims.windows(2).all(|pair| pair[0].key < pair[1].key));
        for claim in claims {
            let newest = self.newest.entry(claim.key).or_insert(claim.time);
            *newest = claim.time.max(*newest);
        }
        Ok(())
    }

    fn find(&mut self, keys: &[KeyHash], newest: &mut Vec<Option<i64>>) -> Result<(), OlderError> {
        newest.clear();
        newest.extend(keys.iter().map(|key| self.newest.get(key).copied()));
        Ok(())
    }

    fn forget(&mut self, oldest: i64) {
        assert!(self.oldest <= Some(oldest));
        self.oldest = Some(oldest);
        self.newest.retain(|_, time| *time >= oldest);
    }

    fn clear(&mut self) {
        self.newest.clear();
    }
}

/// What is durable, as a log keeps it.
#[derive(Default)]
struct Stored(BTreeMap<[u8; 16], Vec<u8>>);

impl Stored {
    fn keep(&mut self, changes: Changes) {
        for id in changes.forgotten.into_iter().flat_map(ForgottenSlice::ids) {
            assert!(self.0.remove(&id.to_bytes()).is_some(), "{id:?} is forgotten and was never kept");
        }
        for chunk in changes.chunks {
            assert_eq!(self.0.insert(chunk.id.to_bytes(), chunk.value), None, "{:?} is kept twice", chunk.id);
        }
    }

    fn give_back(&self, dedup: &mut Deduplicator) {
        for (id, value) in &self.0 {
            let chunk = KeyChunk { id: ChunkId::from_bytes(*id), value: value.clone() };
            dedup.restore(&KeptKeys::Chunk(chunk)).unwrap();
        }
    }

    fn keys(&self) -> u64 {
        self.0.values().map(|value| ((value.len() - 1) / usize::from(value[0])) as u64).sum()
    }
}

fn kept(verdict: &Verdict) -> Vec<bool> {
    verdict.keep.iter().map(Option::unwrap_or_default).collect()
}

#[test]
fn the_first_row_of_a_key_is_kept_and_null_equals_null() {
    let mut dedup = dedup(DedupWithin::Source);
    let verdict = dedup.observe(true, &batch(&[Some(1), None, Some(1), None, Some(2)], &[None; 5])).unwrap();
    assert_eq!(kept(&verdict), [true, true, false, false, true]);
    assert_eq!(verdict.duplicates, 2);
    assert_eq!(verdict.claimed.bytes(), 3 * Claim::KEY_BYTES);
}

#[test]
fn zeros_are_equal_and_so_are_all_kinds_of_nan() {
    let values = Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.0]);
    let batch = RecordBatch::try_from_iter(vec![("key", Arc::new(values) as ArrayRef)]).unwrap();
    let verdict = dedup(DedupWithin::Source).observe(true, &batch).unwrap();
    assert_eq!(kept(&verdict), [true, false, true, false, true]);
}

#[test]
fn within_a_file_the_next_file_knows_nothing() {
    let mut dedup = dedup(DedupWithin::File);
    let rows = batch(&[Some(1)], &[None]);
    assert_eq!(kept(&dedup.observe(true, &rows).unwrap()), [true]);
    assert_eq!(kept(&dedup.observe(false, &rows).unwrap()), [false]);
    assert_eq!(kept(&dedup.observe(true, &rows).unwrap()), [true]);
}

#[test]
fn a_file_of_which_no_row_claims_a_key_takes_the_place_of_the_one_before() {
    let (mut dedup, mut stored) = (dedup(DedupWithin::File), Stored::default());
    let rows = batch(&[Some(1)], &[None]);
    for rows in [&rows, &batch(&[], &[])] {
        let claimed = dedup.observe(true, rows).unwrap().claimed;
        stored.keep(dedup.changes(claimed));
    }
    assert_eq!((stored.0.len(), stored.keys()), (1, 0));
    let mut again = self::dedup(DedupWithin::File);
    again.restore(&KeptKeys::Single(vec![Claim { key: KeyHash::of(1), time: 0 }])).unwrap();
    stored.give_back(&mut again);
    assert_eq!(again.keys(), 0, "what an earlier version kept is of a file before it");
    assert_eq!(kept(&again.observe(false, &rows).unwrap()), [true]);
}

#[test]
fn what_an_earlier_version_kept_key_by_key_still_counts() {
    let rows = batch(&[Some(1)], &[Some(10)]);
    let columns = [String::from("key")];
    let key = KeyColumns::new(&columns, &rows).unwrap().hash(0, &mut Vec::new());
    for within in [DedupWithin::Source, DedupWithin::File, DedupWithin::Window { length_micros: 100 }] {
        let mut dedup = dedup(within);
        dedup.restore_high(Some(10));
        dedup.restore(&KeptKeys::Single(vec![Claim { key, time: 10 }])).unwrap();
        assert_eq!(kept(&dedup.observe(false, &rows).unwrap()), [false], "{within:?}");
    }
}

#[test]
fn chunks_that_come_before_the_word_that_their_slice_is_forgotten_do_not_count() {
    let (mut dedup, rows) = (dedup(DedupWithin::Window { length_micros: 64 }), batch(&[Some(1)], &[Some(0)]));
    let claimed = dedup.observe(true, &rows).unwrap().claimed;
    let first = dedup.changes(claimed).chunks.remove(0);
    let claimed = dedup.observe(false, &batch(&[Some(2)], &[Some(100)])).unwrap().claimed;
    let changes = dedup.changes(claimed);
    assert_eq!(changes.forgotten, [ForgottenSlice { slice: 0, chunks: 1 }]);

    let mut again = self::dedup(DedupWithin::Window { length_micros: 64 });
    again.restore_high(Some(100));
    again.restore(&KeptKeys::Chunk(first)).unwrap();
    again.restore(&KeptKeys::Forgotten(0)).unwrap();
    again.restore(&KeptKeys::Chunk(changes.chunks[0].clone())).unwrap();
    assert_eq!(again.keys(), 1);
    assert_eq!(again.changes(Claimed::default()), Changes::default());
    assert_eq!(kept(&again.observe(false, &batch(&[Some(1), Some(2)], &[None; 2])).unwrap()), [true, false]);
}

#[test]
fn many_keys_are_kept_in_several_chunks_and_come_back() {
    let keys: Vec<Option<i32>> = (0..7000).map(Some).collect();
    let (mut dedup, mut stored) = (dedup(DedupWithin::Source), Stored::default());
    let claimed = dedup.observe(true, &batch(&keys, &vec![None; 7000])).unwrap().claimed;
    stored.keep(dedup.changes(claimed));
    assert_eq!((stored.0.len(), stored.keys(), dedup.keys()), (3, 7000, 7000));
    let mut again = tiny(DedupWithin::Source);
    stored.give_back(&mut again);
    assert_eq!(again.observe(true, &batch(&keys, &vec![None; 7000])).unwrap().duplicates, 7000);
}

#[test]
fn a_chunk_that_is_damaged_is_told() {
    for value in [vec![], vec![16, 1, 2], vec![17; 18], vec![0]] {
        let chunk = KeyChunk { id: ChunkId { slice: -5, number: 7 }, value };
        let error = dedup(DedupWithin::Source).restore(&KeptKeys::Chunk(chunk)).unwrap_err();
        assert!(error.to_string().contains("chunk 7 of slice -5"), "{error}");
    }
}

#[test]
fn a_window_forgets_what_lies_behind_it_and_counts_late_rows() {
    let mut dedup = dedup(DedupWithin::Window { length_micros: 100 });
    let verdict = dedup.observe(true, &batch(&[Some(1), Some(2), Some(1)], &[Some(0), Some(100), Some(0)])).unwrap();
    assert_eq!(kept(&verdict), [true, true, false], "a key lives as long as the window reaches it");
    let verdict = dedup.observe(false, &batch(&[Some(3), Some(1), Some(1)], &[Some(101), Some(0), Some(0)])).unwrap();
    assert_eq!(kept(&verdict), [true, true, true]);
    assert_eq!(verdict.late, 2);
    assert_eq!(verdict.window_high, Some(101));
}

#[test]
fn a_full_memory_names_the_setting() {
    let mut dedup = Deduplicator::new(&spec(DedupWithin::Source), None, 1, None);
    let keys: Vec<Option<i32>> = (0..13).map(Some).collect();
    let error = dedup.observe(true, &batch(&keys, &[None; 13])).unwrap_err().to_string();
    assert!(error.contains("more than 12 keys") && error.contains("`limits.memory`"), "{error}");
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
    let row = (prop::option::weighted(0.9, 0..40), prop::option::weighted(0.9, -300_i64..900));
    prop::collection::vec(row, 0..60)
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
        is_tiny in any::<bool>(),
        batches in prop::collection::vec((rows(), any::<bool>(), any::<bool>()), 1..12),
    ) {
        let make = || if is_tiny { tiny(within) } else { dedup(within) };
        let (mut dedup, mut stored) = (make(), Stored::default());
        let mut naive = Naive::default();
        for (rows, new_file, restart) in batches {
            if restart {
                let high = dedup.high;
                dedup = make();
                dedup.restore_high(high);
                stored.give_back(&mut dedup);
            }
            if new_file && within == DedupWithin::File {
                naive.claimed.clear();
            }
            let (keys, times): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
            let verdict = dedup.observe(new_file, &batch(&keys, &times)).unwrap();
            let expected: Vec<_> = rows.iter().map(|(key, time)| naive.row(within, *key, *time)).collect();
            prop_assert_eq!(kept(&verdict), expected.iter().map(|(keep, _)| *keep).collect::<Vec<_>>());
            prop_assert_eq!(verdict.late, expected.iter().filter(|(_, late)| *late).count() as u64);
            stored.keep(dedup.changes(verdict.claimed));
            prop_assert_eq!(stored.keys(), dedup.keys());
        }
    }

    #[test]
    fn names_of_chunks_sort_as_their_bytes_do(a in any::<(i64, u64)>(), b in any::<(i64, u64)>()) {
        let [a, b] = [a, b].map(|(slice, number)| ChunkId { slice, number });
        prop_assert_eq!(ChunkId::from_bytes(a.to_bytes()), a);
        prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
    }
}
