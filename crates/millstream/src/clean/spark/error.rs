//! What can go wrong when Spark cleans, and whether asking again helps.

use std::path::Path;
use std::time::Duration;

use millstream_core::spark::Refusal;

/// Why Spark did not clean a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SparkError {
    /// The connection string, or a secret for it, is not usable.
    #[error("`clean.spark.{setting}`: {reason}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Spark would not treat the file as DataFusion does.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The cluster does not see the file.
    #[error(
        "Spark does not find `{path}` ({class}): name the folder as the cluster sees it in `[clean.spark.path_on_cluster]`, or put \
         the files on storage that it shares"
    )]
    Unseen {
        /// The path that it was asked for.
        path: String,
        /// Spark's name for the condition.
        class: String,
    },
    /// Spark, or the way to it.
    #[error("Spark at {endpoint}")]
    Spark {
        /// The server, without secrets.
        endpoint: String,
        /// What it says.
        source: spark_connect::Error,
    },
    /// The query of a file takes too long; a driver that lacks memory may never answer.
    #[error(
        "Spark did not finish the query of a file in {} s: raise `clean.spark.query_timeout`, or give Spark's driver more memory",
        limit.as_secs()
    )]
    Slow {
        /// How long it may take.
        limit: Duration,
    },
    /// The server is of a version that cannot do it.
    #[error(
        "Spark at {endpoint} is version {version}: 4.0 or later is needed, and {} is what was tried",
        super::version::TRIED
    )]
    TooOld {
        /// The server, without secrets.
        endpoint: String,
        /// What it calls itself.
        version: String,
    },
    /// Neither through the connection nor staged.
    #[error(
        "Spark has too little memory for this file: give its executors more (`spark.executor.memory`, or `spark.driver.memory` of a \
         server that runs alone), or write the file in smaller row groups and values"
    )]
    Memory {
        /// What Spark says.
        source: Box<SparkError>,
    },
    /// Spark did not answer for longer than it is waited for.
    #[error("gave up after {} s (`clean.spark.patience`){}", waited.as_secs(), losses_told(*losses))]
    GaveUp {
        /// How long.
        waited: Duration,
        /// How often the server was lost over the file's query.
        losses: u32,
        /// What happened last.
        source: Box<SparkError>,
    },
    /// The answer is not what was asked for.
    #[error("the answer of Spark cannot be true, and nothing of it was taken: {0}")]
    Untrue(String),
    /// The rows are not in their order.
    #[error("row {row} comes behind row {behind}")]
    Unordered {
        /// A row.
        row: u64,
        /// The one before.
        behind: u64,
    },
    /// The answer could not be kept until it was checked, or a staged file cannot be read.
    #[error("`{path}` cannot be written or read while an answer of Spark is checked")]
    Spool {
        /// A file or folder.
        path: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl SparkError {
    /// Whether asking again, in a new session, may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Spark { source, .. } => source.is_passing(),
            Self::Untrue(_) | Self::Unordered { .. } => true,
            Self::Setting { .. }
            | Self::Refused(_)
            | Self::Unseen { .. }
            | Self::Slow { .. }
            | Self::TooOld { .. }
            | Self::Memory { .. }
            | Self::GaveUp { .. }
            | Self::Spool { .. } => false,
        }
    }

    pub(super) fn spool(path: &Path) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::Spool { path, source }
    }
}

fn losses_told(losses: u32) -> String {
    match losses {
        0 => String::new(),
        1 => ", and the server stopped once over this query, as one does that lacks memory".to_owned(),
        losses => format!(", and the server stopped {losses} times over this query, as one does that lacks memory"),
    }
}
