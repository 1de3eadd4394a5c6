//! Listing: from `source.path` to the files that are there now.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore};

use super::{FoundFile, SourceError};

/// Files ending so are taken when a folder is named; a glob or a file name takes what it matches.
const EXTENSION: &str = ".parquet";

/// What to list, again and again.
#[derive(Debug)]
pub(crate) struct Listing {
    store: Arc<dyn ObjectStore>,
    base_dir: PathBuf,
    wanted: Vec<Wanted>,
    excluded: Vec<StorePath>,
    patterns: Vec<String>,
}

/// One entry of `source.path`.
#[derive(Debug)]
struct Wanted {
    /// Absolute path as written, without its glob parts.
    fixed: PathBuf,
    /// Matches absolute paths; none when the entry has no glob part.
    pattern: Option<Pattern>,
    /// Whether folders below `fixed` are looked into.
    deep: bool,
}

impl Listing {
    /// A listing of `patterns`, relative to `base_dir`. Nothing below `excluded` is ever a source.
    pub(crate) fn new(
        patterns: &[String],
        recursive: bool,
        base_dir: &Path,
        excluded: &[PathBuf],
    ) -> Result<Self, SourceError> {
        let wanted = patterns.iter().map(|text| Wanted::new(text, recursive, base_dir)).collect::<Result<_, _>>()?;
        let excluded = excluded.iter().map(|path| store_path(path)).collect::<Result<_, _>>()?;
        Ok(Self {
            store: Arc::new(LocalFileSystem::new()),
            base_dir: normal(base_dir),
            wanted,
            excluded,
            patterns: patterns.to_vec(),
        })
    }

    /// Where a file is that was found before.
    pub(crate) fn location(&self, file: &str) -> StorePath {
        store_path(&normal(&self.base_dir.join(file))).unwrap_or_default()
    }

    /// The store that the files are in.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }

    /// The entries of `source.path` as written, for messages.
    pub(crate) fn patterns(&self) -> String {
        self.patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ")
    }

    /// The files that are there now, sorted by path, each once.
    pub(crate) async fn list(&self) -> Result<Vec<FoundFile>, SourceError> {
        let mut found = BTreeMap::new();
        for wanted in &self.wanted {
            for meta in self.candidates(wanted).await? {
                if wanted.takes(&meta.location) && !self.is_excluded(&meta.location) {
                    let file = self.found(&meta);
                    found.insert(Arc::clone(&file.file), file);
                }
            }
        }
        Ok(found.into_values().collect())
    }

    async fn candidates(&self, wanted: &Wanted) -> Result<Vec<ObjectMeta>, SourceError> {
        let folder = wanted.fixed.display().to_string();
        let location = store_path(&wanted.fixed)?;
        let list = |source| SourceError::List { folder: folder.clone(), source };
        if wanted.pattern.is_none() && !wanted.fixed.is_dir() {
            return match object_store::ObjectStoreExt::head(&self.store, &location).await {
                Ok(meta) => Ok(vec![meta]),
                Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
                Err(source) => Err(list(source)),
            };
        }
        if wanted.deep {
            self.store.list(Some(&location)).try_collect().await.map_err(list)
        } else {
            Ok(self.store.list_with_delimiter(Some(&location)).await.map_err(list)?.objects)
        }
    }

    fn is_excluded(&self, location: &StorePath) -> bool {
        self.excluded.iter().any(|folder| location.prefix_matches(folder))
    }

    fn found(&self, meta: &ObjectMeta) -> FoundFile {
        let path = PathBuf::from(format!("/{}", meta.location));
        FoundFile {
            file: relative(&path, &self.base_dir).into(),
            location: meta.location.clone(),
            size: meta.size,
            tag: meta.last_modified.timestamp_micros().to_string(),
        }
    }
}

impl Wanted {
    fn new(text: &str, recursive: bool, base_dir: &Path) -> Result<Self, SourceError> {
        let absolute = normal(&base_dir.join(text));
        let is_glob = |part: &str| part.contains(['*', '?', '[']);
        if !is_glob(text) {
            return Ok(Self { fixed: absolute, pattern: None, deep: recursive });
        }
        let parts: Vec<Component<'_>> = absolute.components().collect();
        let fixed_parts =
            parts.iter().take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).count().min(parts.len() - 1);
        let pattern = Pattern::new(&absolute.to_string_lossy())
            .map_err(|source| SourceError::Pattern { pattern: text.to_owned(), source })?;
        Ok(Self {
            fixed: parts[..fixed_parts].iter().collect(),
            pattern: Some(pattern),
            deep: parts.len() - fixed_parts > 1,
        })
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
fn relative(path: &Path, base: &Path) -> String {
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
        let listing = Listing::new(&patterns, recursive, &base, &[base.join("d")]).unwrap();
        listing.list().await.unwrap().iter().map(|found| found.file.to_string()).collect()
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
    async fn excluded_folders_and_missing_files_give_nothing() {
        assert_eq!(listed(&["d/*.parquet", "nothing.parquet"], false).await, Vec::<String>::new());
    }

    #[test]
    fn files_outside_of_the_base_folder_are_named_with_dots() {
        assert_eq!(relative(Path::new("/x/data/f"), Path::new("/x/conf")), "../data/f");
    }
}
