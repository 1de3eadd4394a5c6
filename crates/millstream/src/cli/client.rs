//! Talks to a running pipeline, found through its data folder.

use std::time::Duration;

use millstream_core::config::Config;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::chain::chain;
use crate::data_dir::{self, Found, RunInfo};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For what is answered from memory.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A running pipeline.
pub(super) struct Client {
    http: reqwest::Client,
    info: RunInfo,
}

/// An error as the server tells it.
#[derive(Deserialize)]
struct ErrorBody {
    error: String,
}

impl Client {
    /// The pipeline of this file; none when it does not run, or still starts.
    pub(super) fn find(config: &Config) -> Result<Option<Self>, Failure> {
        let info = match data_dir::find(&config.pipeline.data_dir)? {
            Found::Idle | Found::Running(None) => return Ok(None),
            Found::Running(Some(info)) => info,
        };
        // Loopback never goes through a proxy of the environment.
        let http = reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).build();
        let http = http.map_err(|error| Failure::failed(&error))?;
        Ok(Some(Self { http, info }))
    }

    /// Address of the page and the API.
    pub(super) fn url(&self) -> &str {
        &self.info.url
    }

    /// A request with the token of the run; not sent yet.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.info.url)).bearer_auth(&self.info.token)
    }

    /// The JSON at a path.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.send(self.request(Method::GET, path).timeout(ANSWER_TIMEOUT)).await?;
        response.json().await.map_err(|error| self.lost(&error))
    }

    /// Sends; an answer that tells an error is one.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.map_err(|error| self.lost(&error))?;
        let text = serde_json::from_str(&body).map_or(body, |ErrorBody { error }| error);
        Err(if status == StatusCode::BAD_REQUEST { Failure::Refused(text) } else { Failure::Failed(text) })
    }

    /// The connection broke.
    pub(super) fn lost(&self, error: &reqwest::Error) -> Failure {
        Failure::Failed(format!("talking to the pipeline (pid {}): {}", self.info.pid, chain(error)))
    }
}

/// Runs what a command waits for.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Failed(format!("starting: {error}")))?.block_on(work)
}
