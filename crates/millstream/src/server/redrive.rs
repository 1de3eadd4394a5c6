//! Rejects, cleaned again: what `/api/redrive` and its preview are asked.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use millstream_core::redrive::{Answer, Preview};
use serde::de::DeserializeOwned;

use super::App;
use super::api::ApiError;
use crate::chain::chain;
use crate::redrive::{RedriveError, Redriver};

/// Cleans rejects again and publishes those that pass.
pub(super) async fn redrive(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Answer>, ApiError> {
    let request = request(body, "{\"files\": null, \"rules\": [\"fare\"]}")?;
    Ok(Json(redriver(&app)?.redrive(request).await?))
}

/// Tells what that would do.
pub(super) async fn preview(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Preview>, ApiError> {
    let request = request(body, "{\"toml\": \"fare = { … }\", \"files\": null, \"rules\": null}")?;
    let _place = app.place().await?;
    Ok(Json(Box::pin(redriver(&app)?.preview(request)).await?))
}

fn request<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>, form: &str) -> Result<T, ApiError> {
    let body = body.map_err(|error| ApiError::new(error.status(), error.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, format!("the body is not `{form}`: {error}")))
}

fn redriver(app: &App) -> Result<&Arc<Redriver>, ApiError> {
    app.pipeline()?.redriver.as_ref().ok_or_else(|| {
        let text = "this process does not publish: ask the one that does (`millstream run` or `publish`)".to_owned();
        ApiError::new(StatusCode::BAD_REQUEST, text)
    })
}

impl From<RedriveError> for ApiError {
    fn from(error: RedriveError) -> Self {
        let status = match error {
            RedriveError::Query(error) => return error.into(),
            RedriveError::Refused(_) => StatusCode::BAD_REQUEST,
            RedriveError::Busy => StatusCode::CONFLICT,
            RedriveError::Ending | RedriveError::Lost | RedriveError::ArchiveWaits => StatusCode::SERVICE_UNAVAILABLE,
            RedriveError::Archive(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, chain(&error))
    }
}
