//! The topics of a pipeline: made as they must be, or checked whether they are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use tracing::{info, warn};

use super::client::Client;
use super::error::{KafkaLogError, Kind};
use super::health::Context;
use super::progress::partition;
use super::settings::{CALL_TIMEOUT, LAYOUT_PARTITION, MAX_PUBLISHERS, RECORD_ROOM_BYTES, Settings};
use crate::stream::LogError;

/// Events that a client may have for us after a call that failed, at most.
const EVENTS: u32 = 100;

/// How often, and how long apart, topics that were just made are looked for.
const LOOKS: u32 = 50;
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// A topic as it must be.
struct Wanted {
    name: String,
    partitions: u32,
    is_compacted: bool,
    has_rows: bool,
}

/// Makes the topics that are not there (if it may), and checks those that are. Gives what is odd about them, in words.
pub(super) async fn prepare(client: &Arc<Client>, may_make: bool) -> Result<Vec<String>, LogError> {
    let settings = &client.settings;
    let wanted = wanted(settings);
    let mut partitions = look(client).await?;
    let admin = client.admin()?;
    let missing: Vec<&Wanted> = wanted.iter().filter(|topic| !partitions.contains_key(&topic.name)).collect();
    if let (Some(first), false) = (missing.first(), may_make) {
        let problem = "is not there: was it deleted, or has the pipeline never run on this cluster?".to_owned();
        return Err(KafkaLogError::Topic { topic: first.name.clone(), problem }.into());
    }
    if !missing.is_empty() {
        create(client, &admin, &missing).await?;
        // Brokers learn of new topics one after the other.
        for _ in 0..LOOKS {
            partitions = look(client).await?;
            if wanted.iter().all(|topic| partitions.contains_key(&topic.name)) {
                break;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
    for topic in &wanted {
        check_partitions(topic, partitions.get(&topic.name).copied())?;
    }
    let odd = check_settings(settings, &admin, &wanted).await?;
    let client = Arc::clone(client);
    super::blocking(move || {
        let names: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
        Ok(client.keep_topics(&names)?)
    })
    .await?;
    Ok(odd)
}

fn wanted(settings: &Settings) -> Vec<Wanted> {
    let names = &settings.names;
    let topic = |name: &str, partitions, is_compacted| Wanted {
        name: name.to_owned(),
        partitions,
        is_compacted,
        has_rows: name == names.rows,
    };
    let mut wanted = vec![topic(&names.rows, settings.partitions, false)];
    if settings.kafka.foreign {
        return wanted;
    }
    wanted.push(topic(&names.progress, LAYOUT_PARTITION + 1, true));
    wanted.push(topic(&names.rejects, 1, false));
    if settings.has_dedup {
        wanted.push(topic(&names.dedup, MAX_PUBLISHERS, true));
    }
    wanted
}

/// Partitions of every topic that we may see.
async fn look(client: &Arc<Client>) -> Result<HashMap<String, usize>, LogError> {
    let client = Arc::clone(client);
    super::blocking(move || {
        // A consumer, for it can be polled: only then is it told why a connection failed.
        let consumer = client.take_scanner()?;
        let metadata = consumer.fetch_metadata(None, CALL_TIMEOUT);
        let metadata = metadata.map_err(|error| {
            for _ in 0..EVENTS {
                drop(consumer.poll(Duration::ZERO));
            }
            let (brokers, reason) = (client.settings.brokers(), client.health.heard(&error.to_string()));
            // A refused login looks like a broken connection; what was heard of it tells.
            let words = ["uthentication", "SASL", "SSL", "certificate"];
            let is_login = Kind::of(&error) == Kind::Login || words.iter().any(|word| reason.contains(word));
            if is_login {
                KafkaLogError::Login { brokers, reason }
            } else {
                KafkaLogError::Unreachable { brokers, reason }
            }
        })?;
        client.put_scanner(consumer);
        Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
    })
    .await
}

async fn create(client: &Client, admin: &AdminClient<Context>, missing: &[&Wanted]) -> Result<(), LogError> {
    let settings = &client.settings;
    let replication = settings.kafka.replication.map_or(-1, i32::from);
    let in_sync = settings.kafka.min_insync_replicas.map(|replicas| replicas.to_string());
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|topic| {
            let mut new = NewTopic::new(&topic.name, partition(topic.partitions), TopicReplication::Fixed(replication));
            new.config = if topic.is_compacted {
                vec![("cleanup.policy", "compact"), ("segment.ms", "3600000"), ("min.cleanable.dirty.ratio", "0.1")]
            } else {
                // What may leave is deleted once the archive holds it.
                vec![("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")]
            };
            new.config.extend(in_sync.as_deref().map(|in_sync| ("min.insync.replicas", in_sync)));
            new
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(CALL_TIMEOUT)).request_timeout(Some(2 * CALL_TIMEOUT));
    let failed = |source| client.failed("make the topics", source);
    for result in admin.create_topics(&topics, &options).await.map_err(failed)? {
        match result {
            Ok(topic) => info!(topic, "topic made"),
            // Another process was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) if Kind::of_code(code) == Kind::Right => {
                // Topics that must not even be described look as if they were not there.
                let right = format!("Create on the topic `{topic}` (if it is there already: Describe)");
                return Err(client.not_permitted(format!("make the topic `{topic}`"), right, &code).into());
            }
            Err((topic, code)) => {
                let problem = format!(
                    "cannot be made ({code}); see `stream.kafka.replication` and `min_insync_replicas`, or make it by hand with \
                     {} partitions",
                    missing.iter().find(|wanted| wanted.name == topic).map_or(1, |wanted| wanted.partitions)
                );
                return Err(KafkaLogError::Topic { topic, problem }.into());
            }
        }
    }
    Ok(())
}

fn check_partitions(topic: &Wanted, found: Option<usize>) -> Result<(), KafkaLogError> {
    let wrong = |problem| Err(KafkaLogError::Topic { topic: topic.name.clone(), problem });
    match found {
        None => wrong("is not there, though it was made: look at the broker's log".to_owned()),
        Some(found) if found != topic.partitions as usize => {
            let way_out = if topic.has_rows {
                "set `stream.partitions`, or name another `stream.topic`"
            } else {
                "name another `stream.topic`"
            };
            wrong(format!("has {found} partitions, and {} are wanted: {way_out}", topic.partitions))
        }
        Some(_) => Ok(()),
    }
}

async fn check_settings(
    settings: &Settings,
    admin: &AdminClient<Context>,
    wanted: &[Wanted],
) -> Result<Vec<String>, LogError> {
    let specifiers: Vec<ResourceSpecifier<'_>> =
        wanted.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    let options = AdminOptions::new().request_timeout(Some(2 * CALL_TIMEOUT));
    let results = match admin.describe_configs(&specifiers, &options).await {
        Ok(results) => results,
        Err(error) => {
            warn!(%error, "the settings of the topics cannot be read; they are not checked");
            return Ok(Vec::new());
        }
    };
    let mut odd = Vec::new();
    for (topic, result) in wanted.iter().zip(results) {
        match result {
            // The library does not tell why: a right that is missing looks like this.
            Ok(found) if found.entries.is_empty() => {
                if !settings.kafka.foreign {
                    odd.push(not_checked(settings, topic));
                }
            }
            Ok(found) => odd.extend(check_topic(settings, topic, &found)?),
            Err(code) => {
                warn!(topic = topic.name, %code, "the settings of a topic cannot be read; they are not checked");
            }
        }
    }
    Ok(odd)
}

/// That nobody told the settings of a topic.
fn not_checked(settings: &Settings, topic: &Wanted) -> String {
    let (name, principal) = (&topic.name, settings.principal());
    let as_it_must_be = if topic.is_compacted {
        "`cleanup.policy=compact`"
    } else {
        "`cleanup.policy=delete`, `retention.ms=-1` and a `max.message.bytes` above `stream.max_record_bytes`"
    };
    format!(
        "the settings of the Kafka topic `{name}` are not told to {principal}, so they are not checked: give that user DescribeConfigs on \
         it, or see to it that it has {as_it_must_be}"
    )
}

/// Refuses what would lose or stop rows; gives what is merely odd.
fn check_topic(settings: &Settings, topic: &Wanted, found: &ConfigResource) -> Result<Option<String>, KafkaLogError> {
    let value = |name: &str| found.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default();
    let wrong = |problem| Err(KafkaLogError::Topic { topic: topic.name.clone(), problem });
    let max_bytes: u64 = value("max.message.bytes").parse().unwrap_or(u64::MAX);
    let needed = max_message_bytes(settings);
    if max_bytes < needed && !settings.kafka.foreign {
        return wrong(format!(
            "takes records of at most {max_bytes} bytes (`max.message.bytes`), and {needed} are needed: raise that, or lower \
             `stream.max_record_bytes` to {} bytes",
            max_bytes.saturating_sub(RECORD_ROOM_BYTES)
        ));
    }
    let policy = value("cleanup.policy");
    let is_compacted = policy.split(',').any(|part| part.trim() == "compact");
    let deletes = policy.split(',').any(|part| part.trim() == "delete");
    if topic.is_compacted && deletes {
        return wrong(format!("has `cleanup.policy` {policy}, and progress must never expire: set it to `compact`"));
    }
    if !topic.is_compacted && is_compacted && !settings.kafka.foreign {
        return wrong(format!("has `cleanup.policy` {policy}, which would drop rows: set it to `delete`"));
    }
    let retention: i64 = value("retention.ms").parse().unwrap_or(-1);
    let expires = !topic.is_compacted && retention >= 0 && !settings.kafka.foreign;
    Ok(expires.then(|| {
        format!(
            "the Kafka topic `{}` lets records go after {} s whether they are archived or not (`retention.ms`); -1 lets Millstream \
             take away what is archived",
            topic.name,
            retention / 1000
        )
    }))
}

/// Largest record with its key and headers.
fn max_message_bytes(settings: &Settings) -> u64 {
    settings.max_record_bytes + RECORD_ROOM_BYTES
}
