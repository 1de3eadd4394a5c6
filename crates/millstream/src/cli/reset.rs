//! `millstream reset`: start over, asking first.

use std::io::{BufRead, IsTerminal};

use millstream_core::config::Config;

use super::client::block_on;
use super::failure::Failure;
use super::out;
use super::terminal::Terminal;
use crate::pipeline::PipelineError;
use crate::{archive as archived, data_dir};

/// Removes the log and the state of a pipeline, and its archive when asked to.
pub(super) fn reset(config: &Config, archive: bool, yes: bool, terminal: &Terminal) -> Result<(), Failure> {
    let planned = data_dir::reset(config, archive, true)?;
    let keys = if archive {
        block_on(async {
            archived::keys(&config.archive.path).await.map_err(|error| PipelineError::from(error).into())
        })?
    } else {
        Vec::new()
    };
    if config.stream.kafka.is_some() {
        let topic = &config.stream.topic;
        terminal.say(&format!(
            "the Kafka topics `{topic}` and `{topic}.…` stay, with what they know as published: delete them too, or name another \
             `stream.topic`. See that no other process of this pipeline runs"
        ));
    }
    if planned.paths.is_empty() && keys.is_empty() {
        return out::line(&format!("there is nothing to remove: pipeline `{}` has not run here", config.pipeline.name));
    }
    if !yes {
        terminal.say(&format!("pipeline `{}`: this will remove, for ever:", config.pipeline.name));
        for path in &planned.paths {
            terminal.say(&format!("  {}", path.display()));
        }
        if !keys.is_empty() {
            terminal.say(&format!("  {} objects below {}", keys.len(), config.archive.path));
        }
        if !archive {
            terminal
                .say("the archive stays; a run that goes on with it needs `reset --archive` or another `archive.path`");
        }
        if !confirmed(terminal)? {
            return out::line("nothing was removed");
        }
    }
    let removed = data_dir::reset(config, archive, false)?;
    for path in &removed.paths {
        out::line(&format!("removed {}", path.display()))?;
    }
    if !keys.is_empty() {
        let count = keys.len();
        block_on(async {
            archived::delete(&config.archive.path, &keys).await.map_err(|error| PipelineError::from(error).into())
        })?;
        out::line(&format!("removed {count} objects below {}", config.archive.path))?;
    }
    Ok(())
}

fn confirmed(terminal: &Terminal) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Refused("nobody to ask, for the input is not a terminal: say `--yes`".to_owned()));
    }
    terminal.say("remove it? [y/N]");
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(|error| Failure::Failed(format!("reading the answer: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
