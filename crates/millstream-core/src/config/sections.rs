//! Reads every section but `[clean]` and `[[view]]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::columns::values;
use super::kafka::{self, read_kafka};
use super::location::{Location, StoreUrl, URL_FORM};
use super::reader::section::Section;
use super::reader::{Item, Text};
use super::upkeep::{self, read_upkeep};
use super::{Archive, FileLimits, Format, Limits, Pace, PartitionBy, Pipeline, Secret, Server, Source, Stream, Table};
use crate::units;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const HOUR: Duration = Duration::from_hours(1);
pub(super) const DAY: Duration = Duration::from_hours(24);
/// Longest age that a setting takes: ten years.
pub(super) const LONGEST: Duration = Duration::from_hours(24 * 3650);
/// How often a folder is listed, and how often a bucket, where each listing costs money.
const LIST_FOLDER: Duration = Duration::from_millis(500);
const LIST_BUCKET: Duration = Duration::from_secs(10);
/// Without `parallel_splits`, more processors than these are not used for cleaning.
const DEFAULT_SPLITS_AT_MOST: usize = 8;

/// A section and what its contradictions with others need to know.
pub(super) struct Read<'d, T> {
    pub(super) value: T,
    pub(super) items: Items<'d>,
}

/// Settings that another one may contradict; present if they are in the file, also when their value is wrong.
#[derive(Default)]
pub(super) struct Items<'d> {
    pub(super) event_time: Option<Item<'d>>,
    pub(super) parallel_splits: Option<Item<'d>>,
    /// Settings of `[source]` that speak of files, by name.
    pub(super) of_files: Vec<(&'static str, Item<'d>)>,
    /// None inside if it could not be read.
    pub(super) format: Option<(Item<'d>, Option<Format>)>,
    pub(super) key_item: Option<Item<'d>>,
    pub(super) key: Vec<Text<'d>>,
    pub(super) retention_bytes: Option<Item<'d>>,
    pub(super) kafka: kafka::Items<'d>,
    pub(super) batch_bytes: Option<Item<'d>>,
    pub(super) flush_bytes: Option<Item<'d>>,
    pub(super) memory: Option<Item<'d>>,
    pub(super) query_timeout: Option<Item<'d>>,
    pub(super) partition_by: Option<Item<'d>>,
    pub(super) archive_path: Option<Item<'d>>,
    pub(super) upkeep: upkeep::Items<'d>,
    pub(super) http: Option<Item<'d>>,
    pub(super) token: Option<Item<'d>>,
    pub(super) spark: Option<Item<'d>>,
}

pub(super) fn read_pipeline(mut section: Section<'_>, base_dir: &Path) -> Pipeline {
    let name = section.require("name", "letters, digits, `_` and `-`");
    let name = name.and_then(|item| item.text()).filter(|name| is_named_well(name, "_-", 100));
    let data_dir = section.take("data_dir").and_then(|item| local_path(&item, base_dir));
    let drain_deadline = section.duration("drain_deadline", Duration::from_secs(30), Duration::from_secs(1)..=HOUR);
    section.finish();
    Pipeline {
        name: name.map(|name| name.value).unwrap_or_default(),
        data_dir: data_dir.unwrap_or_else(|| resolve(base_dir, "millstream-data")),
        drain_deadline,
    }
}

pub(super) fn read_source(mut section: Section<'_>, processors: NonZeroUsize, needs_path: bool) -> Read<'_, Source> {
    let path = section.take("path");
    if path.is_none() && needs_path {
        section.missing("path", "a file, glob or directory, or a list of them");
    }
    let event_time = section.take("event_time");
    let parallel_splits = section.take("parallel_splits");
    let default_splits = processors.get().min(DEFAULT_SPLITS_AT_MOST) as u64;
    let splits = parallel_splits.as_ref().and_then(|item| item.integer(1..=64)).unwrap_or(default_splits);
    let [recursive, watch, pace_item, list_interval, settle] =
        ["recursive", "watch", "pace", "list_interval", "settle"].map(|key| section.take(key));
    let boolean = |item: &Option<Item<'_>>| item.as_ref().and_then(Item::boolean).unwrap_or(false);
    let settled = settle.as_ref().and_then(|item| item.duration(Duration::ZERO..=HOUR));
    let paths = path.as_ref().map(source_paths).unwrap_or_default();
    let default_interval = if paths.iter().any(|path| StoreUrl::is_url(path)) { LIST_BUCKET } else { LIST_FOLDER };
    let listed = list_interval.as_ref().and_then(|item| item.duration(Duration::from_millis(10)..=DAY));
    let value = Source {
        path: paths,
        recursive: boolean(&recursive),
        watch: boolean(&watch),
        event_time: event_time.as_ref().and_then(Item::filled_text).map(|text| text.value),
        pace: pace_item.as_ref().and_then(pace).unwrap_or(Pace::Max),
        list_interval: listed.unwrap_or(default_interval),
        settle: settled.unwrap_or(Duration::from_secs(2)),
        parallel_splits: count(splits),
    };
    section.finish();
    let of_files = [
        ("path", path),
        ("parallel_splits", parallel_splits.clone()),
        ("recursive", recursive),
        ("watch", watch),
        ("pace", pace_item),
        ("list_interval", list_interval),
        ("settle", settle),
    ];
    let of_files = of_files.into_iter().filter_map(|(key, item)| Some((key, item?))).collect();
    Read { value, items: Items { event_time, parallel_splits, of_files, ..Items::default() } }
}

fn source_paths(item: &Item<'_>) -> Vec<String> {
    let texts = one_or_more(item, "file, glob or directory");
    let texts: Vec<Text<'_>> = texts.into_iter().filter(is_path_or_url).collect();
    let root = |text: &Text<'_>| StoreUrl::parse(&text.value).ok().map(|url| url.root().to_owned());
    if let Some((first, others)) = texts.split_first()
        && let Some(other) = others.iter().find(|other| root(other) != root(first))
    {
        other.mistake(
            "the files of a pipeline are all on this machine or all in one bucket; make a pipeline of its own for the others",
            None,
        );
    }
    texts.into_iter().map(|text| text.value).collect()
}

/// A text or a list of them; what one of them is called is for messages.
fn one_or_more<'d>(item: &Item<'d>, one: &str) -> Vec<Text<'d>> {
    if item.is_text() {
        item.filled_text().into_iter().collect()
    } else if item.is_list() {
        let items = item.list().unwrap_or_default();
        if items.is_empty() {
            item.mistake("this is empty", Some(&format!("at least one {one}")));
        }
        items.iter().filter_map(Item::filled_text).collect()
    } else {
        item.mistake("this is neither a text nor a list", Some(&format!("a {one}, or a list of them")));
        Vec::new()
    }
}

fn pace(item: &Item<'_>) -> Option<Pace> {
    let text = item.text_as(units::RATE_FORM)?;
    if text.value == "max" {
        return Some(Pace::Max);
    }
    match units::parse_rows_per_second(&text.value) {
        Ok(rows) => Some(Pace::RowsPerSecond(rows)),
        Err(_) => item.not_a(&text, "a pace", units::RATE_FORM),
    }
}

pub(super) fn read_stream<'d>(mut section: Section<'d>, base_dir: &Path, pipeline: &str) -> Read<'d, Stream> {
    let topic = section.take("topic").and_then(|item| item.text());
    let topic = topic.filter(|topic| is_named_well(topic, "._-", 200)).map(|topic| topic.value);
    let format_item = section.take("format");
    let formats = [("arrow", Format::Arrow), ("json", Format::Json)];
    let format = format_item.as_ref().and_then(|item| item.choice("format", &formats));
    let key_item = section.take("key");
    let key = key_item.as_ref().map(|item| one_or_more(item, "column")).unwrap_or_default();
    let retention_bytes = section.take("retention_bytes");
    let (kafka, items_of_kafka) = read_kafka(section.take("kafka"), base_dir, pipeline);
    let batch_bytes = section.take("batch_bytes");
    let flush_bytes = section.take("flush_bytes");
    let size = |item: &Option<Item<'_>>, default: u64, range: RangeInclusive<u64>| {
        item.as_ref().and_then(|item| item.size(range)).unwrap_or(default)
    };
    let (interval, longest_interval) = (Duration::from_millis(20), Duration::from_secs(10));
    let value = Stream {
        topic: topic.unwrap_or_else(|| pipeline.to_owned()),
        partitions: count_u32(section.integer("partitions", 2, 1..=1024)),
        format: format.unwrap_or(Format::Arrow),
        key: values(key.clone()),
        flush_interval: section.duration("flush_interval", interval, Duration::from_millis(1)..=longest_interval),
        flush_bytes: size(&flush_bytes, 8 * MIB, 64 * KIB..=GIB),
        batch_rows: count(section.integer("batch_rows", 8192, 1..=1_000_000)),
        batch_bytes: size(&batch_bytes, 4 * MIB, 64 * KIB..=GIB),
        max_record_bytes: section.size("max_record_bytes", 900 * KIB, 16 * KIB..=900 * KIB),
        retention: section.duration("retention", HOUR, Duration::ZERO..=LONGEST),
        retention_bytes: size(&retention_bytes, GIB, 0..=1024 * TIB),
        kafka,
    };
    section.finish();
    let items = Items {
        format: format_item.map(|item| (item, format)),
        key_item,
        key,
        retention_bytes,
        kafka: items_of_kafka,
        batch_bytes,
        flush_bytes,
        ..Items::default()
    };
    Read { value, items }
}

pub(super) fn read_table(mut section: Section<'_>) -> Table {
    let retention = section.duration("retention", DAY, Duration::ZERO..=LONGEST);
    let max_rows = section.take("max_rows").and_then(|item| item.integer(1..=1_000_000_000_000));
    let max_bytes = section.take("max_bytes").and_then(|item| item.size(64 * KIB..=64 * TIB));
    section.finish();
    Table { retention, max_rows: max_rows.and_then(NonZeroU64::new), max_bytes: max_bytes.and_then(NonZeroU64::new) }
}

pub(super) fn read_archive<'d>(mut section: Section<'d>, base_dir: &Path, data_dir: &Path) -> Read<'d, Archive> {
    let archive_path = section.take("path");
    let path = archive_path.as_ref().and_then(|item| location(item, base_dir));
    let partition_by = section.take("partition_by");
    let choices = [
        ("arrival_day", PartitionBy::ArrivalDay),
        ("none", PartitionBy::None),
        ("day", PartitionBy::Day),
        ("month", PartitionBy::Month),
    ];
    let chosen = partition_by.as_ref().and_then(|item| item.choice("partitioning", &choices));
    let (upkeep, upkeep_items) = read_upkeep(&mut section);
    let value = Archive {
        path: path.unwrap_or_else(|| Location::Folder(data_dir.join("archive"))),
        partition_by: chosen.unwrap_or(PartitionBy::ArrivalDay),
        commit_interval: section.duration("commit_interval", Duration::from_secs(10), Duration::from_millis(10)..=HOUR),
        commit_bytes: section.size("commit_bytes", 128 * MIB, 64 * KIB..=4 * GIB),
        upkeep,
    };
    section.finish();
    Read { value, items: Items { partition_by, archive_path, upkeep: upkeep_items, ..Items::default() } }
}

pub(super) fn read_limits(mut section: Section<'_>) -> Read<'_, Limits> {
    let memory = section.take("memory");
    let query_timeout = section.take("query_timeout");
    let timeout = query_timeout.as_ref().and_then(|item| item.duration(Duration::from_millis(10)..=HOUR));
    let value = Limits {
        memory: memory.as_ref().and_then(|item| item.size(64 * MIB..=64 * TIB)).unwrap_or(512 * MIB),
        query_timeout: timeout.unwrap_or(Duration::from_secs(30)),
        query_rows: count(section.integer("query_rows", 100_000, 1..=10_000_000)),
        files: FileLimits {
            footer: section.size("file_footer", 32 * MIB, 64 * KIB..=GIB),
            columns: section.integer("file_columns", 10_000, 1..=1_000_000),
            row_groups: section.integer("file_row_groups", 32_767, 1..=32_767),
            depth: section.integer("file_depth", 32, 1..=64),
            unpacked: section.size("file_unpacked", GIB, MIB..=64 * TIB),
            expansion: section.integer("file_expansion", 10_000, 1..=1_000_000_000),
            isolated_memory: section.size("isolated_memory", 512 * MIB, 64 * MIB..=64 * TIB),
            isolated_time: section.duration("isolated_time", Duration::from_mins(1), Duration::from_secs(1)..=HOUR),
        },
    };
    section.finish();
    Read { value, items: Items { memory, query_timeout, ..Items::default() } }
}

pub(super) fn read_server<'d>(mut section: Section<'d>, base_dir: &Path, data_dir: &Path) -> Read<'d, Server> {
    let http = section.take("http");
    let address = http.as_ref().and_then(address).unwrap_or((Ipv4Addr::LOCALHOST, 8080).into());
    let token = section.take("token");
    let secret = token.as_ref().and_then(secret);
    let users = section.take("users").and_then(|item| local_path(&item, base_dir));
    section.finish();
    let users = users.unwrap_or_else(|| data_dir.join("users.json"));
    Read { value: Server { http: address, token: secret, users }, items: Items { http, token, ..Items::default() } }
}

fn address(item: &Item<'_>) -> Option<SocketAddr> {
    let text = item.text()?;
    let local = text.value.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    if let Some(port) = local {
        return Some((Ipv4Addr::LOCALHOST, port).into());
    }
    let address = text.value.parse().ok();
    address.or_else(|| {
        item.not_a(&text, "an address", "an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:0\"")
    })
}

/// A token is never part of a message.
fn secret(item: &Item<'_>) -> Option<Secret> {
    let token = item.text()?.value;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        item.mistake(
            "the token is empty or has letters that a header cannot carry",
            Some("printable ASCII without spaces"),
        );
        return None;
    }
    Some(Secret::new(token))
}

/// An absolute path of the local disk.
fn local_path(item: &Item<'_>, base_dir: &Path) -> Option<PathBuf> {
    let text = item.filled_text().filter(|text| is_local(text, "writes"))?;
    Some(resolve(base_dir, &text.value))
}

/// A folder of the local disk, absolute, or a key of an object store.
fn location(item: &Item<'_>, base_dir: &Path) -> Option<Location> {
    let text = item.filled_text().filter(is_path_or_url)?;
    let url = StoreUrl::parse(&text.value).ok().map(Location::Url);
    Some(url.unwrap_or_else(|| Location::Folder(resolve(base_dir, &text.value))))
}

/// Whether a text is a path or a URL that is understood; reports it otherwise.
fn is_path_or_url(text: &Text<'_>) -> bool {
    if !StoreUrl::is_url(&text.value) {
        return true;
    }
    let parsed = StoreUrl::parse(&text.value);
    if let Err(reason) = &parsed {
        text.mistake(format!("`{}` is no URL that is understood: {reason}", text.shown()), Some(URL_FORM));
    }
    parsed.is_ok()
}

/// `base_dir` is absolute, so this reads no working directory.
pub(super) fn resolve(base_dir: &Path, path: &str) -> PathBuf {
    let joined = base_dir.join(path);
    std::path::absolute(&joined).unwrap_or(joined)
}

pub(super) fn is_local(text: &Text<'_>, does: &str) -> bool {
    let local = !StoreUrl::is_url(&text.value);
    if !local {
        text.mistake(format!("Millstream {does} this on the local disk only, not behind a URL"), Some("a path"));
    }
    local
}

/// Whether a text is made of letters, digits and `others`; reports it otherwise.
fn is_named_well(text: &Text<'_>, others: &str, longest: usize) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || others.contains(letter);
    let named_well = !text.value.is_empty() && text.value.len() <= longest && text.value.chars().all(known);
    if !named_well {
        let others: Vec<String> = others.chars().map(|letter| format!("`{letter}`")).collect();
        let allowed = format!("1 to {longest} letters (a-z, A-Z), digits, {}", others.join(", "));
        text.mistake(format!("`{}` is not a name", text.shown()), Some(&allowed));
    }
    named_well
}

/// For numbers whose range begins at 1.
fn count(number: u64) -> NonZeroUsize {
    usize::try_from(number).ok().and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN)
}

/// For numbers whose range begins at 1.
pub(super) fn count_u32(number: u64) -> NonZeroU32 {
    u32::try_from(number).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}
