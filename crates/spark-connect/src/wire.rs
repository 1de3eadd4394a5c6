//! The calls of the service over HTTP/2.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt as _};
use http::uri::PathAndQuery;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::options::Options;
use crate::proto::literal::Empty;
use crate::proto::service as proto;

/// Responses of an operation as they come.
pub(crate) type Responses = BoxStream<'static, Result<proto::ExecutePlanResponse, Status>>;

/// How the responses of an operation are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Open {
    /// The operation is started.
    Execute(proto::ExecutePlanRequest),
    /// The operation is there, and goes on behind a response.
    Reattach(proto::ReattachExecuteRequest),
}

/// What an operation needs of the service. Besides the real one there is a scripted one in tests.
#[async_trait]
pub(crate) trait Wire: Send + Sync {
    /// Asks for responses.
    async fn open(&self, open: Open) -> Result<Responses, Status>;
    /// Lets responses go.
    async fn release(&self, request: proto::ReleaseExecuteRequest) -> Result<(), Status>;
    /// Ends operations.
    async fn interrupt(&self, request: proto::InterruptRequest) -> Result<(), Status>;
    /// Tells more about an error.
    async fn details(
        &self,
        request: proto::FetchErrorDetailsRequest,
    ) -> Result<proto::FetchErrorDetailsResponse, Status>;
}

/// The real service. Connects when it is first needed, and again when the connection broke.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    grpc: tonic::client::Grpc<Channel>,
    metadata: MetadataMap,
    call_timeout: Duration,
}

macro_rules! path {
    ($method:literal) => {
        PathAndQuery::from_static(concat!("/spark.connect.SparkConnectService/", $method))
    };
}

impl Client {
    pub(crate) async fn new(endpoint: &Endpoint, options: &Options) -> Result<Self, Error> {
        let mut channel = tonic::transport::Endpoint::from_shared(endpoint.url())
            .and_then(|channel| channel.user_agent(format!("spark-connect/{}", env!("CARGO_PKG_VERSION"))))
            .map_err(|error| setup(&error))?
            .connect_timeout(options.connect_timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(options.keep_alive_interval))
            .http2_keep_alive_interval(options.keep_alive_interval)
            .keep_alive_timeout(options.keep_alive_timeout)
            // A response is at most this far ahead of its reader. What one reader leaves unread must not stop the others on the connection.
            .initial_stream_window_size(options.window_bytes.clamp(65_535, WINDOW_MOST_BYTES))
            .initial_connection_window_size(WINDOW_MOST_BYTES);
        if endpoint.tls() {
            channel = channel.tls_config(tls(options).await?).map_err(|error| setup(&error))?;
        }
        let grpc = tonic::client::Grpc::new(channel.connect_lazy())
            .max_decoding_message_size(options.message_most_bytes)
            .max_encoding_message_size(options.message_most_bytes);
        Ok(Self { grpc, metadata: metadata(endpoint)?, call_timeout: options.call_timeout })
    }

    pub(crate) async fn analyze(
        &self,
        request: proto::AnalyzePlanRequest,
    ) -> Result<proto::AnalyzePlanResponse, Status> {
        self.call(path!("AnalyzePlan"), request).await
    }

    pub(crate) async fn config(&self, request: proto::ConfigRequest) -> Result<proto::ConfigResponse, Status> {
        self.call(path!("Config"), request).await
    }

    pub(crate) async fn release_session(&self, request: proto::ReleaseSessionRequest) -> Result<(), Status> {
        self.call::<_, Empty>(path!("ReleaseSession"), request).await.map(drop)
    }

    async fn call<Q, A>(&self, path: PathAndQuery, request: Q) -> Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let call = async {
            let mut grpc = self.grpc.clone();
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            grpc.unary(self.request(request), path, ProstCodec::default()).await
        };
        match tokio::time::timeout(self.call_timeout, call).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {:?}", self.call_timeout))),
        }
    }

    async fn stream<Q: prost::Message + 'static>(&self, path: PathAndQuery, request: Q) -> Result<Responses, Status> {
        let mut grpc = self.grpc.clone();
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        let answer = grpc.server_streaming(self.request(request), path, ProstCodec::default()).await?;
        Ok(answer.into_inner().boxed())
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request
    }
}

#[async_trait]
impl Wire for Client {
    async fn open(&self, open: Open) -> Result<Responses, Status> {
        match open {
            Open::Execute(request) => self.stream(path!("ExecutePlan"), request).await,
            Open::Reattach(request) => self.stream(path!("ReattachExecute"), request).await,
        }
    }

    async fn release(&self, request: proto::ReleaseExecuteRequest) -> Result<(), Status> {
        self.call::<_, Empty>(path!("ReleaseExecute"), request).await.map(drop)
    }

    async fn interrupt(&self, request: proto::InterruptRequest) -> Result<(), Status> {
        self.call::<_, Empty>(path!("Interrupt"), request).await.map(drop)
    }

    async fn details(
        &self,
        request: proto::FetchErrorDetailsRequest,
    ) -> Result<proto::FetchErrorDetailsResponse, Status> {
        self.call(path!("FetchErrorDetails"), request).await
    }
}

/// The most that HTTP/2 allows.
const WINDOW_MOST_BYTES: u32 = i32::MAX as u32;

async fn tls(options: &Options) -> Result<ClientTlsConfig, Error> {
    let Some(path) = &options.ca_file else { return Ok(ClientTlsConfig::new().with_native_roots()) };
    match tokio::fs::read(path).await {
        Ok(pem) => Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))),
        Err(source) => Err(Error::ReadCertificates { path: path.clone(), source }),
    }
}

fn metadata(endpoint: &Endpoint) -> Result<MetadataMap, Error> {
    let wrong = |name: &str| Error::Setup { message: format!("`{name}` cannot be sent as a header") };
    let mut metadata = MetadataMap::new();
    for (name, value) in endpoint.headers() {
        let key = MetadataKey::from_bytes(name.as_bytes()).map_err(|_| wrong(name))?;
        metadata.insert(key, MetadataValue::try_from(value.as_str()).map_err(|_| wrong(name))?);
    }
    if let Some(token) = endpoint.token() {
        let value = MetadataValue::try_from(format!("Bearer {token}")).map_err(|_| wrong("token"))?;
        metadata.insert("authorization", value);
    }
    Ok(metadata)
}

fn setup(error: &tonic::transport::Error) -> Error {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    Error::Setup { message }
}
