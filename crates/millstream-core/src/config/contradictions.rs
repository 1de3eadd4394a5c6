//! Settings of different sections that cannot hold together. Each message names both and the fix.

use super::kafka::{Kafka, are_on_loopback};
use super::sections::Items;
use super::{Config, Format, Outside, PartitionBy, RetentionBy};
use crate::units::{format_duration, format_size};

/// Reports every contradiction at the setting that the user more likely wants to change.
pub(super) fn check(config: &Config, items: &Items<'_>, outside: &Outside<'_>) {
    check_partitions(config, items);
    check_folders(config, items);
    check_server(config, items, outside);
    check_memory(config, items);
    check_log(config, items);
    check_upkeep(config, items);
    if let (Some(item), true) = (&items.spark, config.is_foreign()) {
        item.mistake(
            "`stream.kafka.foreign` rows are cleaned one by one while they are received, which Spark is not for; leave \
             `[clean.spark]` out",
            None,
        );
    }
}

fn check_partitions(config: &Config, items: &Items<'_>) {
    let by_event_time = matches!(config.archive.partition_by, PartitionBy::Day | PartitionBy::Month);
    if let (true, None, Some(item)) = (by_event_time, &items.event_time, &items.partition_by) {
        item.mistake(
            "`archive.partition_by` by the event's day or month needs `source.event_time`; name that column, or partition \
             otherwise",
            Some("arrival_day, none"),
        );
    }
}

fn check_folders(config: &Config, items: &Items<'_>) {
    let (data_dir, archive) = (&config.pipeline.data_dir, &config.archive.path);
    if let (Some(item), true) =
        (&items.archive_path, archive.folder().is_some_and(|archive| data_dir.starts_with(archive)))
    {
        item.mistake(
            "`archive.path` is `pipeline.data_dir` or holds it, so that the archive and the state would mix; give the archive a \
             folder of its own",
            None,
        );
    }
}

fn check_server(config: &Config, items: &Items<'_>, outside: &Outside<'_>) {
    if let (Some(http), None) = (&items.http, &items.token)
        && !config.server.http.ip().is_loopback()
        && !(outside.has_users)(&config.server.users)
    {
        http.mistake(
            "`server.http` is reachable from other machines, and nobody may log in yet; make a user (`millstream user add NAME \
             --role operator`), or set `server.token`, such as \"${MILLSTREAM_TOKEN}\", or listen on 127.0.0.1",
            None,
        );
    }
}

/// Batches under way and records that wait to be appended are shares of the one budget.
fn check_memory(config: &Config, items: &Items<'_>) {
    let memory = config.limits.memory;
    let (flush_bytes, batch_bytes) = (config.stream.flush_bytes, config.stream.batch_bytes);
    if let (Some(item), true) = (items.flush_bytes.as_ref().or(items.memory.as_ref()), flush_bytes > memory / 4) {
        let problem = format!(
            "`stream.flush_bytes` ({}) is more than a quarter of `limits.memory` ({}); lower the one or raise the other",
            format_size(flush_bytes),
            format_size(memory)
        );
        item.mistake(problem, None);
    }
    let splits = config.source.parallel_splits.get() as u64;
    let item = items.batch_bytes.as_ref().or(items.parallel_splits.as_ref()).or(items.memory.as_ref());
    if let (Some(item), true) = (item, splits.saturating_mul(batch_bytes) > memory / 2) {
        let problem = format!(
            "`source.parallel_splits` ({splits}) batches of `stream.batch_bytes` ({}) are more than half of `limits.memory` \
             ({}); lower one of the first two or raise the last",
            format_size(batch_bytes),
            format_size(memory)
        );
        item.mistake(problem, None);
    }
}

/// What goes with one of the two logs only. A `[stream.kafka]` that is wrong counts as one.
fn check_log(config: &Config, items: &Items<'_>) {
    if items.kafka.section.is_none() {
        if let Some((item, Some(Format::Json))) = &items.format {
            item.mistake(
                "`stream.format = \"json\"` is for other consumers of a topic, and the embedded log has none; add `[stream.kafka]`, or \
                 leave `format` out",
                None,
            );
        }
        if let Some(item) = &items.key_item {
            item.mistake(
                "`stream.key` puts rows into partitions of Kafka, and the embedded log has no keys; add `[stream.kafka]`, or leave \
                 `key` out",
                None,
            );
        }
    } else if let Some(item) = &items.retention_bytes {
        item.mistake(
            "`stream.retention_bytes` is of the embedded log, and `[stream.kafka]` takes its place; leave one of them out \
             (`stream.retention` holds for both)",
            None,
        );
    }
    if let Some(kafka) = &config.stream.kafka {
        check_login(kafka, items);
        if kafka.foreign {
            check_foreign(items);
        }
    }
}

/// `PLAIN` hands the password itself to whoever listens on the way.
fn check_login(kafka: &Kafka, items: &Items<'_>) {
    if let (Some(item), None) = (&items.kafka.plain, &items.kafka.tls)
        && !are_on_loopback(&kafka.brokers)
    {
        item.mistake(
            "`stream.kafka.sasl.mechanism = \"PLAIN\"` would send the password in plain text, for `stream.kafka.brokers` are not all on \
             this machine; add `[stream.kafka.tls]`",
            None,
        );
    }
}

/// What a query reads must be there until it ends, and rows can only be as old as they say.
fn check_upkeep(config: &Config, items: &Items<'_>) {
    let (history, query_timeout) = (config.archive.upkeep.history, config.limits.query_timeout);
    let item = items.upkeep.history.as_ref().or(items.query_timeout.as_ref());
    if let (Some(item), true) = (item, history < query_timeout * 2) {
        let problem = format!(
            "`archive.history` ({}) is less than twice `limits.query_timeout` ({}), so that files could go while a query reads them; \
             raise the one or lower the other",
            format_duration(history),
            format_duration(query_timeout)
        );
        item.mistake(problem, None);
    }
    if let (Some((item, RetentionBy::EventTime)), None) = (&items.upkeep.retention_by, &items.event_time) {
        item.mistake(
            "`archive.retention_by = \"event_time\"` needs `source.event_time`; name that column, or let it count from `ingested_at`",
            Some("ingested_at"),
        );
    }
}

/// A topic that another program writes is only received.
fn check_foreign(items: &Items<'_>) {
    if let (Some(item), None | Some((_, Some(Format::Arrow)))) = (&items.kafka.foreign, &items.format) {
        item.mistake(
            "`stream.kafka.foreign` needs `stream.format = \"json\"`, the one format that is read from other programs; set it, or leave \
             `foreign` out",
            None,
        );
    }
    for (key, item) in &items.of_files {
        let problem = format!(
            "`source.{key}` is about files, and with `stream.kafka.foreign` the rows come from a topic; leave one of them out"
        );
        item.mistake(problem, None);
    }
    if let Some(item) = &items.key_item {
        item.mistake(
            "`stream.key` puts rows into partitions, and with `stream.kafka.foreign` another program does that; leave one of them out",
            None,
        );
    }
}
