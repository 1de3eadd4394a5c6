//! `[clean.spark]`: the Spark that cleans in place of DataFusion, and what it sees of the files.
//!
//! Opens neither files nor connections, and leaves the parts of the connection string to whoever connects.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Secret;
use super::kafka::{SecretSource, file, read_secret};
use super::reader::Item;
use super::reader::section::Section;
use super::sections::resolve;

const CONNECT_FORM: &str = "sc://host:port, such as \"sc://spark.example.org:15002/;token=${SPARK_TOKEN}\"";
const MIB: u64 = 1 << 20;
const DIRECT_BYTES: u64 = 256 * MIB;
const PATIENCE: Duration = Duration::from_mins(5);
const QUERY_TIMEOUT: Duration = Duration::from_mins(30);
const TIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);
const MODES: [(&str, SparkMode); 2] = [("direct", SparkMode::Direct), ("staged", SparkMode::Staged)];

/// `[clean.spark]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spark {
    /// `connect`: a Spark Connect server, `sc://…` as Spark's own clients take it; may hold a token.
    pub connect: Secret,
    /// `token` or `token_file`: logs in; in place of one in `connect`.
    pub token: Option<SecretSource>,
    /// `ca`: file with the certificates (PEM) that the server's is signed by, absolute. None is the system's.
    pub ca: Option<PathBuf>,
    /// `mode`: how the cleaned rows come back. Default direct.
    pub mode: SparkMode,
    /// `direct_bytes`: files that are larger as Arrow batches are staged even so. Default 256 MiB; 1 MiB to 1 GiB.
    pub direct_bytes: u64,
    /// `staging`: folder on storage that the cluster shares, absolute. Default `staging` in the data folder.
    pub staging: PathBuf,
    /// `[clean.spark.path_on_cluster]`: folders here, absolute, and how the cluster sees them; the longest that fits counts.
    pub path_on_cluster: Vec<(PathBuf, String)>,
    /// `query_timeout`: how long the query of one file may take. Default 30 min; 1 s to 1 d.
    pub query_timeout: Duration,
    /// `patience`: how long a Spark that does not answer is waited for before the run stops. Default 5 min; 1 s to 1 d.
    pub patience: Duration,
}

/// `mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SparkMode {
    /// Through the connection.
    Direct,
    /// As Parquet in the staging folder, written by the executors.
    Staged,
}

impl Spark {
    /// A Spark at this address, everything else by default.
    #[must_use]
    pub fn at(connect: Secret, data_dir: &Path) -> Self {
        Self {
            connect,
            token: None,
            ca: None,
            mode: SparkMode::Direct,
            direct_bytes: DIRECT_BYTES,
            staging: data_dir.join("staging"),
            path_on_cluster: Vec::new(),
            query_timeout: QUERY_TIMEOUT,
            patience: PATIENCE,
        }
    }

    /// The path of a file as the cluster sees it.
    #[must_use]
    pub fn on_cluster(&self, path: &Path) -> String {
        let fitting = self.path_on_cluster.iter().filter(|(here, _)| path.starts_with(here));
        let Some((here, there)) = fitting.max_by_key(|(here, _)| here.as_os_str().len()) else {
            return path.display().to_string();
        };
        format!("{}/{}", there.trim_end_matches('/'), path.strip_prefix(here).unwrap_or(path).display())
    }
}

pub(super) fn read_spark(item: &Item<'_>, base_dir: &Path, data_dir: &Path) -> Option<Spark> {
    let mut section = item.section()?;
    let connect = section.require("connect", CONNECT_FORM).and_then(|item| connect(&item));
    let token = read_secret(&mut section, "token", "token_file", base_dir).source;
    let ca = section.take("ca").and_then(|item| file(&item, base_dir));
    let mode = section.choice("mode", "mode", SparkMode::Direct, &MODES);
    let direct_bytes = section.size("direct_bytes", DIRECT_BYTES, MIB..=1024 * MIB);
    let staging = section.take("staging").and_then(|item| file(&item, base_dir));
    let path_on_cluster = read_paths(&section.section("path_on_cluster"), base_dir);
    let query_timeout = section.duration("query_timeout", QUERY_TIMEOUT, TIMES);
    let patience = section.duration("patience", PATIENCE, TIMES);
    section.finish();
    let default = Spark::at(connect?, data_dir);
    let staging = staging.unwrap_or_else(|| default.staging.clone());
    Some(Spark { token, ca, mode, direct_bytes, staging, path_on_cluster, query_timeout, patience, ..default })
}

fn connect(item: &Item<'_>) -> Option<Secret> {
    let text = item.filled_text()?;
    let host = text.value.strip_prefix("sc://").map(str::trim);
    if host.is_none_or(|host| host.is_empty() || host.starts_with([':', '/', ';'])) {
        // Not shown: it may hold a token.
        item.mistake("this is not the address of a Spark Connect server", Some(CONNECT_FORM));
        return None;
    }
    Some(Secret::new(text.value))
}

fn read_paths(section: &Section<'_>, base_dir: &Path) -> Vec<(PathBuf, String)> {
    let path = |entry: super::reader::section::Entry<'_>| {
        let there = entry.item.filled_text()?;
        Some((resolve(base_dir, entry.name), there.value))
    };
    section.entries().into_iter().filter_map(path).collect()
}
