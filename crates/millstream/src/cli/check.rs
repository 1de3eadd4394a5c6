//! `millstream check`: whether a pipeline file is right and what it matches. Changes nothing.

use std::path::Path;

use millstream_core::config::Config;

use super::client::block_on;
use super::failure::Failure;
use super::number::{bytes, counted};
use super::out;
use crate::source::list::Listing;

/// Prints the source files of a pipeline file that parsed.
pub(super) fn check(config: &Config, pipeline_file: &Path) -> Result<(), Failure> {
    out::line(&format!("`{}` is right: pipeline `{}`", pipeline_file.display(), config.pipeline.name))?;
    let excluded = [config.pipeline.data_dir.clone(), config.archive.path.clone()];
    let listing = Listing::new(&config.source.path, config.source.recursive, &config.base_dir, &excluded)?;
    let found = block_on(async { Ok(listing.list().await?) })?;
    if found.is_empty() {
        let text = format!("nothing matches `source.path` = {}", listing.patterns());
        if config.source.watch {
            return out::line(&format!("{text}; with `watch = true` a run waits for files"));
        }
        return Err(Failure::Refused(text + "; correct it, or set `watch = true` to wait for files"));
    }
    let size = found.iter().map(|file| file.size).sum();
    out::line(&format!("`source.path` matches {}, {}:", counted(found.len() as u64, "file"), bytes(size)))?;
    for file in &found {
        out::line(&format!("  {:>10}  {}", bytes(file.size), file.file))?;
    }
    Ok(())
}
