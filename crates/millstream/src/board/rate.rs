//! Rates and latencies over the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

use millstream_core::status::Freshness;
use tokio::time::Instant;

/// Span over which a rate is taken.
const SPAN: Duration = Duration::from_secs(5);

/// Shortest time between two samples.
const STEP: Duration = Duration::from_millis(200);

/// Span over which latencies count.
const LATENCY_SPAN: Duration = Duration::from_mins(1);

/// Latencies that are kept; the oldest leave first.
const LATENCIES: usize = 4096;

/// A count that grows, and how fast.
#[derive(Debug, Default)]
pub(super) struct Rate {
    total: u64,
    samples: VecDeque<(Instant, u64)>,
}

impl Rate {
    /// The count was `total` already before anything was counted here.
    pub(super) fn start(&mut self, total: u64) {
        self.total = total;
    }

    /// The count is `total` now.
    pub(super) fn add(&mut self, total: u64) {
        let now = Instant::now();
        if self.samples.back().is_none_or(|(at, _)| now.duration_since(*at) >= STEP) {
            // The sample holds what was there before, so that the first rows count too.
            self.samples.push_back((now, self.total));
            while self.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > SPAN) {
                self.samples.pop_front();
            }
        }
        self.total = total;
    }

    /// The count.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// How fast it grew over the last seconds.
    pub(super) fn per_second(&self) -> f64 {
        let now = Instant::now();
        let Some((at, before)) = self.samples.iter().find(|(at, _)| now.duration_since(*at) <= SPAN) else {
            return 0.0;
        };
        let seconds = now.duration_since(*at).as_secs_f64().max(1.0);
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let grown = self.total.saturating_sub(*before) as f64;
        grown / seconds
    }
}

/// How long things took lately.
#[derive(Debug, Default)]
pub(super) struct Latencies(VecDeque<(Instant, i64)>);

impl Latencies {
    /// One more took `micros`.
    pub(super) fn add(&mut self, micros: i64) {
        if self.0.len() == LATENCIES {
            self.0.pop_front();
        }
        self.0.push_back((Instant::now(), micros));
    }

    /// Median and 99th percentile of the last minute, seconds.
    pub(super) fn quantiles(&self) -> (Option<f64>, Option<f64>) {
        let now = Instant::now();
        let recent = self.0.iter().filter(|(at, _)| now.duration_since(*at) <= LATENCY_SPAN);
        let mut sorted: Vec<i64> = recent.map(|(_, micros)| *micros).collect();
        sorted.sort_unstable();
        #[allow(clippy::cast_precision_loss, reason = "seconds for people")]
        let at = |percent: usize| {
            sorted.get(sorted.len().saturating_sub(1) * percent / 100).map(|&micros| micros as f64 / 1e6)
        };
        (at(50), at(99))
    }
}

/// Both latencies as the status tells them.
pub(super) fn freshness(fresh: &Latencies, visible: &Latencies) -> Freshness {
    let (p50_seconds, p99_seconds) = fresh.quantiles();
    let (visible_p50_seconds, visible_p99_seconds) = visible.quantiles();
    Freshness { p50_seconds, p99_seconds, visible_p50_seconds, visible_p99_seconds }
}
