//! The sessions that a publisher holds on a server, by their ids, in a file: whoever comes after one that was killed ends them, and what
//! they execute, which the server would go on with for minutes.

use std::path::PathBuf;

use tracing::warn;
use uuid::Uuid;

/// Ids that are kept at most, the newest: a run makes a new session after each trouble.
const MOST: usize = 16;

/// The file, and what stands in it.
#[derive(Debug)]
pub(super) struct Held {
    /// None: nothing is kept.
    path: Option<PathBuf>,
    /// Of earlier processes.
    earlier: Vec<Uuid>,
    /// Of this one.
    now: Vec<Uuid>,
}

impl Held {
    /// Reads what an earlier process left. A file that cannot be read is as good as none: servers end sessions by themselves, later.
    pub(super) fn read(path: Option<PathBuf>) -> Self {
        let text = path.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let earlier = text.lines().filter_map(|line| Uuid::parse_str(line).ok()).collect();
        Self { path, earlier, now: Vec::new() }
    }

    /// The sessions of earlier processes, once.
    pub(super) fn take_earlier(&mut self) -> Vec<Uuid> {
        std::mem::take(&mut self.earlier)
    }

    /// Takes note of a session before anything is executed in it.
    pub(super) fn add(&mut self, id: &str) {
        self.now.extend(Uuid::parse_str(id));
        self.now.drain(..self.now.len().saturating_sub(MOST));
        self.write();
    }

    /// Forgets all, when they were ended.
    pub(super) fn clear(&mut self) {
        self.now.clear();
        self.write();
    }

    /// All sessions of this process.
    pub(super) fn now(&self) -> &[Uuid] {
        &self.now
    }

    fn write(&self) {
        let Some(path) = &self.path else { return };
        let lines: Vec<String> = self.earlier.iter().chain(&self.now).map(ToString::to_string).collect();
        let text = lines.join("\n");
        let written = if text.is_empty() { std::fs::remove_file(path) } else { std::fs::write(path, text) };
        match written {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                warn!(file = %path.display(), %error, "sessions with Spark are not noted down; a killed run leaves them to the server");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_gets_what_a_killed_one_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = Some(folder.path().join("sessions"));
        let ids: Vec<Uuid> = (0..20).map(|_| Uuid::new_v4()).collect();
        let mut killed = Held::read(path.clone());
        assert!(killed.take_earlier().is_empty());
        for id in &ids {
            killed.add(&id.to_string());
        }
        let mut next = Held::read(path.clone());
        let new = Uuid::new_v4();
        next.add(&new.to_string());
        // Killed before it had ended them: they are still there.
        let mut last = Held::read(path.clone());
        let left = last.take_earlier();
        assert_eq!(left, [&ids[4..], &[new]].concat());
        last.add(&new.to_string());
        assert_eq!(last.now(), [new]);
        last.clear();
        assert!(!folder.path().join("sessions").exists());
        assert!(Held::read(path).take_earlier().is_empty());
    }
}
