//! Retention: which files hold rows that are past it, by what the log or their footers say of the lowest and highest time.

use std::time::Duration;

use chrono::DateTime;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::Value;

use super::super::{ArchiveError, ArchiveTable, Loaded};
use super::plan::DataFile;
use super::rewrite::Keep;

/// A file is rewritten when it holds rows that are past retention by this part of it, so that files are not rewritten all the time.
const STEPS: u32 = 10;

/// That part, at most.
const LONGEST_STEP: Duration = Duration::from_hours(24);

/// Times in the log are told in milliseconds, cut off.
const PRECISION_MICROS: i64 = 1000;

/// What is to be done with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// All of its rows leave, so many.
    Whole(DataFile, u64),
    /// Some of its rows leave.
    Part(DataFile),
}

/// Lowest and highest time of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    low: i64,
    high: i64,
    /// Rows without a time: they stay.
    nulls: u64,
    rows: u64,
}

/// How long before the retention itself a file must be late to be rewritten.
pub(crate) fn step(age: Duration) -> Duration {
    (age / STEPS).min(LONGEST_STEP)
}

impl ArchiveTable {
    /// The files that hold rows of before `keep`, first those that leave as a whole. Those that would only lose a few of the newest of
    /// them wait, for `step`. Beside them the first error over a file that cannot be read.
    pub(super) async fn expired(
        &self,
        loaded: &Loaded,
        keep: &Keep,
        step: Duration,
    ) -> Result<(Vec<Expiry>, Option<ArchiveError>), ArchiveError> {
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        let (mut expired, mut unreadable) = (Vec::new(), None);
        let views: Vec<(DataFile, Option<String>)> = self.files_with_stats(loaded)?;
        for (file, stats) in views {
            let range = match stats.as_deref().and_then(|stats| range_of_stats(stats, &keep.column)) {
                Some(range) => Some(range),
                None => match self.footer(loaded, &file).await {
                    Ok(footer) => range_of_footer(&footer, &keep.column),
                    Err(error) if self.is_of_one_file(&error) => {
                        unreadable.get_or_insert(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            // Without any time there is nothing that could be too old.
            let Some(range) = range else { continue };
            if range.high < keep.from_micros && range.nulls == 0 {
                expired.push(Expiry::Whole(file, range.rows));
            } else if range.low < keep.from_micros.saturating_sub(step) {
                expired.push(Expiry::Part(file));
            }
        }
        expired.sort_by_key(|expiry| matches!(expiry, Expiry::Part(_)));
        Ok((expired, unreadable))
    }
}

/// As the log tells it.
fn range_of_stats(stats: &str, column: &str) -> Option<Range> {
    let stats: Value = serde_json::from_str(stats).ok()?;
    let micros = |key: &str| {
        let text = stats.get(key)?.get(column)?.as_str()?;
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
    };
    Some(Range {
        low: micros("minValues")?,
        high: micros("maxValues")?.saturating_add(PRECISION_MICROS),
        nulls: stats.get("nullCount")?.get(column)?.as_u64()?,
        rows: stats.get("numRecords")?.as_u64()?,
    })
}

/// As the file's own footer tells it: tables with many columns have no statistics of the last ones in their log.
fn range_of_footer(metadata: &ParquetMetaData, column: &str) -> Option<Range> {
    let mut whole: Option<Range> = None;
    for group in metadata.row_groups() {
        let chunk = group.columns().iter().find(|chunk| chunk.column_path().string() == column)?;
        let Some(Statistics::Int64(statistics)) = chunk.statistics() else { return None };
        let rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let nulls = statistics.null_count_opt()?;
        let range = match (statistics.min_opt(), statistics.max_opt()) {
            (Some(&low), Some(&high)) => Range { low, high, nulls, rows },
            _ if nulls == rows => Range { low: i64::MAX, high: i64::MIN, nulls, rows },
            _ => return None,
        };
        whole = Some(whole.map_or(range, |whole| Range {
            low: whole.low.min(range.low),
            high: whole.high.max(range.high),
            nulls: whole.nulls + range.nulls,
            rows: whole.rows + range.rows,
        }));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_the_log_is_never_narrower_than_the_rows() {
        let stats = r#"{"numRecords":3,"minValues":{"t":"2020-01-01T00:00:00.000Z"},"maxValues":{"t":"2020-01-01T00:00:01.234Z"},
            "nullCount":{"t":1}}"#;
        let range = range_of_stats(stats, "t").unwrap();
        assert_eq!((range.rows, range.nulls), (3, 1));
        assert_eq!(range.low, 1_577_836_800_000_000);
        assert_eq!(range.high, 1_577_836_801_235_000);
        assert_eq!(range_of_stats(stats, "u"), None);
    }

    #[test]
    fn a_step_is_a_tenth_and_at_most_a_day() {
        assert_eq!(step(Duration::from_secs(100)), Duration::from_secs(10));
        assert_eq!(step(Duration::from_hours(24 * 365)), Duration::from_hours(24));
    }
}
