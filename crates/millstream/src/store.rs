//! Object stores: opens the bucket that a URL names, and makes such URLs known to the Delta library.
//!
//! A store that does not answer is asked again for [`PATIENCE`], by the library, so that a request ends with what is true.

mod listings;
mod uploads;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
    object_store_factories,
};
use deltalake::{DeltaResult, DeltaTableError};
use millstream_core::config::StoreUrl;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path as StorePath;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use self::listings::WholeListings;
use crate::environment;

/// How long a request is tried again.
const PATIENCE: Duration = Duration::from_mins(5);

/// Longest time of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

/// Why a bucket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot open `{root}`: see \"Object stores\" in the documentation of the pipeline file for the environment variables that it needs"
)]
pub(crate) struct StoreError {
    root: String,
    source: object_store::Error,
}

/// One client for each bucket: it keeps connections, and the Delta library opens its table anew for every commit.
static BUCKETS: LazyLock<Mutex<HashMap<String, Arc<dyn ObjectStore>>>> = LazyLock::new(Mutex::default);

/// The bucket of a URL; keys start at its root.
pub(crate) fn open(url: &StoreUrl) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let mut buckets = BUCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(store) = buckets.get(url.root()) {
        return Ok(Arc::clone(store));
    }
    let store = build(url.root()).map_err(|source| StoreError { root: url.root().to_owned(), source })?;
    buckets.insert(url.root().to_owned(), Arc::clone(&store));
    Ok(store)
}

fn build(root: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(5),
        ..BackoffConfig::default()
    };
    let retry = RetryConfig { backoff, max_retries: usize::MAX, retry_timeout: PATIENCE };
    let client = ClientOptions::new().with_timeout(REQUEST_TIMEOUT);
    if root.starts_with("gs://") {
        let builder = GoogleCloudStorageBuilder::new().with_url(root).with_client_options(client).with_retry(retry);
        let settings = settings::<GoogleConfigKey>("GOOGLE_");
        let builder = settings.into_iter().fold(builder, |builder, (key, value)| builder.with_config(key, value));
        return Ok(Arc::new(WholeListings(Arc::new(builder.build()?))));
    }
    if root.starts_with("az://") {
        let builder = MicrosoftAzureBuilder::new().with_url(root).with_client_options(client).with_retry(retry);
        let settings = settings::<AzureConfigKey>("AZURE_");
        let builder = settings.into_iter().fold(builder, |builder, (key, value)| builder.with_config(key, value));
        return Ok(Arc::new(WholeListings(Arc::new(builder.build()?))));
    }
    let settings = settings::<AmazonS3ConfigKey>("AWS_");
    // Who names such an endpoint means it.
    let is_plain =
        settings.iter().any(|(key, value)| *key == AmazonS3ConfigKey::Endpoint && value.starts_with("http://"));
    let builder =
        AmazonS3Builder::new().with_url(root).with_client_options(client.with_allow_http(is_plain)).with_retry(retry);
    let builder = settings.into_iter().fold(builder, |builder, (key, value)| builder.with_config(key, value));
    Ok(Arc::new(WholeListings(Arc::new(builder.build()?))))
}

/// The variables of the environment that a store's client knows.
fn settings<K: std::str::FromStr>(prefix: &str) -> Vec<(K, String)> {
    let variables = environment::variables(prefix);
    variables.into_iter().filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value))).collect()
}

/// Makes the schemes known to the Delta library. May be called again.
pub(crate) fn register() {
    for scheme in ["s3://", "gs://", "az://"] {
        let Ok(scheme) = Url::parse(scheme) else { continue };
        object_store_factories().entry(scheme.clone()).or_insert_with(|| Arc::new(Buckets));
        logstore_factories().entry(scheme).or_insert_with(|| Arc::new(Buckets));
    }
}

/// Opens buckets for the Delta library, whose commits are conditional puts.
struct Buckets;

impl ObjectStoreFactory for Buckets {
    fn parse_url_opts(&self, url: &Url, _config: &StorageConfig) -> DeltaResult<(ObjectStoreRef, StorePath)> {
        let parsed =
            StoreUrl::parse(url.as_str()).map_err(|_| DeltaTableError::InvalidTableLocation(url.to_string()))?;
        let store = open(&parsed).map_err(|error| DeltaTableError::from(error.source))?;
        Ok((store, StorePath::from_url_path(url.path())?))
    }
}

impl LogStoreFactory for Buckets {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed_store, root_store, location, options))
    }
}
