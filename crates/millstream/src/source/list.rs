//! Listing: from `source.path` to the files that are there now.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use millstream_core::config::Config;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore};

use super::{FoundFile, SourceError, path_of};
use crate::chain::chain;

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
    /// Absolute path as written, without its glob parts.
    fixed: PathBuf,
    /// Matches absolute paths; none when the entry has no glob part.
    pattern: Option<Pattern>,
    /// Whether folders below `fixed` are looked into.
    deep: bool,
}

impl Listing {
    /// The source of a pipeline file: its data folder and its archive are never a part of it.
    pub(crate) fn of(config: &Config) -> Result<Self, SourceError> {
        let excluded = [config.pipeline.data_dir.clone(), config.archive.path.clone()];
        Self::new(&config.source.path, config.source.recursive, &config.base_dir, &excluded)
    }

    /// A listing of `patterns`, relative to `base_dir`. Nothing below `excluded` is ever a source.
    fn new(patterns: &[String], recursive: bool, base_dir: &Path, excluded: &[PathBuf]) -> Result<Self, SourceError> {
        let wanted = patterns.iter().map(|text| Wanted::new(text, recursive, base_dir)).collect::<Result<_, _>>()?;
        let excluded = excluded.iter().map(|path| store_path(&normal(path))).collect::<Result<_, _>>()?;
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
        let path = path_of(&meta.location);
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
        let is_glob = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
        let parts: Vec<Component<'_>> = Path::new(text).components().collect();
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
        let listing = Listing::new(&patterns, recursive, &base, &[base.join("d")]).unwrap();
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
            let listing = Listing::new(&[path.to_owned()], false, &base, &[]).unwrap();
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
