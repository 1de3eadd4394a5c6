//! Whether Kafka can be reached: what the clients hear, kept for messages and status.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::status::MessageLevel;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{debug, info, warn};

use crate::clock::{now_micros, rfc3339};
use crate::stream::Trouble;

/// Hears of troubles, in words for people.
pub(crate) type Tell = Arc<dyn Fn(MessageLevel, String) + Send + Sync>;

/// A trouble that is over before this is not told to people.
const PATIENCE_MICROS: i64 = 1_000_000;

/// Shared by all clients of a pipeline.
pub(super) struct Health {
    brokers: String,
    tell: Tell,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    trouble: Option<Trouble>,
    /// What librdkafka said last of a connection that failed.
    heard: Option<String>,
    /// Whether people know of the trouble.
    is_told: bool,
    /// What is odd and was told.
    odd: BTreeSet<String>,
}

impl Health {
    /// Of clients that talk to `brokers`.
    pub(super) fn new(brokers: String, tell: Tell) -> Self {
        Self { brokers, tell, inner: Mutex::default() }
    }

    /// Something that should have worked did not; it is tried again.
    pub(super) fn bad(&self, what: &str) {
        let now = now_micros();
        let mut inner = self.lock();
        let what = inner.heard.clone().unwrap_or_else(|| what.to_owned());
        let trouble = inner.trouble.get_or_insert_with(|| Trouble { since_micros: now, what: String::new() });
        trouble.what = what;
        let Trouble { since_micros, what } = trouble.clone();
        if now - since_micros < PATIENCE_MICROS || std::mem::replace(&mut inner.is_told, true) {
            return;
        }
        drop(inner);
        let (brokers, since) = (&self.brokers, rfc3339(since_micros));
        warn!(brokers, since, what, "Kafka does not answer; trying again");
        (self.tell)(
            MessageLevel::Error,
            format!(
                "Kafka at `{brokers}` does not answer since {since} ({what}). Rows wait where they are, nothing is lost, and all goes on \
                 by itself when it answers"
            ),
        );
    }

    /// Something worked.
    pub(super) fn good(&self) {
        let mut inner = self.lock();
        inner.heard = None;
        let trouble = inner.trouble.take();
        if !std::mem::take(&mut inner.is_told) {
            return;
        }
        drop(inner);
        let since_micros = trouble.map_or(0, |trouble| trouble.since_micros);
        let seconds = now_micros().saturating_sub(since_micros) / 1_000_000;
        let brokers = &self.brokers;
        info!(brokers, seconds, "Kafka answers again");
        (self.tell)(MessageLevel::Info, format!("Kafka at `{brokers}` answers again, after {seconds} s"));
    }

    /// Something that a person should know, and that keeps nothing from working.
    pub(super) fn odd(&self, text: String) {
        warn!(text, "odd, and no reason to stop");
        (self.tell)(MessageLevel::Warn, text);
    }

    /// As [`Self::odd`], once for each text.
    pub(super) fn odd_once(&self, text: String) {
        let is_new = self.lock().odd.insert(text.clone());
        if is_new {
            self.odd(text);
        }
    }

    /// What keeps Kafka from working at the moment.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.lock().trouble.clone()
    }

    /// What librdkafka said last of a connection that failed, or `otherwise`.
    pub(super) fn heard(&self, otherwise: &str) -> String {
        self.lock().heard.clone().unwrap_or_else(|| otherwise.to_owned())
    }

    fn hear(&self, text: &str) {
        let mut inner = self.lock();
        // Why a connection failed says more than how many did.
        if inner.heard.is_none() || !text.ends_with("brokers are down") {
            inner.heard = Some(text.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Texts for people: those of a holder that panicked are as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Context of every client.
#[derive(Clone)]
pub(super) struct Context(pub(super) Arc<Health>);

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(&self.0, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if matches!(error, KafkaError::Global(RDKafkaErrorCode::PartitionEOF)) {
            return;
        }
        self.0.hear(tidy(reason));
        debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Context {}

/// Takes in a line of librdkafka's own log.
pub(super) fn log_line(health: &Health, level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        // Told by whoever called: once, as a trouble or as an error.
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => {
            if facility == "FAIL" || facility == "ERROR" {
                health.hear(tidy(message));
            }
            debug!(facility, message, "librdkafka");
        }
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            debug!(facility, message, "librdkafka");
        }
    }
}

/// Without the name of the thread in front and the times behind.
fn tidy(message: &str) -> &str {
    let behind_thread =
        message.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map_or(message, |(_, text)| text);
    behind_thread.split(" (after ").next().unwrap_or(behind_thread)
}

#[cfg(test)]
mod tests {
    use super::tidy;

    #[test]
    fn a_line_of_librdkafka_is_told_without_threads_and_times() {
        let line = "[thrd:127.0.0.1:9/bootstrap]: 127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused (after 0ms in state CONNECT)";
        assert_eq!(tidy(line), "127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused");
        assert_eq!(tidy("plain"), "plain");
    }
}
