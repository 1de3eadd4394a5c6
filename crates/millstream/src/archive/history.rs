//! What the commits of a Delta table say of themselves.

use std::sync::Arc;

use deltalake::kernel::{Action, CommitInfo};
use deltalake::{DeltaTable, DeltaTableError};
use futures::{StreamExt, TryStreamExt};
use millstream_core::status::ArchiveVersion;
use serde_json::Value;

use crate::clock::rfc3339;

/// Commits that are read at once.
const AT_ONCE: usize = 16;

/// The version that is loaded and those before it, newest first, as far back as the log goes and at most `limit` of them, each with
/// all that its commit says of itself.
///
/// The library's own history lists what is in the log now, which may be newer than what is loaded, and tells no version.
pub(crate) async fn commits(
    table: &DeltaTable,
    limit: usize,
) -> Result<Vec<(ArchiveVersion, CommitInfo)>, DeltaTableError> {
    let store = table.log_store();
    let newest = table.version().unwrap_or_default();
    let oldest = (newest + 1).saturating_sub(limit as u64);
    let read = |version| {
        let store = Arc::clone(&store);
        async move { store.read_commit_entry(version).await.map(|commit| commit.map(|bytes| (version, bytes))) }
    };
    let mut read = futures::stream::iter((oldest..=newest).rev()).map(read).buffered(AT_ONCE);
    let mut commits = Vec::new();
    // One that is not there was cleaned away, and so were those before it.
    while let Some(Some((version, bytes))) = read.try_next().await? {
        let info = info(&bytes);
        commits.push((told(version, &info), info));
    }
    Ok(commits)
}

fn told(version: u64, info: &CommitInfo) -> ArchiveVersion {
    let number = |key: &str| info.info.get(key).and_then(Value::as_u64).unwrap_or_default();
    ArchiveVersion {
        version,
        at: rfc3339(info.timestamp.unwrap_or_default().saturating_mul(1000)),
        rows: number("millstream.rows"),
        files: number("millstream.files"),
        bytes: number("millstream.bytes"),
    }
}

/// What a commit says of itself; another program's may say nothing.
fn info(commit: &[u8]) -> CommitInfo {
    let mut actions = serde_json::Deserializer::from_slice(commit).into_iter::<Action>();
    let info = actions.find_map(|action| if let Ok(Action::CommitInfo(info)) = action { Some(info) } else { None });
    info.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use deltalake::DeltaTableBuilder;
    use deltalake::kernel::{DataType, PrimitiveType, StructField};
    use deltalake::operations::create::CreateBuilder;

    use super::*;

    #[tokio::test]
    async fn versions_are_those_of_the_log_up_to_the_one_that_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let column = StructField::new("a", DataType::Primitive(PrimitiveType::Long), true);
        let made = CreateBuilder::new().with_location(folder.path().to_str().unwrap()).with_columns([column]);
        let url = made.await.unwrap().table_url().clone();
        for version in 1..=4 {
            // The third says nothing of itself.
            let info = format!("{{\"commitInfo\":{{\"timestamp\":{version},\"operation\":\"WRITE\"}}}}\n");
            let text = if version == 3 { String::new() } else { info };
            std::fs::write(folder.path().join(format!("_delta_log/{version:020}.json")), text).unwrap();
        }
        let at = async |version| {
            DeltaTableBuilder::from_url(url.clone()).unwrap().with_version(version).load().await.unwrap()
        };
        let told = async |table: DeltaTable, limit| {
            let commits = commits(&table, limit).await.unwrap();
            commits.into_iter().map(|(version, commit)| (version.version, commit.operation)).collect::<Vec<_>>()
        };
        let (made, write) = (Some("CREATE TABLE".to_owned()), Some("WRITE".to_owned()));
        assert_eq!(told(at(2).await, 10).await, [(2, write.clone()), (1, write.clone()), (0, made)]);
        assert_eq!(told(at(4).await, 2).await, [(4, write), (3, None)]);
        let loaded = at(4).await;
        std::fs::remove_file(folder.path().join(format!("_delta_log/{:020}.json", 2))).unwrap();
        assert_eq!(told(loaded, 10).await.len(), 2, "the log goes back to 3");
    }
}
