//! The one place that reads the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};

/// Microseconds since 1970, UTC.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub(crate) fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// A time as RFC 3339 text with milliseconds.
pub(crate) fn rfc3339(micros: i64) -> String {
    DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// How long to rest after so many failures in a row: from `shortest` on twice as long each time, up to `longest`, and less by chance,
/// so that processes that lost the same thing do not ask for it together.
pub(crate) fn pause((shortest, longest): (Duration, Duration), failures: u32) -> Duration {
    shortest.saturating_mul(1 << failures.min(6)).min(longest).mul_f64(0.5 + jitter() / 2.0)
}

/// A number from 0 to below 1 that nobody can foresee; for pauses.
pub(crate) fn jitter() -> f64 {
    f64::from(u32::try_from(now_micros().rem_euclid(1000)).unwrap_or_default()) / 1000.0
}
