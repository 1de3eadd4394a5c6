//! Places of files: a folder of this machine, or a key in an object store.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

/// Kinds of object stores, by the scheme of their URLs.
const SCHEMES: [&str; 3] = ["s3", "gs", "az"];

/// What is allowed where a URL is, for messages.
pub(super) const URL_FORM: &str = "a path, or s3://bucket/key (also gs:// and az://)";

/// Where a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// On this machine; absolute.
    Folder(PathBuf),
    /// In an object store.
    Url(StoreUrl),
}

/// A key of an object store: `s3://bucket/key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreUrl {
    /// Scheme and bucket: `s3://bucket`.
    root: String,
    /// Parts with `/` between them, none of them empty.
    key: String,
}

impl Location {
    /// What is below it under a name.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(path.join(name)),
            Self::Url(url) => Self::Url(url.join(name)),
        }
    }

    /// The folder, if it is on this machine.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::Url(_) => None,
        }
    }
}

impl Display for Location {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(formatter),
            Self::Url(url) => url.fmt(formatter),
        }
    }
}

impl StoreUrl {
    /// Whether a text is meant as a URL.
    #[must_use]
    pub fn is_url(text: &str) -> bool {
        text.contains("://")
    }

    /// Reads `s3://bucket/key`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| "it has no scheme, such as `s3://`".to_owned())?;
        if !SCHEMES.contains(&scheme) {
            return Err(format!("`{scheme}://` is no object store that is known here"));
        }
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let named_well = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(named_well) {
            return Err(format!("`{bucket}` is no name of a bucket"));
        }
        let parts: Vec<&str> = key.split('/').filter(|part| !part.is_empty()).collect();
        if parts.iter().any(|part| matches!(*part, "." | "..")) {
            return Err("keys of object stores have no `.` and `..`".to_owned());
        }
        Ok(Self { root: format!("{scheme}://{bucket}"), key: parts.join("/") })
    }

    /// Scheme and bucket: `s3://bucket`.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The key, without `/` at its ends; empty for the bucket itself.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is below it under a name.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let key = if self.key.is_empty() { name.to_owned() } else { format!("{}/{name}", self.key) };
        Self { root: self.root.clone(), key }
    }
}

impl Display for StoreUrl {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() { self.root.fmt(formatter) } else { write!(formatter, "{}/{}", self.root, self.key) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, root: &str, key: &str) {
        let url = StoreUrl::parse(text).unwrap();
        assert_eq!((url.root(), url.key()), (root, key));
    }

    #[test]
    fn a_url_is_a_bucket_and_a_key() {
        check("s3://lake", "s3://lake", "");
        check("s3://lake/", "s3://lake", "");
        check("s3://lake/a//b/", "s3://lake", "a/b");
        check("gs://lake/*.parquet", "gs://lake", "*.parquet");
        assert_eq!(StoreUrl::parse("az://lake/a").unwrap().join("rows").to_string(), "az://lake/a/rows");
        assert_eq!(StoreUrl::parse("s3://lake").unwrap().join("rows").to_string(), "s3://lake/rows");
    }

    #[test]
    fn what_is_no_such_url_is_refused_with_the_reason() {
        let refused = |text| StoreUrl::parse(text).unwrap_err();
        assert_eq!(refused("http://host/a"), "`http://` is no object store that is known here");
        assert_eq!(refused("s3:///a"), "`` is no name of a bucket");
        assert_eq!(refused("s3://lake/../a"), "keys of object stores have no `.` and `..`");
    }
}
