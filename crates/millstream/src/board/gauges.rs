//! What the stages tell of their work: how long each step took lately, and which splits are being cleaned. A step is a batch, an
//! append or a record: nothing here costs anything for a row.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::status::{SplitStatus, StepLatency};

use super::rate::Latencies;
use crate::clock::{now_micros, rfc3339};

/// Steps on the way of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reading a batch of a source file.
    Read,
    /// Cleaning it.
    Clean,
    /// An append, until it is durable.
    Append,
    /// From durable in the log to taken out of it.
    Receive,
    /// From durable in the log to queryable.
    Visible,
    /// From durable in the log to held by the archive.
    Archived,
}

impl Step {
    const ALL: [Self; 6] = [Self::Read, Self::Clean, Self::Append, Self::Receive, Self::Visible, Self::Archived];

    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Clean => "clean",
            Self::Append => "append",
            Self::Receive => "receive",
            Self::Visible => "visible",
            Self::Archived => "archived",
        }
    }
}

/// The gauges of a process.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    steps: [Mutex<Latencies>; Step::ALL.len()],
    splits: Mutex<Splits>,
}

#[derive(Debug, Default)]
struct Splits {
    next: u64,
    at_work: BTreeMap<u64, SplitStatus>,
}

impl Gauges {
    /// A step took this long.
    pub(crate) fn took(&self, step: Step, time: Duration) {
        self.took_micros(step, i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    }

    /// A step took this long; what clocks that were set back make of it counts as nothing.
    pub(crate) fn took_micros(&self, step: Step, micros: i64) {
        lock(&self.steps[step as usize]).add(micros.max(0));
    }

    /// A split is being cleaned, until what is given back is dropped.
    pub(crate) fn split(self: &Arc<Self>, file: &str, rows: Range<u64>) -> SplitAtWork {
        let mut splits = lock(&self.splits);
        let number = splits.next;
        splits.next += 1;
        let split = SplitStatus {
            file: file.to_owned(),
            first_row: rows.start,
            end_row: rows.end,
            next_row: rows.start,
            since: rfc3339(now_micros()),
        };
        splits.at_work.insert(number, split);
        SplitAtWork { gauges: Arc::clone(self), number }
    }

    /// Splits that are being cleaned, in the order in which they began.
    pub(super) fn splits(&self) -> Vec<SplitStatus> {
        lock(&self.splits).at_work.values().cloned().collect()
    }

    /// How long the steps took over the last minute.
    pub(super) fn latencies(&self) -> Vec<StepLatency> {
        let latency = |step: Step| {
            let (p50_seconds, p99_seconds) = lock(&self.steps[step as usize]).quantiles();
            StepLatency { step: step.name().to_owned(), p50_seconds, p99_seconds }
        };
        Step::ALL.into_iter().map(latency).collect()
    }
}

/// A split that is being cleaned.
#[derive(Debug)]
pub(crate) struct SplitAtWork {
    gauges: Arc<Gauges>,
    number: u64,
}

impl SplitAtWork {
    /// Rows below this one are cleaned.
    pub(crate) fn reached(&self, row: u64) {
        if let Some(split) = lock(&self.gauges.splits).at_work.get_mut(&self.number) {
            split.next_row = row;
        }
    }
}

impl Drop for SplitAtWork {
    fn drop(&mut self) {
        lock(&self.gauges.splits).at_work.remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Numbers for people: those of a holder that panicked are as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_is_at_work_until_it_is_dropped_and_tells_how_far_it_is() {
        let gauges = Arc::new(Gauges::default());
        let first = gauges.split("a", 0..10);
        let second = gauges.split("b", 5..9);
        first.reached(7);
        let files: Vec<_> = gauges.splits().into_iter().map(|split| (split.file, split.next_row)).collect();
        assert_eq!(files, [("a".to_owned(), 7), ("b".to_owned(), 5)]);
        drop(first);
        assert_eq!(gauges.splits().len(), 1);
        drop(second);
        assert!(gauges.splits().is_empty());
    }

    #[test]
    fn steps_have_their_own_latencies_and_none_before_anything_happened() {
        let gauges = Gauges::default();
        gauges.took(Step::Clean, Duration::from_millis(20));
        gauges.took_micros(Step::Append, -5);
        let told = gauges.latencies();
        let p50 = |step: &str| told.iter().find(|latency| latency.step == step).and_then(|it| it.p50_seconds);
        assert_eq!((p50("clean"), p50("append"), p50("read")), (Some(0.02), Some(0.0), None));
    }
}
