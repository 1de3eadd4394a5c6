//! What the archive's own Delta log tells: versions and what each changed, files, partitions; and queries as of a version.

use std::collections::{BTreeMap, HashMap};

use deltalake::kernel::CommitInfo;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use millstream_core::config::clean::Rule;
use millstream_core::config::written::written_rules;
use millstream_core::detail::{ArchiveChange, ArchiveDetail, ArchiveFile, ArchivePartition, RuleInfo};
use millstream_core::status::{ArchiveVersion, ColumnInfo};
use serde_json::Value;

use super::{Queries, QueryError, QueryResult};
use crate::archive::PARTITION_COLUMN;
use crate::archive::history::commits;
use crate::clock::rfc3339;

/// Versions that are told, newest first.
const VERSIONS: usize = 500;

/// Files that are told, newest first.
const FILES: usize = 1000;

/// Name of the only partition of a table that has none.
const WHOLE: &str = "all rows";

impl Queries {
    /// Versions, partitions and files of the archive; empty before the first version.
    pub(crate) async fn archive_detail(&self) -> Result<ArchiveDetail, QueryError> {
        let Some(archived) = self.live.snapshot().archive.rows else { return Ok(ArchiveDetail::default()) };
        self.on_runtime(async move {
            let mut detail = files(&archived.table)?;
            detail.version = Some(archived.version);
            detail.rows = archived.rows;
            detail.columns = archived
                .provider
                .schema()
                .fields()
                .iter()
                .filter(|field| field.name() != PARTITION_COLUMN)
                .map(|field| ColumnInfo {
                    name: field.name().clone(),
                    data_type: field.data_type().to_string(),
                    nullable: field.is_nullable(),
                })
                .collect();
            let commits = commits(&archived.table, VERSIONS).await?;
            detail.versions = commits.into_iter().map(|(version, commit)| change(version, &commit)).collect();
            Ok::<_, DeltaTableError>(detail)
        })
        .await
    }

    /// Runs one statement over the archive as it was at a version; `archive` is the only table there is then.
    pub(crate) async fn run_as_of(&self, sql: &str, version: u64, limit: usize) -> Result<QueryResult, QueryError> {
        let newest = self.live.snapshot().archive.rows;
        let Some(newest) = newest.filter(|newest| version <= newest.version) else {
            return Err(QueryError::refused(format!("the archive has no version {version} yet")));
        };
        let limit = limit.min(self.config.limits.query_rows.get());
        let (this, text) = (self.clone(), sql.to_owned());
        let work = async move {
            let gone = |error: DeltaTableError| {
                QueryError::refused(format!("version {version} of the archive cannot be read any more: {error}"))
            };
            let builder = DeltaTableBuilder::from_url(newest.table.table_url().clone()).map_err(gone)?;
            let table = builder.with_version(version).load().await.map_err(gone)?;
            let context = this.session();
            table.update_datafusion_session(&context.state()).map_err(gone)?;
            context.register_table("archive", table.table_provider().await.map_err(QueryError::from)?)?;
            this.collect_in(&context, &text, limit).await.map_err(only_archive)
        };
        self.bounded(sql, work).await
    }

    /// The rules that rows go by, with what the pipeline file says of them now: it may have been changed for a redrive.
    pub(crate) fn rules(&self) -> Vec<RuleInfo> {
        let text = std::fs::read_to_string(&self.config.file);
        let mut written = text.map(|text| written_rules(&text)).unwrap_or_default();
        let info = |rule: &Rule| {
            let at = written.iter().position(|written| written.name == rule.name);
            RuleInfo::new(rule, at.map(|at| written.swap_remove(at)))
        };
        self.config.clean.rules.iter().map(info).collect()
    }
}

/// A table that is not there is the likeliest mistake.
fn only_archive(error: QueryError) -> QueryError {
    match error {
        QueryError::Refused { text, place } if text.contains("not found") && text.contains("table") => {
            QueryError::Refused { text: format!("{text}. As of a version there is only the table `archive`"), place }
        }
        error @ (QueryError::Refused { .. }
        | QueryError::TooLong(_)
        | QueryError::NoRoom(_)
        | QueryError::TimedOut(_)
        | QueryError::TooLarge(_)
        | QueryError::Stopping
        | QueryError::Failed(_)) => error,
    }
}

impl From<DeltaTableError> for QueryError {
    fn from(error: DeltaTableError) -> Self {
        Self::Failed(format!("reading the Delta log: {error}"))
    }
}

fn files(table: &DeltaTable) -> Result<ArchiveDetail, DeltaTableError> {
    let mut detail = ArchiveDetail::default();
    let mut partitions: BTreeMap<String, ArchivePartition> = BTreeMap::new();
    let files = table.snapshot()?.log_data();
    for file in files.iter() {
        let partition = file
            .partition_values_map()
            .into_iter()
            .find(|(name, _)| name == PARTITION_COLUMN)
            .map_or_else(|| WHOLE.to_owned(), |(_, value)| value.unwrap_or_else(|| "none".to_owned()));
        let told = ArchiveFile {
            path: file.path().into_owned(),
            partition: partition.clone(),
            rows: file.num_records().map(|rows| rows as u64),
            bytes: u64::try_from(file.size()).unwrap_or(0),
            at: rfc3339(file.modification_time().saturating_mul(1000)),
        };
        let sums = partitions
            .entry(partition.clone())
            .or_insert_with(|| ArchivePartition { partition, ..ArchivePartition::default() });
        sums.files += 1;
        sums.rows += told.rows.unwrap_or_default();
        sums.bytes += told.bytes;
        detail.bytes += told.bytes;
        detail.files.push(told);
    }
    detail.file_count = detail.files.len() as u64;
    detail.files.sort_by(|left, right| right.at.cmp(&left.at).then_with(|| left.path.cmp(&right.path)));
    detail.files.truncate(FILES);
    detail.partitions = partitions.into_values().collect();
    Ok(detail)
}

fn change(version: ArchiveVersion, commit: &CommitInfo) -> ArchiveChange {
    let operation = commit.operation.clone().unwrap_or_default();
    let parameters = commit.operation_parameters.as_ref();
    let columns =
        if operation == "ADD COLUMN" { parameters.map(added_columns).unwrap_or_default() } else { Vec::new() };
    let ArchiveVersion { version, at, rows, files, bytes } = version;
    ArchiveChange { version, at, operation, rows, files, bytes, columns }
}

/// Names of the columns that a commit added, which stand in it as JSON within JSON.
fn added_columns(parameters: &HashMap<String, Value>) -> Vec<String> {
    let fields = match parameters.get("fields") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(value) => value.clone(),
        None => Value::Null,
    };
    let names = fields.as_array().into_iter().flatten();
    names.filter_map(|field| field.get("name").and_then(Value::as_str).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_columns_are_found_whether_they_stand_as_text_or_not() {
        let text = HashMap::from([("fields".to_owned(), Value::from(r#"[{"name":"a","type":"long"}]"#))]);
        assert_eq!(added_columns(&text), ["a"]);
        let plain = HashMap::from([("fields".to_owned(), serde_json::json!([{ "name": "b" }]))]);
        assert_eq!(added_columns(&plain), ["b"]);
        assert!(added_columns(&HashMap::new()).is_empty());
    }
}
