//! What one page asks for when it is opened or something changed: the last minutes, profiles of columns, the archive's versions
//! and files, the rules, the way of one row.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use millstream_core::detail::{ArchiveDetail, HistorySample, Profile, RuleInfo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::App;
use super::api::ApiError;
use super::rows::{ColumnHead, heads, rows};
use crate::view::row::{InArchive, InLog, Outcome};

/// Longest stretch of time that a profile covers, minutes.
const PROFILE_MINUTES: u32 = 60;

/// The last minutes.
pub(super) async fn history(State(app): State<Arc<App>>) -> Result<Json<Vec<HistorySample>>, ApiError> {
    app.pipeline()?;
    Ok(Json(app.history.all()))
}

/// `?minutes=n`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Minutes {
    #[serde(default = "five")]
    minutes: u32,
}

fn five() -> u32 {
    5
}

/// Profiles of the columns over the last minutes.
pub(super) async fn profile(
    State(app): State<Arc<App>>,
    minutes: Result<Query<Minutes>, QueryRejection>,
) -> Result<Json<Profile>, ApiError> {
    let Query(Minutes { minutes }) = minutes.map_err(|error| bad(error.body_text()))?;
    if !(1..=PROFILE_MINUTES).contains(&minutes) {
        return Err(bad(format!("`minutes` is 1 to {PROFILE_MINUTES}, not {minutes}")));
    }
    let pipeline = app.pipeline()?;
    let _place = app.place().await?;
    Ok(Json(pipeline.queries.profile(minutes).await?))
}

/// Versions, partitions and files of the archive, from its Delta log.
pub(super) async fn archive(State(app): State<Arc<App>>) -> Result<Json<ArchiveDetail>, ApiError> {
    let pipeline = app.pipeline()?;
    let _place = app.place().await?;
    Ok(Json(pipeline.queries.archive_detail().await?))
}

/// The rules of the pipeline file.
pub(super) async fn rules(State(app): State<Arc<App>>) -> Result<Json<Vec<RuleInfo>>, ApiError> {
    Ok(Json(app.pipeline()?.queries.rules()))
}

/// `?file=…&row=n`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowName {
    file: String,
    row: u64,
}

/// Where a row is, and how it came there.
#[derive(Debug, Serialize)]
pub(super) struct RowTrace {
    outcome: Outcome,
    columns: Vec<ColumnHead>,
    values: Vec<Value>,
    log: Option<InLog>,
    archive: Option<InArchive>,
    rules: Vec<RuleInfo>,
}

/// The way of one row.
pub(super) async fn row(
    State(app): State<Arc<App>>,
    name: Result<Query<RowName>, QueryRejection>,
) -> Result<Json<RowTrace>, ApiError> {
    let Query(RowName { file, row }) = name.map_err(|error| bad(error.body_text()))?;
    let running = app.pipeline()?;
    let _place = app.place().await?;
    let traced = running.queries.trace(&file, row).await?;
    let log = match &traced.batch {
        Some(_) => running.board.record_of(&traced, &file, row).await,
        None => None,
    };
    let (columns, values) = match &traced.batch {
        Some(batch) => {
            let failed = |error: arrow::error::ArrowError| {
                ApiError::internal(format!("bringing the row to plain types: {error}"))
            };
            (heads(&batch.schema()), rows(batch).map_err(failed)?.into_iter().next().unwrap_or_default())
        }
        None => (Vec::new(), Vec::new()),
    };
    let rules = running.queries.rules();
    Ok(Json(RowTrace { outcome: traced.outcome, columns, values, log, archive: traced.archive, rules }))
}

fn bad(text: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, text)
}
