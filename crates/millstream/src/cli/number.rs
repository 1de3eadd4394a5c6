//! Numbers as people read them.

use std::time::Duration;

use indicatif::{BinaryBytes, HumanCount};

/// `12,345`
pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// `1 row`, `12,345 rows`
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

/// `1.25 MiB`
pub(super) fn bytes(number: u64) -> String {
    BinaryBytes(number).to_string()
}

/// A rate without its fraction.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is finite and not negative")]
pub(super) fn rate(per_second: f64) -> String {
    count(per_second.round() as u64)
}

/// `3ms`, `4.2s`, `3m 12s`, `2h 5m`
pub(super) fn duration(seconds: f64) -> String {
    let Ok(duration) = Duration::try_from_secs_f64(seconds) else { return "?".to_owned() };
    match duration.as_secs() {
        0 if seconds < 0.1 => format!("{:.0}ms", (seconds * 1e3).ceil()),
        0..=59 => format!("{seconds:.1}s"),
        seconds @ 60..=3599 => format!("{}m {}s", seconds / 60, seconds % 60),
        seconds => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}
