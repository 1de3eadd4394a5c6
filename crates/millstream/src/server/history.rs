//! The last minutes, a sample a second, so that a page that is opened or comes back shows them without a gap.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::detail::HistorySample;
use millstream_core::status::Status;

/// Shortest time between two samples.
const STEP: Duration = Duration::from_secs(1);

/// Samples that are kept: a quarter of an hour.
const SAMPLES: usize = 900;

/// Samples, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<HistorySample>>);

impl History {
    /// Whether a sample is due at this time.
    pub(super) fn is_due(&self, now_micros: i64) -> bool {
        let step = i64::try_from(STEP.as_millis()).unwrap_or(i64::MAX);
        self.lock().back().is_none_or(|last| now_micros / 1000 - last.at_millis >= step)
    }

    /// Keeps what a status says.
    pub(super) fn take(&self, status: &Status, now_micros: i64) {
        let mut samples = self.lock();
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(HistorySample {
            at_millis: now_micros / 1000,
            read: status.source.rows_per_second,
            received: status.receive.rows_per_second,
            records: status.stream.records_per_second,
            visible_p50_seconds: status.freshness.visible_p50_seconds,
            visible_p99_seconds: status.freshness.visible_p99_seconds,
            lag_rows: status.receive.lag_rows,
            lag_seconds: status.receive.lag_seconds,
            clean: status.clean.clean,
            rejected: status.clean.rejected,
            archived: status.archive.rows,
            event_times: status.receive.event_times.clone(),
        });
    }

    /// All samples, oldest first.
    pub(super) fn all(&self) -> Vec<HistorySample> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<HistorySample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
