use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray};
use proptest::prelude::*;

use super::*;

/// Numbers that look like hashes (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
pub(super) fn hash(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

pub(super) fn key(number: u64) -> KeyHash {
    KeyHash { high: hash(2 * number), low: hash(2 * number + 1) }
}

fn spilled(folder: &Path, within: DedupWithin, filter_bytes: usize) -> Spilled {
    Spilled::new(folder.to_owned(), within, filter_bytes)
}

fn sorted(mut claims: Vec<Claim>) -> Vec<Claim> {
    claims.sort_by_key(|claim| (claim.key, claim.time));
    claims.dedup_by_key(|claim| claim.key);
    claims
}

fn find(spilled: &mut Spilled, keys: &[KeyHash]) -> Vec<Option<i64>> {
    let mut newest = Vec::new();
    spilled.find(keys, &mut newest).unwrap();
    newest
}

#[derive(Debug, Clone)]
enum Step {
    /// Keys, and how far the time moves before they are claimed.
    Take(Vec<u64>, i64),
    Forget,
    Clear,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let take =
        (prop::collection::vec(0_u64..3000, 0..120), 0_i64..40).prop_map(|(keys, moved)| Step::Take(keys, moved));
    prop::collection::vec(prop_oneof![40 => take, 8 => Just(Step::Forget), 1 => Just(Step::Clear)], 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_finds_what_a_map_has(steps in steps(), is_window in any::<bool>(), filter_bytes in prop_oneof![Just(0_usize), Just(30_000)]) {
        let folder = tempfile::tempdir().unwrap();
        let length_micros = 100;
        let within = if is_window { DedupWithin::Window { length_micros } } else { DedupWithin::Source };
        let mut spilled = spilled(folder.path(), within, filter_bytes);
        let mut model: BTreeMap<KeyHash, i64> = BTreeMap::new();
        let (mut now, mut oldest) = (0, i64::MIN);
        let all: Vec<KeyHash> = (0..3000).map(key).collect();
        for step in steps {
            match step {
                Step::Take(numbers, moved) => {
                    now += if is_window { moved } else { 0 };
                    let claims = sorted(numbers.into_iter().map(|number| Claim { key: key(number), time: now }).collect());
                    model.extend(claims.iter().map(|claim| (claim.key, claim.time)));
                    spilled.take(&claims).unwrap();
                }
                Step::Forget if is_window => {
                    oldest = now - length_micros;
                    spilled.forget(oldest);
                }
                Step::Forget => {}
                Step::Clear => {
                    spilled.clear();
                    model.clear();
                }
            }
        }
        let counts = |time: &i64| *time >= oldest;
        let found: Vec<Option<i64>> = find(&mut spilled, &all).into_iter().map(|time| time.filter(counts)).collect();
        let expected: Vec<Option<i64>> = all.iter().map(|key| model.get(key).copied().filter(counts)).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "its files have no names");
    }
}

#[test]
fn runs_are_merged_so_that_there_are_few() {
    let folder = tempfile::tempdir().unwrap();
    let mut spilled = spilled(folder.path(), DedupWithin::Source, 100_000);
    for part in 0..1_000 {
        let claims = (part * 20..(part + 1) * 20).map(|number| Claim { key: key(number), time: 0 });
        spilled.take(&sorted(claims.collect())).unwrap();
        // Five levels, also while large merges are under way.
        let runs = spilled.generations[0].runs();
        assert!(runs <= 25, "{runs} runs of {part}");
    }
    let keys: Vec<KeyHash> = (0..30_000).map(key).collect();
    let found = find(&mut spilled, &keys);
    assert!(found.iter().enumerate().all(|(number, time)| time.is_some() == (number < 20_000)));
}

#[test]
fn generations_of_a_window_are_few_and_go_with_their_last_claim() {
    let folder = tempfile::tempdir().unwrap();
    let mut spilled = spilled(folder.path(), DedupWithin::Window { length_micros: 400 }, 100_000);
    for now in 0..2_000 {
        spilled.take(&[Claim { key: key(now), time: now.cast_signed() }]).unwrap();
        spilled.forget(now.cast_signed() - 400);
        assert!(spilled.generations.len() <= MOST_GENERATIONS);
    }
    spilled.forget(10_000);
    assert!(spilled.generations.is_empty());
}

#[test]
fn keys_with_one_upper_half_are_told_apart_also_over_the_border_of_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let claim = |low: u64| Claim { key: KeyHash { high: 7, low }, time: 0 };
    for first in [1, 200, 255, 256, 257] {
        let mut spilled = spilled(folder.path(), DedupWithin::Source, 0);
        let before = (1..first).map(|low| Claim { key: KeyHash { high: 5, low }, time: 0 });
        let claims: Vec<Claim> = before.chain((0..600).map(|low| claim(2 * low + 1))).collect();
        spilled.take(&claims).unwrap();
        let keys: Vec<KeyHash> = (0..1202).map(|low| claim(low).key).collect();
        let found = find(&mut spilled, &keys);
        assert!(found.iter().enumerate().all(|(low, time)| time.is_some() == (low % 2 == 1 && low < 1200)), "{first}");
    }
}

#[test]
fn many_more_keys_than_memory_holds_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let spec = |within| Dedup { key: vec!["key".to_owned()], within };
    let mut dedup = deduplicator(&spec(DedupWithin::Source), None, 1 << 20, folder.path());
    let mut seen = HashSet::new();
    for batch in 0..40_i64 {
        // Every fourth key was there before, in this batch or an earlier one.
        let keys: Vec<i64> = (0..2_000).map(|row| (batch * 2_000 + row) * 3 / 4 - 500 * (row % 5)).collect();
        let expected: Vec<bool> = keys.iter().map(|key| seen.insert(*key)).collect();
        let times = TimestampMicrosecondArray::from(vec![0; keys.len()]).with_timezone("UTC");
        let columns: Vec<(&str, ArrayRef)> = vec![("key", Arc::new(Int64Array::from(keys))), ("at", Arc::new(times))];
        let verdict = dedup.observe(batch == 0, &RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        assert_eq!(verdict.keep.iter().flatten().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_folder_that_is_gone_is_told_with_its_path() {
    let mut spilled = spilled(Path::new("/there/is/no/such/folder"), DedupWithin::Source, 0);
    let error = spilled.take(&[Claim { key: key(1), time: 0 }]).unwrap_err();
    assert_eq!(error.to_string(), "cannot write them to a file in `/there/is/no/such/folder`");
}
