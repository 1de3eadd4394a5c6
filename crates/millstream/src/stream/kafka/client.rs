//! What everything that talks to Kafka shares: settings, health, and the consumer of scans.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_topic_id::TopicState;
use rdkafka::admin::AdminClient;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use uuid::Uuid;

use super::error::{KafkaLogError, Kind};
use super::health::{Context, Health};
use super::settings::{CALL_TIMEOUT, Settings};

/// How long a transaction may stay open whose writer was fenced; the broker ends it within moments.
const STABLE_PATIENCE: Duration = Duration::from_secs(20);
const STABLE_PAUSE: Duration = Duration::from_millis(20);

/// How often somebody looks whether the topics are still there; more often once one seems to be gone, which is believed after a
/// while.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
const GONE_INTERVAL: Duration = Duration::from_millis(300);
const GONE_PATIENCE: Duration = Duration::from_secs(2);

/// How long such a look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Shared by all clients of a pipeline.
pub(super) struct Client {
    pub(super) settings: Settings,
    pub(super) health: Arc<Health>,
    /// Kept from one scan to the next: making one takes most of the time of a short scan.
    scanner: Mutex<Option<BaseConsumer<Context>>>,
    /// Sees also what is not committed.
    unstable: Mutex<Option<BaseConsumer<Context>>>,
    /// Whether the topics are those that they were.
    topics: Mutex<Topics>,
}

/// The topics as they were at the start.
#[derive(Default)]
struct Topics {
    /// Kafka's own ids, by name.
    ids: BTreeMap<String, Uuid>,
    looked_at: Option<Instant>,
    /// Since when one of them is not there.
    gone_since: Option<Instant>,
}

impl Client {
    pub(super) fn new(settings: Settings, health: Arc<Health>) -> Self {
        let (scanner, unstable, topics) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { settings, health, scanner, unstable, topics }
    }

    /// The context of a new client.
    pub(super) fn context(&self) -> Context {
        Context(Arc::clone(&self.health))
    }

    /// A client that administrates, for one piece of work: what it hears while nobody asks it would never be taken from it.
    pub(super) fn admin(&self) -> Result<AdminClient<Context>, KafkaLogError> {
        let made = self.settings.client().create_with_context(self.context());
        made.map_err(|error| self.settings.unusable(&error))
    }

    /// A consumer with these settings beside those that all consumers have.
    pub(super) fn consumer(&self, settings: &[(&str, &str)]) -> Result<BaseConsumer<Context>, KafkaLogError> {
        let mut config = self.settings.consumer();
        config.extend(settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let made = config.create_with_context(self.context());
        made.map_err(|error| self.settings.unusable(&error))
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
        let reader = if let Some(reader) = unstable.take() { reader } else { self.unstable_reader()? };
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

    /// Keeps Kafka's ids of these topics, which are there. Blocks.
    pub(super) fn keep_topics(&self, names: &[&str]) -> Result<(), KafkaLogError> {
        let states = self.look_at_topics(names).map_err(|error| self.failed("ask for the ids of the topics", error))?;
        let mut topics = self.lock_topics();
        for (&name, state) in names.iter().zip(states) {
            match state {
                TopicState::There(id) => drop(topics.ids.insert(name.to_owned(), id)),
                // It was there just now.
                TopicState::Gone => return Err(self.unreachable()),
                TopicState::Unknown(code) if Kind::of_code(code) == Kind::Right => {
                    let operation = format!("look at the topic `{name}`");
                    let right = format!("Describe on the topic `{name}`");
                    return Err(self.not_permitted(operation, right, &code));
                }
                TopicState::Unknown(code) => {
                    let failed = KafkaError::MetadataFetch(code);
                    return Err(self.failed(format!("ask for the id of the topic `{name}`"), failed));
                }
            }
        }
        Ok(())
    }

    /// Kafka's id of a topic that was kept.
    pub(super) fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.lock_topics().ids.get(name).copied().filter(|id| !id.is_nil())
    }

    /// Whether the topics were not looked at for a while.
    pub(super) fn is_time_to_look(&self) -> bool {
        let topics = self.lock_topics();
        let interval = if topics.gone_since.is_some() { GONE_INTERVAL } else { LOOK_INTERVAL };
        topics.looked_at.is_none_or(|at| at.elapsed() >= interval)
    }

    /// Refuses topics that were deleted, or made anew under their names. `false` when nobody can tell at the moment. Blocks.
    pub(super) fn check_topics(&self) -> Result<bool, KafkaLogError> {
        let before: Vec<(String, Uuid)> = self.lock_topics().ids.clone().into_iter().collect();
        let names: Vec<&str> = before.iter().map(|(name, _)| name.as_str()).collect();
        let looked = self.look_at_topics(&names);
        self.lock_topics().looked_at = Some(Instant::now());
        let Ok(states) = looked else { return Ok(false) };
        let mut is_certain = true;
        let mut gone = None;
        for ((name, id), state) in before.iter().zip(states) {
            match state {
                TopicState::There(now) if now == *id => {}
                TopicState::There(now) => return Err(self.made_anew(name, *id, now)),
                TopicState::Gone => gone = Some(name),
                TopicState::Unknown(_) => is_certain = false,
            }
        }
        let Some(gone) = gone else {
            self.lock_topics().gone_since = None;
            return Ok(is_certain);
        };
        let since = *self.lock_topics().gone_since.get_or_insert_with(Instant::now);
        // A broker that starts knows no topics at all, and then all of them.
        if since.elapsed() >= GONE_PATIENCE && self.knows_topics() {
            return Err(self.gone(gone));
        }
        Ok(false)
    }

    /// Whether the cluster tells any topic.
    fn knows_topics(&self) -> bool {
        let Ok(scanner) = self.take_scanner() else { return false };
        let knows = scanner.fetch_metadata(None, LOOK_TIMEOUT).is_ok_and(|found| !found.topics().is_empty());
        self.put_scanner(scanner);
        knows
    }

    fn look_at_topics(&self, names: &[&str]) -> Result<Vec<TopicState>, KafkaError> {
        // The consumer of scans is often away for long; this one has nothing else to do.
        let mut unstable = self.unstable.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match unstable.take() {
            Some(reader) => reader,
            None => self.unstable_reader().map_err(|_| KafkaError::MetadataFetch(RDKafkaErrorCode::Fail))?,
        };
        let reader = unstable.insert(reader);
        // What it heard meanwhile would otherwise stay in memory.
        while reader.poll(Duration::ZERO).is_some() {}
        kafka_topic_id::look(reader.client(), names, LOOK_TIMEOUT)
    }

    fn unstable_reader(&self) -> Result<BaseConsumer<Context>, KafkaLogError> {
        self.consumer(&[("isolation.level", "read_uncommitted"), ("client.id", "millstream-marks")])
    }

    /// That a topic was deleted while this process ran.
    pub(super) fn gone(&self, name: &str) -> KafkaLogError {
        let problem = format!("is gone: it was deleted while this process ran. {}", self.way_out());
        KafkaLogError::Topic { topic: name.to_owned(), problem }
    }

    fn made_anew(&self, name: &str, before: Uuid, now: Uuid) -> KafkaLogError {
        let problem = format!(
            "was deleted and made anew while this process ran (its id in Kafka was {before} and is {now}). {}",
            self.way_out()
        );
        KafkaLogError::Topic { topic: name.to_owned(), problem }
    }

    fn way_out(&self) -> &'static str {
        if self.settings.kafka.foreign {
            "What the archive holds is safe; to receive a new topic of that name, name another `archive.path`"
        } else {
            "What the archive holds is safe; to start over name another `stream.topic` and another `archive.path`"
        }
    }

    fn lock_topics(&self) -> MutexGuard<'_, Topics> {
        // Every change replaces one value: what a panicking holder leaves is whole.
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That an operation failed for a reason of librdkafka's.
    pub(super) fn failed(&self, operation: impl Into<String>, source: KafkaError) -> KafkaLogError {
        KafkaLogError::Operation {
            operation: operation.into(),
            brokers: self.settings.brokers(),
            source: Box::new(source),
        }
    }

    /// That a right is missing: `right`, with what it is on.
    pub(super) fn not_permitted(
        &self,
        operation: impl Into<String>,
        right: impl Into<String>,
        reason: &impl ToString,
    ) -> KafkaLogError {
        KafkaLogError::NotPermitted {
            principal: self.settings.principal(),
            operation: operation.into(),
            right: right.into(),
            reason: reason.to_string(),
        }
    }

    /// That a topic or the group must not be read, as the error says.
    pub(super) fn not_readable(&self, topic: &str, error: &KafkaError) -> KafkaLogError {
        let right = if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            format!("Read on the group `{}`", self.settings.kafka.group)
        } else {
            format!("Read on the topic `{topic}`")
        };
        self.not_permitted(format!("read the topic `{topic}`"), right, error)
    }

    /// That nobody answers.
    pub(super) fn unreachable(&self) -> KafkaLogError {
        KafkaLogError::Unreachable { brokers: self.settings.brokers(), reason: self.health.heard("no answer") }
    }
}
