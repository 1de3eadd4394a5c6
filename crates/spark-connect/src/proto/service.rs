//! Requests and responses of the service.

use super::literal::{Empty, Literal};
use super::relation::Plan;

/// Who asks.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct UserContext {
    #[prost(string, tag = "1")]
    pub user_id: String,
    #[prost(string, tag = "2")]
    pub user_name: String,
}

/// Starts an operation and streams its responses.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExecutePlanRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(message, optional, tag = "3")]
    pub plan: Option<Plan>,
    #[prost(string, optional, tag = "4")]
    pub client_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub request_options: Vec<RequestOption>,
    #[prost(string, optional, tag = "6")]
    pub operation_id: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub observed_server_session_id: Option<String>,
}

/// How an operation is executed.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RequestOption {
    #[prost(message, optional, tag = "1")]
    pub reattach: Option<ReattachOptions>,
}

/// Whether the server keeps responses until they are released.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ReattachOptions {
    #[prost(bool, tag = "1")]
    pub reattachable: bool,
}

/// One response of an operation.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExecutePlanResponse {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, repeated, tag = "6")]
    pub observed_metrics: Vec<ObservedMetrics>,
    #[prost(string, tag = "12")]
    pub operation_id: String,
    #[prost(string, tag = "13")]
    pub response_id: String,
    #[prost(string, tag = "15")]
    pub server_session_id: String,
    #[prost(oneof = "ResponseKind", tags = "2, 14")]
    pub kind: Option<ResponseKind>,
}

/// The responses that matter here.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ResponseKind {
    #[prost(message, tag = "2")]
    Batch(ArrowBatch),
    #[prost(message, tag = "14")]
    Complete(Empty),
}

/// Rows as an Arrow IPC stream.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ArrowBatch {
    #[prost(int64, tag = "1")]
    pub row_count: i64,
    #[prost(bytes = "bytes", tag = "2")]
    pub data: bytes::Bytes,
    #[prost(int64, optional, tag = "3")]
    pub start_offset: Option<i64>,
    #[prost(int64, optional, tag = "4")]
    pub chunk_index: Option<i64>,
    #[prost(int64, optional, tag = "5")]
    pub chunks_in_batch: Option<i64>,
}

/// What an observation counted.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ObservedMetrics {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<Literal>,
    #[prost(string, repeated, tag = "3")]
    pub keys: Vec<String>,
    #[prost(int32, optional, tag = "5")]
    pub root_error: Option<i32>,
    #[prost(message, repeated, tag = "6")]
    pub errors: Vec<ErrorDetail>,
}

/// Goes on with the responses of an operation, behind the last that was received.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ReattachExecuteRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(string, tag = "3")]
    pub operation_id: String,
    #[prost(string, optional, tag = "4")]
    pub client_type: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub last_response_id: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub observed_server_session_id: Option<String>,
}

/// Lets responses go that the server keeps.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ReleaseExecuteRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(string, tag = "3")]
    pub operation_id: String,
    #[prost(string, optional, tag = "4")]
    pub client_type: Option<String>,
    #[prost(oneof = "Release", tags = "5, 6")]
    pub release: Option<Release>,
    #[prost(string, optional, tag = "7")]
    pub observed_server_session_id: Option<String>,
}

/// How much is let go.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Release {
    #[prost(message, tag = "5")]
    All(Empty),
    #[prost(message, tag = "6")]
    Until(ReleaseUntil),
}

/// Up to and with one response.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ReleaseUntil {
    #[prost(string, tag = "1")]
    pub response_id: String,
}

/// Ends operations. The kind is 1 for all of the session, 3 for one.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct InterruptRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(string, optional, tag = "3")]
    pub client_type: Option<String>,
    #[prost(int32, tag = "4")]
    pub kind: i32,
    #[prost(string, optional, tag = "6")]
    pub operation_id: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub observed_server_session_id: Option<String>,
}

/// Settings of the session.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ConfigRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(message, optional, tag = "3")]
    pub operation: Option<ConfigOperation>,
    #[prost(string, optional, tag = "4")]
    pub client_type: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub observed_server_session_id: Option<String>,
}

/// What to do with settings; of the ways the protocol has, the one that is used here.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ConfigOperation {
    #[prost(message, optional, tag = "1")]
    pub set: Option<SetConfig>,
}

/// New values of settings.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SetConfig {
    #[prost(message, repeated, tag = "1")]
    pub pairs: Vec<KeyValue>,
}

/// A setting.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

/// Answer to a change of settings.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ConfigResponse {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(string, repeated, tag = "3")]
    pub warnings: Vec<String>,
    #[prost(string, tag = "4")]
    pub server_session_id: String,
}

/// Asks for what can be told without executing; here only for the version of the server.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AnalyzePlanRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(string, optional, tag = "3")]
    pub client_type: Option<String>,
    #[prost(message, optional, tag = "10")]
    pub spark_version: Option<Empty>,
    #[prost(string, optional, tag = "17")]
    pub observed_server_session_id: Option<String>,
}

/// The answer to that.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AnalyzePlanResponse {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "8")]
    pub spark_version: Option<SparkVersion>,
    #[prost(string, tag = "15")]
    pub server_session_id: String,
}

/// The version of the server.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SparkVersion {
    #[prost(string, tag = "1")]
    pub version: String,
}

/// Ends a session.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ReleaseSessionRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(string, optional, tag = "3")]
    pub client_type: Option<String>,
}

/// Asks for all that is known of an error.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct FetchErrorDetailsRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(string, tag = "3")]
    pub error_id: String,
    #[prost(string, optional, tag = "4")]
    pub client_type: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub observed_server_session_id: Option<String>,
}

/// An error with its causes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FetchErrorDetailsResponse {
    #[prost(int32, optional, tag = "1")]
    pub root_error: Option<i32>,
    #[prost(message, repeated, tag = "2")]
    pub errors: Vec<ErrorDetail>,
}

/// One error of a chain.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ErrorDetail {
    #[prost(string, repeated, tag = "1")]
    pub type_hierarchy: Vec<String>,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(int32, optional, tag = "4")]
    pub cause: Option<i32>,
    #[prost(message, optional, tag = "5")]
    pub throwable: Option<SparkThrowable>,
}

/// What Spark's own errors carry.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SparkThrowable {
    #[prost(string, optional, tag = "1")]
    pub error_class: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub sql_state: Option<String>,
}
