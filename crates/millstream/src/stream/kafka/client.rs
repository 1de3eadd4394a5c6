//! What everything that talks to Kafka shares: settings, health, and the consumer of scans.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use super::error::KafkaLogError;
use super::health::{Context, Health};
use super::settings::Settings;

/// Shared by all clients of a pipeline.
pub(super) struct Client {
    pub(super) settings: Settings,
    pub(super) health: Arc<Health>,
    /// Kept from one scan to the next: making one takes most of the time of a short scan.
    scanner: Mutex<Option<BaseConsumer<Context>>>,
}

impl Client {
    pub(super) fn new(settings: Settings, health: Arc<Health>) -> Self {
        Self { settings, health, scanner: Mutex::default() }
    }

    /// The context of a new client.
    pub(super) fn context(&self) -> Context {
        Context(Arc::clone(&self.health))
    }

    /// The consumer of scans; give it back by [`Self::put_scanner`] when it is good for another.
    pub(super) fn take_scanner(&self) -> Result<BaseConsumer<Context>, KafkaLogError> {
        let kept = self.scanner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let make = || {
            let mut config = self.settings.consumer();
            config
                .set("enable.partition.eof", "true")
                .set("fetch.wait.max.ms", "10")
                .set("auto.offset.reset", "earliest")
                .set("client.id", "millstream-scan");
            let made = config.create_with_context(self.context());
            made.map_err(|error| KafkaLogError::Settings { reason: error.to_string() })
        };
        kept.map_or_else(make, Ok)
    }

    pub(super) fn put_scanner(&self, scanner: BaseConsumer<Context>) {
        *self.scanner.lock().unwrap_or_else(PoisonError::into_inner) = Some(scanner);
    }

    /// That an operation failed for a reason of librdkafka's.
    pub(super) fn failed(&self, operation: impl Into<String>, source: KafkaError) -> KafkaLogError {
        KafkaLogError::Operation {
            operation: operation.into(),
            brokers: self.settings.brokers(),
            source: Box::new(source),
        }
    }

    /// That nobody answers.
    pub(super) fn unreachable(&self) -> KafkaLogError {
        KafkaLogError::Unreachable { brokers: self.settings.brokers(), reason: self.health.heard("no answer") }
    }
}
