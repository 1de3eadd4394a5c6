//! A place in a consumer group: which partitions are ours. It reads no record; the reader does, from the archive's offsets.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use millstream_core::ids::TopicPartition;
use millstream_core::progress::Offsets;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::client::Client;
use super::error::{KafkaLogError, Kind};
use super::health::{Health, log_line};
use super::read::list;
use super::settings::Names;

/// How long one look at the group takes.
const POLL: Duration = Duration::from_millis(100);

/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(3);

/// A place in the group; left when it is dropped.
pub(crate) struct Membership {
    consumer: BaseConsumer<GroupContext>,
    client: Arc<Client>,
    ended: AtomicBool,
}

impl Membership {
    /// Asks for a place, and keeps it in `kept` for those who tell the group of offsets. To be called once for a log.
    pub(super) fn join(client: &Arc<Client>, kept: &OnceLock<Arc<Self>>) -> Result<Arc<Self>, KafkaLogError> {
        let settings = &client.settings;
        let context = GroupContext {
            names: settings.names.clone(),
            is_foreign: settings.kafka.foreign,
            patience: settings.kafka.session_timeout / 2,
            health: Arc::clone(&client.health),
            wanted: watch::Sender::new(BTreeSet::new()),
            settled: watch::Sender::new(BTreeSet::new()),
        };
        let mut config = settings.consumer();
        config
            .set("client.id", "millstream-group")
            // Nothing is fetched: every partition is paused.
            .set("auto.offset.reset", "latest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("max.poll.interval.ms", "300000");
        let consumer: BaseConsumer<GroupContext> =
            config.create_with_context(context).map_err(|error| settings.unusable(&error))?;
        let names = &settings.names;
        let topics = [names.rows.as_str(), names.rejects.as_str()];
        let received = if settings.kafka.foreign { &topics[..1] } else { &topics };
        consumer
            .subscribe(received)
            .map_err(|error| client.failed(format!("join the group `{}`", settings.kafka.group), error))?;
        let membership = Arc::new(Self { consumer, client: Arc::clone(client), ended: AtomicBool::new(false) });
        // A second place would have nobody who keeps it.
        let _ = kept.set(Arc::clone(&membership));
        Ok(membership)
    }

    /// The partitions that the group gives us.
    pub(crate) fn wanted(&self) -> watch::Receiver<BTreeSet<TopicPartition>> {
        self.consumer.context().wanted.subscribe()
    }

    /// Tells that these partitions are received and no others.
    pub(crate) fn settled(&self, partitions: &BTreeSet<TopicPartition>) {
        self.consumer.context().settled.send_if_modified(|known| {
            let is_new = known != partitions;
            if is_new {
                known.clone_from(partitions);
            }
            is_new
        });
    }

    /// Leaves at the next look at the group.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Keeps the place until it is ended or the group refuses us. Blocks: for a thread of its own.
    pub(crate) fn keep(&self) -> Result<(), KafkaLogError> {
        while !self.ended.load(Ordering::Relaxed) {
            match self.consumer.poll(POLL) {
                Some(Err(error)) if Kind::of(&error) == Kind::Right => {
                    let group = &self.client.settings.kafka.group;
                    let right = format!("Read on the group `{group}`");
                    return Err(self.client.not_permitted(format!("join the group `{group}`"), right, &error));
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    let source = KafkaError::MessageConsumptionFatal(code);
                    let operation = format!("stay in the group `{}`", self.client.settings.kafka.group);
                    return Err(self.client.failed(operation, source));
                }
                Some(Err(error)) => self.client.health.bad(&error.to_string()),
                Some(Ok(_)) | None => {}
            }
        }
        self.consumer.unsubscribe();
        // The others need not wait until our session times out: what is ours is given back by these looks.
        let began = Instant::now();
        while began.elapsed() < LEAVE && self.consumer.assignment().is_ok_and(|assignment| assignment.count() > 0) {
            drop(self.consumer.poll(POLL));
        }
        drop(self.consumer.poll(POLL));
        Ok(())
    }

    /// Tells the group how far the archive is, for tools that show lag; nothing depends on it.
    pub(super) fn note_archived(&self, archived: &Offsets) {
        let noted =
            list(&self.client.settings, archived).and_then(|list| self.consumer.commit(&list, CommitMode::Async));
        if let Err(error) = noted {
            debug!(%error, "the group's offsets are not noted");
        }
    }
}

/// Hears what the group gives and takes.
struct GroupContext {
    names: Names,
    is_foreign: bool,
    patience: Duration,
    health: Arc<Health>,
    wanted: watch::Sender<BTreeSet<TopicPartition>>,
    settled: watch::Sender<BTreeSet<TopicPartition>>,
}

impl GroupContext {
    fn partitions(&self, list: &TopicPartitionList) -> Vec<TopicPartition> {
        let elements = list.elements();
        let own = elements.iter().filter_map(|element| self.names.at(element.topic(), element.partition()));
        // Of a topic that another program writes each partition gives rejects, too.
        own.flat_map(|at| std::iter::once(at).chain(self.is_foreign.then(|| at.rejects()))).collect()
    }

    /// Waits until nobody here works on these partitions; not for ever, for the group waits meanwhile.
    fn let_go(&self, partitions: &[TopicPartition]) {
        let began = Instant::now();
        while partitions.iter().any(|at| self.settled.borrow().contains(at)) {
            if began.elapsed() > self.patience {
                warn!("partitions are handed over before their rows are archived; the next owner reads them again");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(&self.health, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for GroupContext {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(list) = rebalance {
            let partitions = self.partitions(list);
            self.wanted.send_modify(|wanted| wanted.retain(|at| !partitions.contains(at)));
            self.let_go(&partitions);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                if let Err(error) = consumer.pause(list) {
                    warn!(%error, "partitions could not be paused; their records are read twice and dropped");
                }
                let partitions = self.partitions(list);
                self.wanted.send_modify(|wanted| wanted.extend(partitions));
            }
            Rebalance::Error(error) => self.health.bad(&error.to_string()),
            Rebalance::Revoke(_) => {}
        }
    }
}
