//! An upload in parts whose end is told by what is there: when the answer to its last request is lost, the library asks again, and is
//! told that there is no such upload any more.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path as StorePath;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, Result, UploadPart};

/// An upload under a name that nothing else has.
#[derive(Debug)]
pub(super) struct Upload<S> {
    within: Box<dyn MultipartUpload>,
    store: Arc<S>,
    location: StorePath,
    bytes: u64,
}

impl<S> Upload<S> {
    /// An upload of the store's own.
    pub(super) fn new(within: Box<dyn MultipartUpload>, store: Arc<S>, location: StorePath) -> Self {
        Self { within, store, location, bytes: 0 }
    }
}

#[async_trait]
impl<S: ObjectStore> MultipartUpload for Upload<S> {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.bytes += data.content_length() as u64;
        self.within.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let error = match self.within.complete().await {
            Ok(put) => return Ok(put),
            Err(error) => error,
        };
        match self.store.head(&self.location).await {
            Ok(found) if found.size == self.bytes => Ok(PutResult { e_tag: found.e_tag, version: found.version }),
            Ok(_) | Err(_) => Err(error),
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.within.abort().await
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    /// Says that it failed, after what it did.
    #[derive(Debug)]
    struct Lost {
        upload: Box<dyn MultipartUpload>,
        completes: bool,
    }

    #[async_trait]
    impl MultipartUpload for Lost {
        fn put_part(&mut self, data: PutPayload) -> UploadPart {
            self.upload.put_part(data)
        }

        async fn complete(&mut self) -> Result<PutResult> {
            if self.completes {
                self.upload.complete().await?;
            }
            Err(object_store::Error::Generic { store: "lost", source: "no such upload".into() })
        }

        async fn abort(&mut self) -> Result<()> {
            self.upload.abort().await
        }
    }

    #[tokio::test]
    async fn an_upload_that_was_taken_is_no_failure_and_one_that_was_not_is() {
        for completes in [true, false] {
            let (store, location) = (Arc::new(InMemory::new()), StorePath::from("file"));
            let upload = Box::new(Lost { upload: store.put_multipart(&location).await.unwrap(), completes });
            let mut upload = Upload::new(upload, store, location);
            upload.put_part("some".into()).await.unwrap();
            upload.put_part("thing".into()).await.unwrap();
            assert_eq!(upload.complete().await.is_ok(), completes);
        }
    }
}
