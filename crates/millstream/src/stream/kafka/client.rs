//! What everything that talks to Kafka shares: settings, health, and the consumer of scans.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::AdminClient;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::error::{KafkaLogError, Kind};
use super::health::{Context, Health};
use super::settings::{CALL_TIMEOUT, Settings};

/// How long a transaction may stay open whose writer was fenced; the broker ends it within moments.
const STABLE_PATIENCE: Duration = Duration::from_secs(20);
const STABLE_PAUSE: Duration = Duration::from_millis(20);

/// Shared by all clients of a pipeline.
pub(super) struct Client {
    pub(super) settings: Settings,
    pub(super) health: Arc<Health>,
    /// Kept from one scan to the next: making one takes most of the time of a short scan.
    scanner: Mutex<Option<BaseConsumer<Context>>>,
    /// Sees also what is not committed.
    unstable: Mutex<Option<BaseConsumer<Context>>>,
}

impl Client {
    pub(super) fn new(settings: Settings, health: Arc<Health>) -> Self {
        Self { settings, health, scanner: Mutex::default(), unstable: Mutex::default() }
    }

    /// The context of a new client.
    pub(super) fn context(&self) -> Context {
        Context(Arc::clone(&self.health))
    }

    /// A client that administrates, for one piece of work: what it hears while nobody asks it would never be taken from it.
    pub(super) fn admin(&self) -> Result<AdminClient<Context>, KafkaLogError> {
        let made = self.settings.client().create_with_context(self.context());
        made.map_err(|error| KafkaLogError::Settings { reason: error.to_string() })
    }

    /// A consumer with these settings beside those that all consumers have.
    pub(super) fn consumer(&self, settings: &[(&str, &str)]) -> Result<BaseConsumer<Context>, KafkaLogError> {
        let mut config = self.settings.consumer();
        config.extend(settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let made = config.create_with_context(self.context());
        made.map_err(|error| KafkaLogError::Settings { reason: error.to_string() })
    }

    /// The consumer of scans; give it back by [`Self::put_scanner`] when it is good for another.
    pub(super) fn take_scanner(&self) -> Result<BaseConsumer<Context>, KafkaLogError> {
        let kept = self.scanner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let settings = [
            ("enable.partition.eof", "true"),
            ("fetch.wait.max.ms", "10"),
            ("auto.offset.reset", "earliest"),
            ("client.id", "millstream-scan"),
        ];
        kept.map_or_else(|| self.consumer(&settings), Ok)
    }

    pub(super) fn put_scanner(&self, scanner: BaseConsumer<Context>) {
        *self.scanner.lock().unwrap_or_else(PoisonError::into_inner) = Some(scanner);
    }

    /// Waits until no transaction is open in these partitions that was there when this was called: whoever reads what is committed
    /// then reads all that will ever be committed of it. To be called once those who could write are fenced. Blocks.
    pub(super) fn wait_until_stable(&self, topic: &str, partitions: &[i32]) -> Result<(), KafkaLogError> {
        let mut unstable = self.unstable.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = if let Some(reader) = unstable.take() {
            reader
        } else {
            self.consumer(&[("isolation.level", "read_uncommitted"), ("client.id", "millstream-marks")])?
        };
        let reader = unstable.insert(reader);
        let scanner = self.take_scanner()?;
        let began = Instant::now();
        for &partition in partitions {
            let end = self.patiently(topic, began, || reader.fetch_watermarks(topic, partition, CALL_TIMEOUT))?.1;
            while self.patiently(topic, began, || scanner.fetch_watermarks(topic, partition, CALL_TIMEOUT))?.1 < end {
                if began.elapsed() > STABLE_PATIENCE {
                    return Err(KafkaLogError::Aborted {
                        reason: format!(
                            "a transaction of another process stays open in partition {partition} of `{topic}`"
                        ),
                    });
                }
                std::thread::sleep(STABLE_PAUSE);
            }
        }
        self.put_scanner(scanner);
        Ok(())
    }

    /// Asks again while partitions have no leader that can tell.
    fn patiently<T>(
        &self,
        topic: &str,
        began: Instant,
        ask: impl Fn() -> Result<T, KafkaError>,
    ) -> Result<T, KafkaLogError> {
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) if Kind::of(&error) == Kind::Passing && began.elapsed() < STABLE_PATIENCE => {
                    std::thread::sleep(STABLE_PAUSE);
                }
                Err(error) if Kind::of(&error) == Kind::NoTopic => {
                    let problem = "is not there any more: was it deleted?".to_owned();
                    return Err(KafkaLogError::Topic { topic: topic.to_owned(), problem });
                }
                Err(error) => return Err(self.failed(format!("look at the topic `{topic}`"), error)),
            }
        }
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
