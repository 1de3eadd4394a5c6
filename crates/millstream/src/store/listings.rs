//! A store whose listings come whole: the library tries requests again, but gives up when the body of a listing breaks off.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::client::HttpError;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use super::uploads::Upload;
use crate::chain::with_causes;
use crate::clock::pause;

/// How often a listing is begun anew.
const TRIES: u32 = 40;

/// Shortest and longest pause before it is.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// The store within, with listings that come whole or not at all.
#[derive(Debug)]
pub(super) struct WholeListings<S>(pub(super) Arc<S>);

impl<S: ObjectStore> Display for WholeListings<S> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Whether to ask once more; waits before that.
#[derive(Debug, Default)]
struct Failures(u32);

impl Failures {
    async fn another(&mut self, error: Error) -> Result<()> {
        if self.0 >= TRIES || !broke_off(&error) {
            return Err(error);
        }
        tokio::time::sleep(pause(PAUSES, self.0)).await;
        self.0 += 1;
        Ok(())
    }
}

/// Whether the connection failed under an answer, rather than the store refusing something.
fn broke_off(error: &Error) -> bool {
    let Error::Generic { source, .. } = error else { return false };
    with_causes(&**source).any(<dyn std::error::Error>::is::<HttpError>)
}

impl<S: ObjectStore> WholeListings<S> {
    fn whole(&self, prefix: Option<&StorePath>, offset: Option<StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (Arc::clone(&self.0), prefix.cloned());
        let listed = async move {
            let mut failures = Failures::default();
            loop {
                let listed = match &offset {
                    Some(offset) => store.list_with_offset(prefix.as_ref(), offset),
                    None => store.list(prefix.as_ref()),
                };
                match listed.try_collect::<Vec<_>>().await {
                    Ok(listed) => return Ok::<_, Error>(stream::iter(listed.into_iter().map(Ok))),
                    Err(error) => failures.another(error).await?,
                }
            }
        };
        listed.into_stream().try_flatten().boxed()
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for WholeListings<S> {
    async fn put_opts(&self, location: &StorePath, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &StorePath,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.0.put_multipart_opts(location, opts).await?;
        Ok(Box::new(Upload::new(upload, Arc::clone(&self.0), location.clone())))
    }

    async fn get_opts(&self, location: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &StorePath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.whole(prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&StorePath>,
        offset: &StorePath,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.whole(prefix, Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        let mut failures = Failures::default();
        loop {
            match self.0.list_with_delimiter(prefix).await {
                Ok(listed) => return Ok(listed),
                Err(error) => failures.another(error).await?,
            }
        }
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &StorePath, to: &StorePath, options: RenameOptions) -> Result<()> {
        self.0.rename_opts(from, to, options).await
    }
}
