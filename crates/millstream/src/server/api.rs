//! The requests that have one answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use millstream_core::status::{Ledger, PipelineState, QueriesInfo, Status, TableInfo, ViewInfo};
use serde::Deserialize;
use tokio::sync::SemaphorePermit;

use super::answer::{Form, answer};
use super::{App, metrics as exposition};
use crate::pipeline::Running;
use crate::source::retry::{Answer, Request};
use crate::view::QueryError;
use crate::view::explain::Place;

/// An error as clients see it: a status code and `{"error": "text"}`, with `at` where it is a place in SQL.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    text: String,
    place: Option<Place>,
    retry_after_seconds: Option<u64>,
}

impl ApiError {
    /// An error with this status and text.
    pub(super) fn new(status: StatusCode, text: String) -> Self {
        Self { status, text, place: None, retry_after_seconds: None }
    }

    /// Too much of it; not before `wait` is over.
    pub(super) fn later(what: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, format!("{what}; try again in {seconds} s"));
        Self { retry_after_seconds: Some(seconds), ..error }
    }

    /// Our fault.
    pub(super) fn internal(text: String) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = match self.place {
            Some(place) => serde_json::json!({ "error": self.text, "at": place }),
            None => serde_json::json!({ "error": self.text }),
        };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        let status = match error {
            QueryError::Refused { text, place } => return Self { place, ..Self::new(StatusCode::BAD_REQUEST, text) },
            QueryError::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
            QueryError::TooLarge(_) | QueryError::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            QueryError::NoRoom(_) => StatusCode::INSUFFICIENT_STORAGE,
            QueryError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            QueryError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, text)
    }
}

impl App {
    /// The pipeline, once its rows can be queried.
    pub(super) fn pipeline(&self) -> Result<&Running, ApiError> {
        let starting = || ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the pipeline is starting".to_owned());
        self.running.get().ok_or_else(starting)
    }

    /// A place for a query; waits for one.
    pub(super) async fn place(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        self.queries.acquire().await.map_err(|_closed| ApiError::internal("the server is stopping".to_owned()))
    }

    async fn query(&self, sql: &str, limit: Option<usize>, form: Form) -> Result<Response, ApiError> {
        self.query_as_of(sql, limit, None, form).await
    }

    /// Over the archive as it was at a version, where one is named.
    async fn query_as_of(
        &self,
        sql: &str,
        limit: Option<usize>,
        version: Option<u64>,
        form: Form,
    ) -> Result<Response, ApiError> {
        let pipeline = self.pipeline()?;
        let limit = limit.unwrap_or(self.query_rows).min(self.query_rows);
        let result = {
            let _place = self.place().await?;
            match version {
                Some(version) => pipeline.queries.run_as_of(sql, version, limit).await?,
                None => pipeline.queries.run(sql, limit).await?,
            }
        };
        answer(&result, form)
    }
}

/// 200 as long as the process answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// 200 when rows flow, or can flow; 503 with the reason otherwise.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let Some(pipeline) = app.running.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the pipeline is starting\n").into_response();
    };
    let status = pipeline.board.status();
    let reason = match status.state {
        PipelineState::Running | PipelineState::Waiting | PipelineState::Draining | PipelineState::Done => {
            return "ok\n".into_response();
        }
        PipelineState::Starting => "the pipeline is starting\n".to_owned(),
        PipelineState::Failed => {
            let why = status.messages.first().map_or("no reason was told", |message| message.text.as_str());
            format!("the pipeline failed: {why}\n")
        }
    };
    (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}

/// Prometheus text.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let pipeline = app.pipeline()?;
    let text = exposition::text(&pipeline.board.status(), &pipeline.queries.info());
    Ok(([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response())
}

pub(super) async fn status(State(app): State<Arc<App>>) -> Result<Json<Status>, ApiError> {
    Ok(Json(app.pipeline()?.board.status()))
}

pub(super) async fn ledger(State(app): State<Arc<App>>) -> Result<Json<Ledger>, ApiError> {
    Ok(Json(app.pipeline()?.board.ledger()))
}

pub(super) async fn tables(State(app): State<Arc<App>>) -> Result<Json<Vec<TableInfo>>, ApiError> {
    Ok(Json(app.pipeline()?.queries.tables().await?))
}

pub(super) async fn views(State(app): State<Arc<App>>) -> Result<Json<Vec<ViewInfo>>, ApiError> {
    Ok(Json(app.pipeline()?.queries.views()))
}

/// What queries do, and what they may.
pub(super) async fn queries(State(app): State<Arc<App>>) -> Result<Json<QueriesInfo>, ApiError> {
    Ok(Json(app.pipeline()?.queries.info()))
}

/// `?limit=n`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    limit: Option<usize>,
}

/// The rows of a view.
pub(super) async fn view_data(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    limit: Result<Query<Limit>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Query(Limit { limit }) = limit.map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let views = app.pipeline()?.queries.views();
    let Some(view) = views.iter().find(|view| view.name == name) else {
        let names: Vec<_> = views.iter().map(|view| format!("`{}`", view.name)).collect();
        let text = format!("no view has the name `{name}`; there are: {}", names.join(", "));
        return Err(ApiError::new(StatusCode::NOT_FOUND, text));
    };
    // Its own SQL, not a SELECT from it: that would not keep its ORDER BY.
    app.query(&view.sql, limit, Form::wanted(&headers)).await
}

/// Body of `POST /api/sql`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SqlRequest {
    sql: String,
    limit: Option<usize>,
    /// The archive as it was at this version.
    version: Option<u64>,
}

/// The rows of a statement that only reads.
pub(super) async fn sql(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    let request: SqlRequest = serde_json::from_slice(&body).map_err(|error| {
        let text = format!("the body is not `{{\"sql\": \"SELECT …\", \"limit\": 100}}`: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, text)
    })?;
    app.query_as_of(&request.sql, request.limit, request.version, Form::wanted(&headers)).await
}

/// Takes quarantined files again.
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Vec<Answer>>, ApiError> {
    let body = body.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    let request: Request = serde_json::from_slice(&body).map_err(|error| {
        let text = format!("the body is not `{{\"files\": [\"data/a.parquet\"], \"keep_published\": false}}`: {error}");
        ApiError::new(StatusCode::BAD_REQUEST, text)
    })?;
    let Some(retries) = &app.pipeline()?.retries else {
        let text = "this process does not publish: ask the one that does (`millstream run` or `publish`)".to_owned();
        return Err(ApiError::new(StatusCode::BAD_REQUEST, text));
    };
    retries.ask(request).await.map(Json).map_err(|text| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text))
}

/// A route that is there, with a method that it does not have.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let text = format!("`{method}` does not work on `{}`", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, text)
}
