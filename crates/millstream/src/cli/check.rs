//! `millstream check`: whether a pipeline file is right and what it matches. Changes nothing.

use std::path::{Path, PathBuf};

use millstream_core::config::Config;

use super::failure::Failure;
use super::number::{bytes, counted};
use super::out;

/// A source file as it was found.
struct Found {
    path: PathBuf,
    size_bytes: u64,
}

/// Prints the source files of a pipeline file that parsed.
pub(super) fn check(config: &Config, pipeline_file: &Path) -> Result<(), Failure> {
    out::line(&format!("`{}` is right: pipeline `{}`", pipeline_file.display(), config.pipeline.name))?;
    let found = source_files(config)?;
    if found.is_empty() {
        let text = format!("no file matches `source.path` ({})", patterns(config));
        if config.source.watch {
            return out::line(&format!("{text}; with `watch = true` a run waits for files"));
        }
        return Err(Failure::Refused(text + "; put files there, change it, or set `source.watch = true`"));
    }
    let size = found.iter().map(|file| file.size_bytes).sum();
    out::line(&format!("`source.path` matches {}, {}:", counted(found.len() as u64, "file"), bytes(size)))?;
    for file in &found {
        let shown = file.path.strip_prefix(&config.base_dir).unwrap_or(&file.path);
        out::line(&format!("  {:>10}  {}", bytes(file.size_bytes), shown.display()))?;
    }
    Ok(())
}

fn patterns(config: &Config) -> String {
    config.source.path.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
}

/// Files of the source, each once, sorted by path.
fn source_files(config: &Config) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for path in &config.source.path {
        let pattern = config.base_dir.join(path);
        let matches = glob::glob(&pattern.to_string_lossy())
            .map_err(|error| Failure::Refused(format!("`source.path` `{path}`: {error}")))?;
        for path in matches {
            let path = path.map_err(|error| Failure::failed(&error))?;
            if path.is_dir() {
                list(&path, config, &mut found)?;
            } else {
                take(path, config, &mut found)?;
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found.dedup_by(|left, right| left.path == right.path);
    Ok(found)
}

/// Parquet files of a folder, and of those in it when the source is recursive.
fn list(folder: &Path, config: &Config, found: &mut Vec<Found>) -> Result<(), Failure> {
    if is_ours(folder, config) {
        return Ok(());
    }
    let failed = |error| Failure::Failed(format!("listing `{}`: {error}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['_', '.']));
        if path.is_dir() {
            if config.source.recursive && !is_hidden {
                list(&path, config, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
            take(path, config, found)?;
        }
    }
    Ok(())
}

fn take(path: PathBuf, config: &Config, found: &mut Vec<Found>) -> Result<(), Failure> {
    let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with(['_', '.']));
    if is_hidden || is_ours(&path, config) {
        return Ok(());
    }
    let metadata = std::fs::metadata(&path)
        .map_err(|error| Failure::Failed(format!("looking at `{}`: {error}", path.display())))?;
    found.push(Found { path, size_bytes: metadata.len() });
    Ok(())
}

/// What a pipeline writes is never its source.
fn is_ours(path: &Path, config: &Config) -> bool {
    path.starts_with(&config.pipeline.data_dir) || path.starts_with(&config.archive.path)
}
