//! The pipeline files by which files are cleaned: that of now, and those under which files began that are still under way.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::config::Config;
use millstream_core::plan::check::rules_hash;
use millstream_core::progress::{FilePhase, FileProgress, StartedRules};

use crate::pipeline::PipelineError;
use crate::stream::Recovered;

/// Pipeline files by the hash of their rules.
#[derive(Debug)]
pub(crate) struct Rules {
    now: String,
    by_hash: BTreeMap<String, Arc<Config>>,
}

impl Rules {
    /// Those of now and of every file under way, as far as the log keeps them.
    pub(crate) fn of(config: &Arc<Config>, recovered: &Recovered) -> Result<Self, PipelineError> {
        let now = rules_hash(&config.clean);
        let mut by_hash = BTreeMap::new();
        for rules in recovered.rules.iter().filter(|rules| rules.hash != now) {
            if recovered.files.iter().any(|file| is_under_way(file, &rules.hash)) {
                by_hash.insert(rules.hash.clone(), parsed(config, rules)?);
            }
        }
        by_hash.insert(now.clone(), Arc::clone(config));
        Ok(Self { now, by_hash })
    }

    /// The pipeline file by which a file is cleaned: one that was begun under other rules ends under them. None when these are not
    /// kept any more.
    pub(crate) fn of_file(&self, file: &FileProgress) -> Option<&Arc<Config>> {
        let begun = file.rules_hash.as_ref().filter(|_| file.phase == FilePhase::Started);
        self.by_hash.get(begun.unwrap_or(&self.now))
    }

    /// What has to be kept so that these files can end under the rules that they began with.
    pub(crate) fn under_way<'a>(&self, files: &(impl Iterator<Item = &'a FileProgress> + Clone)) -> Vec<StartedRules> {
        let needed = self.by_hash.iter().filter(|(hash, _)| files.clone().any(|file| is_under_way(file, hash)));
        needed.map(|(hash, config)| StartedRules { hash: hash.clone(), pipeline: config.text.clone() }).collect()
    }
}

fn is_under_way(file: &FileProgress, hash: &str) -> bool {
    file.phase == FilePhase::Started && file.rules_hash.as_deref() == Some(hash)
}

fn parsed(config: &Arc<Config>, rules: &StartedRules) -> Result<Arc<Config>, PipelineError> {
    if rules.pipeline == config.text {
        return Ok(Arc::clone(config));
    }
    let file = config.base_dir.join("pipeline.toml");
    let earlier = Config::parse(&rules.pipeline, &file, &crate::environment::variable);
    earlier.map(Arc::new).map_err(|errors| {
        PipelineError::Refused(format!(
            "a file is under way that began with an earlier pipeline file, which cannot be read any more: {errors}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use millstream_core::progress::Outcomes;

    use super::*;

    fn config(rule: &str) -> Arc<Config> {
        let text = format!("[pipeline]\nname = \"p\"\n[source]\npath = \"x\"\n[clean.filter]\nkeep = \"{rule}\"\n");
        Arc::new(Config::parse(&text, Path::new("/p/pipeline.toml"), &|_| None).unwrap())
    }

    fn file(sequence: u64, phase: FilePhase, rules: &Config) -> FileProgress {
        FileProgress {
            file: format!("{sequence}.parquet"),
            sequence,
            size: 1,
            tag: String::new(),
            found_at_micros: 0,
            phase,
            rows: Some(2),
            next_row: 1,
            rules_hash: Some(rules_hash(&rules.clean)),
            engine: None,
            outcomes: Outcomes::default(),
            retried_from_row: None,
        }
    }

    #[test]
    fn each_file_ends_under_the_rules_that_it_began_with_and_others_are_not_kept() {
        let [now, before, forgotten] = ["a > 1", "a > 2", "a > 3"].map(config);
        let kept = |config: &Config| StartedRules { hash: rules_hash(&config.clean), pipeline: config.text.clone() };
        let files = [
            file(0, FilePhase::Finished, &forgotten),
            file(1, FilePhase::Started, &before),
            file(2, FilePhase::Started, &now),
            file(3, FilePhase::Started, &forgotten),
        ];
        let recovered = Recovered { rules: vec![kept(&before)], files: files.to_vec(), ..Recovered::default() };
        let rules = Rules::of(&now, &recovered).unwrap();
        let found = files.each_ref().map(|file| rules.of_file(file).map(|config| config.text.clone()));
        let text = |config: &Config| Some(config.text.clone());
        assert_eq!(found, [text(&now), text(&before), text(&now), None]);
        assert_eq!(rules.under_way(&files[2..].iter()), [kept(&now)]);
        assert_eq!(rules.under_way(&files.iter()).len(), 2);
    }
}
