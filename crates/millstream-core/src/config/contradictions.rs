//! Settings of different sections that cannot hold together. Each message names both and the fix.

use super::sections::Items;
use super::{Config, PartitionBy};
use crate::units::format_size;

/// Reports every contradiction at the setting that the user more likely wants to change.
pub(super) fn check(config: &Config, items: &Items<'_>) {
    check_partitions(config, items);
    check_folders(config, items);
    check_server(config, items);
    check_memory(config, items);
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
    if let (Some(item), true) = (&items.archive_path, data_dir.starts_with(archive)) {
        item.mistake(
            "`archive.path` is `pipeline.data_dir` or holds it, so that the archive and the state would mix; give the archive a \
             folder of its own",
            None,
        );
    }
}

fn check_server(config: &Config, items: &Items<'_>) {
    if let (Some(http), None) = (&items.http, &items.token)
        && !config.server.http.ip().is_loopback()
    {
        http.mistake(
            "`server.http` is reachable from other machines, so it needs `server.token`; set a token, such as \
             \"${MILLSTREAM_TOKEN}\", or listen on 127.0.0.1",
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
