//! Pauses between tries.

use std::time::Duration;

use uuid::Uuid;

use crate::options::Options;

const FIRST: Duration = Duration::from_millis(50);

/// Counts tries in a row that failed, and says how long to rest before the next.
#[derive(Debug, Clone)]
pub(crate) struct Pauses {
    retries: u32,
    longest: Duration,
    failed: u32,
}

impl Pauses {
    pub(crate) fn new(options: &Options) -> Self {
        Self { retries: options.retries, longest: options.longest_pause, failed: 0 }
    }

    /// It went well: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }

    /// It failed: how long to rest before the next try, or nothing if there were enough. A half of the pause is by chance, so that clients which
    /// lost a server together do not come back together.
    pub(crate) fn next(&mut self, at_least: Duration) -> Option<Duration> {
        if self.failed >= self.retries {
            return None;
        }
        let whole = FIRST.saturating_mul(4_u32.saturating_pow(self.failed)).min(self.longest);
        self.failed += 1;
        let [chance, ..] = Uuid::new_v4().into_bytes();
        Some((whole / 2 + whole / 2 * u32::from(chance) / 255).max(at_least.min(MOST_ASKED_FOR)))
    }
}

/// A server that asks for longer pauses is not believed.
const MOST_ASKED_FOR: Duration = Duration::from_mins(1);
