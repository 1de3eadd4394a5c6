//! Which files are put together: a pure decision over the live files of a table.
//!
//! Files are put together with others of their own size class, eight times as large as the one below. So a row is rewritten
//! once a class, not once for each file that comes after it. Files of a partition that no row came into for a while are put
//! together whatever their class is.

use std::collections::BTreeMap;

/// Files of a class that are put together, at least; those of the next class are about as many times larger.
const CLASS_FILES: usize = 8;

/// Files that are put together at once, at most.
const GROUP_FILES: usize = 1000;

/// A live file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Path relative to the table.
    pub(crate) path: String,
    /// Size, bytes.
    pub(crate) bytes: u64,
    /// Value of the partition; none in tables without partitions.
    pub(crate) partition: Option<String>,
    /// When it was written.
    pub(crate) modified_micros: i64,
}

/// What is worth it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// Size that files are put together to, bytes.
    pub(crate) target_bytes: u64,
    /// Files below are small.
    pub(crate) small_bytes: u64,
    /// Partitions whose newest file is older are done: what is small there is put together at once.
    pub(crate) quiet_since_micros: i64,
    /// Everything that is small, now.
    pub(crate) everything: bool,
}

impl Policy {
    /// Whether a file is to be put together with others.
    pub(crate) fn is_small(&self, file: &DataFile) -> bool {
        file.bytes < self.small_bytes
    }
}

/// Groups of files, each to become one; the smallest files first. Files of a group are of one partition, oldest first.
pub(crate) fn groups(files: &[DataFile], policy: &Policy) -> Vec<Vec<DataFile>> {
    let mut partitions: BTreeMap<Option<&str>, Vec<&DataFile>> = BTreeMap::new();
    let mut newest: BTreeMap<Option<&str>, i64> = BTreeMap::new();
    for file in files {
        let partition = file.partition.as_deref();
        let time = newest.entry(partition).or_insert(file.modified_micros);
        *time = file.modified_micros.max(*time);
        if policy.is_small(file) {
            partitions.entry(partition).or_default().push(file);
        }
    }
    let mut groups = Vec::new();
    for (partition, mut small) in partitions {
        small.sort_by(|a, b| (a.modified_micros, &a.path).cmp(&(b.modified_micros, &b.path)));
        let is_quiet = newest.get(&partition).is_some_and(|&time| time < policy.quiet_since_micros);
        if policy.everything || is_quiet {
            groups.extend(bins(&small, policy.target_bytes).into_iter().filter(|bin| bin.len() > 1));
            continue;
        }
        let mut classes: BTreeMap<u32, Vec<&DataFile>> = BTreeMap::new();
        for file in small {
            classes.entry(class(file.bytes)).or_default().push(file);
        }
        for files in classes.values() {
            let is_worth_it = |bin: &Vec<&DataFile>| {
                let bytes: u64 = bin.iter().map(|file| file.bytes).sum();
                bin.len() >= CLASS_FILES || (bin.len() > 1 && bytes >= policy.target_bytes)
            };
            groups.extend(bins(files, policy.target_bytes).into_iter().filter(is_worth_it));
        }
    }
    groups.sort_by_key(|group| group.iter().map(|file| file.bytes).max());
    groups.into_iter().map(|group| group.into_iter().cloned().collect()).collect()
}

/// Runs of files of up to about this size together.
fn bins<'a>(files: &[&'a DataFile], target_bytes: u64) -> Vec<Vec<&'a DataFile>> {
    let mut bins: Vec<Vec<&DataFile>> = Vec::new();
    let mut bytes = 0;
    for file in files {
        match bins.last_mut() {
            Some(bin) if bytes < target_bytes && bin.len() < GROUP_FILES => bin.push(file),
            _ => {
                bins.push(vec![file]);
                bytes = 0;
            }
        }
        bytes += file.bytes;
    }
    bins
}

/// Files of a class are at most eight times as large as each other.
fn class(bytes: u64) -> u32 {
    bytes.max(1).ilog2() / 3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy { target_bytes: 1000, small_bytes: 500, quiet_since_micros: 0, everything: false };

    fn file(number: usize, bytes: u64, partition: &str) -> DataFile {
        let modified_micros = i64::try_from(number).unwrap() + 1;
        DataFile { path: format!("f{number}"), bytes, partition: Some(partition.to_owned()), modified_micros }
    }

    fn sizes(groups: &[Vec<DataFile>]) -> Vec<Vec<u64>> {
        groups.iter().map(|group| group.iter().map(|file| file.bytes).collect()).collect()
    }

    #[test]
    fn eight_files_of_a_class_are_put_together_and_seven_wait() {
        let files: Vec<DataFile> = (0..7).map(|number| file(number, 10, "a")).collect();
        assert!(groups(&files, &POLICY).is_empty());
        let files: Vec<DataFile> = (0..8).map(|number| file(number, 10, "a")).collect();
        assert_eq!(sizes(&groups(&files, &POLICY)), [vec![10; 8]]);
    }

    #[test]
    fn a_large_file_waits_for_others_of_its_size() {
        let mut files: Vec<DataFile> = (0..8).map(|number| file(number, 10, "a")).collect();
        files.push(file(9, 400, "a"));
        files.push(file(10, 600, "a"));
        assert_eq!(sizes(&groups(&files, &POLICY)), [vec![10; 8]]);
    }

    #[test]
    fn partitions_are_not_mixed_and_quiet_ones_are_done_at_once() {
        let files: Vec<DataFile> =
            (0..8).map(|number| file(number, 10, if number % 2 == 0 { "a" } else { "b" })).collect();
        assert!(groups(&files, &POLICY).is_empty());
        let quiet = Policy { quiet_since_micros: 100, ..POLICY };
        assert_eq!(sizes(&groups(&files, &quiet)), [vec![10; 4], vec![10; 4]]);
        // Only `a` had no row for a while.
        let quiet = Policy { quiet_since_micros: 8, ..POLICY };
        assert_eq!(sizes(&groups(&files, &quiet)), [vec![10; 4]]);
    }

    #[test]
    fn everything_by_hand_leaves_no_two_small_files_that_fit_together() {
        let files = [file(0, 10, "a"), file(1, 400, "a"), file(2, 3, "a"), file(3, 499, "b"), file(4, 900, "a")];
        let everything = Policy { everything: true, ..POLICY };
        assert_eq!(sizes(&groups(&files, &everything)), [vec![10, 400, 3]]);
    }

    proptest! {
        #[test]
        fn no_file_is_in_two_groups_and_no_group_is_far_larger_than_the_target(
            sizes in proptest::collection::vec(1u64..2000, 0..200),
            everything: bool,
        ) {
            let files: Vec<DataFile> =
                sizes.iter().enumerate().map(|(number, &bytes)| file(number, bytes, if bytes % 3 == 0 { "a" } else { "b" })).collect();
            let groups = groups(&files, &Policy { everything, ..POLICY });
            let mut seen = std::collections::BTreeSet::new();
            for group in &groups {
                prop_assert!(group.len() > 1);
                prop_assert!(group.iter().all(|file| file.bytes < POLICY.small_bytes && file.partition == group[0].partition));
                prop_assert!(group.iter().map(|file| file.bytes).sum::<u64>() < POLICY.target_bytes + POLICY.small_bytes);
                prop_assert!(group.iter().all(|file| seen.insert(file.path.clone())));
            }
        }
    }
}
