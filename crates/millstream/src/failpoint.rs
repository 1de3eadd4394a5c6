//! Named points at which a test can have the process end as by SIGKILL. Only development builds have them.

/// The names, in the order in which a batch meets them. `embedded.` and `kafka.`: with that log only; `redrive.`: with a redrive.
pub(crate) const NAMES: &[&str] = &[
    "embedded.created",
    "kafka.fenced",
    "kafka.moving",
    "dedup.restored",
    "dedup.spilled",
    "append.before",
    "kafka.sent",
    "append.after",
    "receive.before_insert",
    "archive.created",
    "archive.staged",
    "archive.before_commit",
    "archive.committed",
    "archive.before_swap",
    "archive.before_trim",
    "upkeep.rewritten",
    "upkeep.before_commit",
    "upkeep.committed",
    "upkeep.checkpointed",
    "upkeep.log_cleaned",
    "vacuum.marked",
    "vacuum.removed",
    "redrive.before_append",
    "redrive.appended",
];

/// Writes `ack <append>` to stderr, directly after an append is durable, when `MILLSTREAM_TRACE_ACKS` is 1: a trace of system
/// calls shows then that no append is acknowledged before it is synced.
#[cfg(debug_assertions)]
#[allow(clippy::disallowed_methods, reason = "a switch for tests, not a setting")]
pub(crate) fn acknowledge(append: u64) {
    use std::io::Write;

    static TRACED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    if *TRACED.get_or_init(|| std::env::var("MILLSTREAM_TRACE_ACKS").is_ok_and(|value| value == "1")) {
        // A trace that nobody reads needs no line.
        let _ = std::io::stderr().write_all(format!("ack {append}\n").as_bytes());
    }
}

/// Nothing, in a build without debug assertions.
#[cfg(not(debug_assertions))]
pub(crate) fn acknowledge(_append: u64) {}

/// Ends the process here when `MILLSTREAM_FAILPOINT` is `name`, or `name:n` and this is the n-th hit. Nothing is flushed and no
/// destructor runs.
#[cfg(debug_assertions)]
pub(crate) fn hit(name: &'static str) {
    use std::sync::atomic::Ordering;

    let Some(armed) = armed() else { return };
    if armed.name == name && armed.hits_left.fetch_sub(1, Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}

/// Nothing, in a build without debug assertions.
#[cfg(not(debug_assertions))]
pub(crate) fn hit(_name: &'static str) {}

#[cfg(debug_assertions)]
struct Armed {
    name: String,
    hits_left: std::sync::atomic::AtomicI64,
}

#[cfg(debug_assertions)]
#[allow(clippy::disallowed_methods, reason = "a switch for tests, not a setting")]
fn armed() -> Option<&'static Armed> {
    static ARMED: std::sync::OnceLock<Option<Armed>> = std::sync::OnceLock::new();
    ARMED
        .get_or_init(|| {
            let text = std::env::var("MILLSTREAM_FAILPOINT").ok()?;
            let (name, hits) = text.split_once(':').unwrap_or((&text, "1"));
            let Ok(hits) = hits.parse::<i64>() else {
                tracing::error!(
                    value = text,
                    "`MILLSTREAM_FAILPOINT` is not `name` or `name:n`; no fail-point is armed"
                );
                return None;
            };
            Some(Armed { name: name.to_owned(), hits_left: std::sync::atomic::AtomicI64::new(hits) })
        })
        .as_ref()
}
