//! Listing: from `source.path` to the files that are there now.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use millstream_core::config::{Config, Location, StoreUrl};
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore};

use super::{FoundFile, SourceError, path_of, tag_of};
use crate::chain::chain;
use crate::store;

/// Files ending so are taken when a folder is named; a glob or a file name takes what it matches.
const EXTENSION: &str = ".parquet";

/// What to list, again and again.
#[derive(Debug)]
pub(crate) struct Listing {
    store: Arc<dyn ObjectStore>,
    place: Place,
    wanted: Vec<Wanted>,
    excluded: Vec<StorePath>,
    patterns: Vec<String>,
}

/// Where the files are, which says how they are named.
#[derive(Debug)]
enum Place {
    /// On this machine: paths relative to this folder.
    Disk(PathBuf),
    /// In a bucket: URLs that begin so.
    Bucket(String),
}

/// What a listing found.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// The files, sorted by path.
    pub(crate) files: Vec<FoundFile>,
    /// What could not be looked at, and why.
    pub(crate) problems: Vec<String>,
}

/// One entry of `source.path`.
#[derive(Debug)]
struct Wanted {
    /// Absolute path, or `/` and a key, as written, without its glob parts.
    fixed: PathBuf,
    /// Matches absolute paths; none when the entry has no glob part.
    pattern: Option<Pattern>,
    /// Whether folders below `fixed` are looked into.
    deep: bool,
}

impl Listing {
    /// The source of a pipeline file: its data folder and its archive are never a part of it.
    pub(crate) fn of(config: &Config) -> Result<Self, SourceError> {
        let data_dir = Location::Folder(config.pipeline.data_dir.clone());
        let excluded = [data_dir, config.archive.path.clone()];
        let source = &config.source;
        match source.path.first().and_then(|path| StoreUrl::parse(path).ok()) {
            Some(url) => Self::of_bucket(&url, &source.path, source.recursive, &excluded),
            None => Self::of_disk(&source.path, source.recursive, &config.base_dir, &excluded),
        }
    }

    /// A listing of `patterns`, relative to `base_dir`. Nothing below `excluded` is ever a source.
    fn of_disk(
        patterns: &[String],
        recursive: bool,
        base_dir: &Path,
        excluded: &[Location],
    ) -> Result<Self, SourceError> {
        let wanted =
            patterns.iter().map(|text| Wanted::new(text, text, recursive, base_dir)).collect::<Result<_, _>>()?;
        let excluded = excluded.iter().filter_map(Location::folder);
        let excluded = excluded.map(|path| store_path(&normal(path))).collect::<Result<_, _>>()?;
        let (store, place) = (Arc::new(LocalFileSystem::new()), Place::Disk(normal(base_dir)));
        Ok(Self { store, place, wanted, excluded, patterns: patterns.to_vec() })
    }

    /// A listing of URLs, all in the bucket of `bucket`.
    fn of_bucket(
        bucket: &StoreUrl,
        patterns: &[String],
        recursive: bool,
        excluded: &[Location],
    ) -> Result<Self, SourceError> {
        let in_bucket = |text: &str| StoreUrl::parse(text).ok().filter(|url| url.root() == bucket.root());
        let key = |text: &str| in_bucket(text).map(|url| url.key().to_owned()).unwrap_or_default();
        let wanted = patterns.iter().map(|text| Wanted::new(text, &key(text), recursive, Path::new("/")));
        let wanted = wanted.collect::<Result<_, _>>()?;
        let excluded = excluded.iter().filter_map(|location| in_bucket(&location.to_string()));
        let excluded = excluded.map(|url| StorePath::from(url.key())).collect();
        let (store, place) = (store::open(bucket)?, Place::Bucket(bucket.root().to_owned()));
        Ok(Self { store, place, wanted, excluded, patterns: patterns.to_vec() })
    }

    /// Where a file is that was found before.
    pub(crate) fn location(&self, file: &str) -> StorePath {
        match &self.place {
            Place::Disk(base_dir) => store_path(&normal(&base_dir.join(file))).unwrap_or_default(),
            Place::Bucket(root) => StorePath::from(file.strip_prefix(root.as_str()).unwrap_or(file)),
        }
    }

    /// Whether the files are in an object store.
    pub(crate) fn is_of_bucket(&self) -> bool {
        matches!(self.place, Place::Bucket(_))
    }

    /// The `_file` of a path as somebody types it.
    pub(crate) fn name_of(&self, path: &Path) -> String {
        match (&self.place, std::path::absolute(path)) {
            (Place::Disk(base_dir), Ok(absolute)) => relative(&normal(&absolute), base_dir),
            (Place::Bucket(_), _) | (_, Err(_)) => path.display().to_string(),
        }
    }

    /// The store that the files are in.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// The entries of `source.path` as written, for messages.
    pub(crate) fn patterns(&self) -> String {
        self.patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
    }

    /// The files that are there now, sorted by path, each once, and what could not be looked at.
    pub(crate) async fn list(&self) -> Result<Listed, SourceError> {
        let mut found = BTreeMap::new();
        let mut problems = Vec::new();
        for wanted in &self.wanted {
            for meta in self.candidates(wanted, &mut problems).await? {
                if wanted.takes(&meta.location) && !self.is_excluded(&meta.location) {
                    let file = self.found(&meta);
                    found.insert(Arc::clone(&file.file), file);
                }
            }
        }
        Ok(Listed { files: found.into_values().collect(), problems })
    }

    async fn candidates(&self, wanted: &Wanted, problems: &mut Vec<String>) -> Result<Vec<ObjectMeta>, SourceError> {
        if let Place::Bucket(root) = &self.place {
            return self.keys(wanted, root).await;
        }
        let folder = wanted.fixed.display().to_string();
        let location = store_path(&wanted.fixed)?;
        if wanted.pattern.is_none() && !wanted.fixed.is_dir() {
            return match object_store::ObjectStoreExt::head(&self.store, &location).await {
                Ok(meta) => Ok(vec![meta]),
                Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
                Err(source) => {
                    problems.push(chain(&SourceError::List { folder, source }));
                    Ok(Vec::new())
                }
            };
        }
        let whole = if wanted.deep {
            self.store.list(Some(&location)).try_collect().await
        } else {
            self.store.list_with_delimiter(Some(&location)).await.map(|listed| listed.objects)
        };
        match whole {
            Ok(found) => Ok(found),
            // One entry that cannot be looked at fails the store's listing: it must not hide the others.
            Err(_) => self.entry_by_entry(wanted, problems).await,
        }
    }

    /// The objects below a key, or that very object. All of them or an error: a bucket is not listed in part.
    async fn keys(&self, wanted: &Wanted, root: &str) -> Result<Vec<ObjectMeta>, SourceError> {
        let key = StorePath::from(wanted.fixed.to_string_lossy().as_ref());
        let failed = |source| SourceError::List { folder: format!("{root}/{key}"), source };
        if wanted.pattern.is_none() && !key.as_ref().is_empty() {
            match object_store::ObjectStoreExt::head(&self.store, &key).await {
                Ok(meta) => return Ok(vec![meta]),
                // Then it is a folder, or nothing.
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let prefix = (!key.as_ref().is_empty()).then_some(&key);
        if wanted.deep {
            self.store.list(prefix).try_collect().await.map_err(failed)
        } else {
            self.store.list_with_delimiter(prefix).await.map(|listed| listed.objects).map_err(failed)
        }
    }

    /// The files below a folder of this machine, past what cannot be looked at.
    async fn entry_by_entry(
        &self,
        wanted: &Wanted,
        problems: &mut Vec<String>,
    ) -> Result<Vec<ObjectMeta>, SourceError> {
        let mut found = Vec::new();
        let mut folders = vec![wanted.fixed.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    problems.push(format!("cannot list `{}`: {error}", folder.display()));
                    continue;
                }
            };
            for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
                match std::fs::metadata(&path) {
                    Ok(metadata) if metadata.is_dir() && wanted.deep && !path.is_symlink() => folders.push(path),
                    Ok(metadata) if metadata.is_dir() => {}
                    Ok(_) => {
                        found.extend(object_store::ObjectStoreExt::head(&self.store, &store_path(&path)?).await.ok());
                    }
                    Err(error) => problems.push(format!("cannot look at `{}`: {error}", path.display())),
                }
            }
        }
        Ok(found)
    }

    fn is_excluded(&self, location: &StorePath) -> bool {
        self.excluded.iter().any(|folder| location.prefix_matches(folder))
    }

    fn found(&self, meta: &ObjectMeta) -> FoundFile {
        let file = match &self.place {
            Place::Disk(base_dir) => relative(&path_of(&meta.location), base_dir),
            Place::Bucket(root) => format!("{root}/{}", meta.location),
        };
        let tag = tag_of(&file, meta);
        FoundFile { file: file.into(), location: meta.location.clone(), size: meta.size, tag }
    }
}

impl Wanted {
    /// From `path`, relative to `base_dir`; `text` is as written, for messages.
    fn new(text: &str, path: &str, recursive: bool, base_dir: &Path) -> Result<Self, SourceError> {
        let is_glob = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
        let parts: Vec<Component<'_>> = Path::new(path).components().collect();
        let fixed_parts = parts.iter().take_while(|part| !is_glob(part)).count();
        let fixed = normal(&base_dir.join(parts[..fixed_parts].iter().collect::<PathBuf>()));
        let rest = &parts[fixed_parts..];
        if rest.is_empty() {
            return Ok(Self { fixed, pattern: None, deep: recursive });
        }
        // Only what the user wrote is a pattern, not the folder that it stands in.
        let folder = Pattern::escape(&fixed.to_string_lossy());
        let written = rest.iter().collect::<PathBuf>();
        let pattern = Pattern::new(&format!("{}/{}", folder.trim_end_matches('/'), written.display()))
            .map_err(|source| SourceError::Pattern { pattern: text.to_owned(), source })?;
        Ok(Self { fixed, pattern: Some(pattern), deep: rest.len() > 1 })
    }

    fn takes(&self, location: &StorePath) -> bool {
        let path = format!("/{location}");
        let inside = path.strip_prefix(&*self.fixed.to_string_lossy()).unwrap_or(&path);
        if inside.split('/').any(|part| part.starts_with(['_', '.'])) {
            return false;
        }
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        match &self.pattern {
            Some(pattern) => pattern.matches_with(&path, options),
            None => path.ends_with(EXTENSION) || Path::new(&path) == self.fixed,
        }
    }
}

fn store_path(path: &Path) -> Result<StorePath, SourceError> {
    StorePath::from_absolute_path(path).map_err(|source| SourceError::Path { path: path.display().to_string(), source })
}

/// Without `.` and `..`, by the text alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => normal.push(part),
        }
    }
    normal
}

/// `path` as seen from `base`, with `..` where it is outside.
pub(crate) fn relative(path: &Path, base: &Path) -> String {
    let shared = path.components().zip(base.components()).take_while(|(a, b)| a == b).count();
    let up = base.components().skip(shared).map(|_| "..".to_owned());
    let down = path.components().skip(shared).map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn listed(patterns: &[&str], recursive: bool) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in
            ["a/1.parquet", "a/2.parquet", "a/b/3.parquet", "a/_x.parquet", "a/.y.parquet", "a/n.txt", "d/z.parquet"]
        {
            let path = base.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let patterns: Vec<String> = patterns.iter().map(|&text| text.to_owned()).collect();
        let listing = Listing::of_disk(&patterns, recursive, &base, &[Location::Folder(base.join("d"))]).unwrap();
        listing.list().await.unwrap().files.iter().map(|found| found.file.to_string()).collect()
    }

    #[tokio::test]
    async fn a_folder_gives_its_parquet_files_and_no_hidden_ones() {
        assert_eq!(listed(&["a"], false).await, ["a/1.parquet", "a/2.parquet"]);
        assert_eq!(listed(&["a"], true).await, ["a/1.parquet", "a/2.parquet", "a/b/3.parquet"]);
    }

    #[tokio::test]
    async fn a_glob_gives_what_it_matches_each_file_once() {
        assert_eq!(listed(&["a/*.parquet", "a/2*"], false).await, ["a/1.parquet", "a/2.parquet"]);
        assert_eq!(listed(&["a/**/*.parquet"], false).await, ["a/1.parquet", "a/2.parquet", "a/b/3.parquet"]);
        assert_eq!(listed(&["a/n.txt"], false).await, ["a/n.txt"]);
    }

    #[tokio::test]
    async fn an_entry_that_cannot_be_looked_at_is_told_of_and_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap().join("with [brackets] & blank");
        std::fs::create_dir_all(base.join("deeper")).unwrap();
        std::fs::write(base.join("a.parquet"), "x").unwrap();
        std::fs::write(base.join("deeper/b.parquet"), "x").unwrap();
        std::os::unix::fs::symlink("loop.parquet", base.join("loop.parquet")).unwrap();
        for path in ["*.parquet", "."] {
            let listing = Listing::of_disk(&[path.to_owned()], false, &base, &[]).unwrap();
            let listed = listing.list().await.unwrap();
            assert_eq!(listed.files.iter().map(|found| &*found.file).collect::<Vec<_>>(), ["a.parquet"]);
            assert_eq!(listed.problems.len(), 1, "{:?}", listed.problems);
        }
    }

    #[tokio::test]
    async fn excluded_folders_and_missing_files_give_nothing() {
        assert_eq!(listed(&["d/*.parquet", "nothing.parquet"], false).await, Vec::<String>::new());
    }

    #[test]
    fn files_outside_of_the_base_folder_are_named_with_dots() {
        assert_eq!(relative(Path::new("/x/data/f"), Path::new("/x/conf")), "../data/f");
    }
}
