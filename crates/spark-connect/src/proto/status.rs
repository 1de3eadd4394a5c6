//! What errors bring along: the details of `google.rpc.Status`.

/// An error of a call, whole; the trailer `grpc-status-details-bin` holds it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Status {
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// A message of any type.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// Why it failed, for programs (`google.rpc.ErrorInfo`).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ErrorInfo {
    #[prost(string, tag = "1")]
    pub reason: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// When to ask again (`google.rpc.RetryInfo`).
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub delay: Option<Delay>,
}

/// A span of time; its nanoseconds do not matter here.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Delay {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
}
