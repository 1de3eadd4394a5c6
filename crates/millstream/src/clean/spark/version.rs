//! Which versions of Spark are taken.

/// The line of versions that was tried.
pub(super) const TRIED: &str = "4.3";

/// What is known of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Of the line that was tried.
    Tried,
    /// May do.
    Untried,
    /// Lacks what queries need: functions, and answers that can be gone on with.
    TooOld,
}

impl Version {
    /// Judges what a server calls itself, as `4.3.0`.
    pub(super) fn of(told: &str) -> Self {
        let mut parts = told.split(['.', '-', ' ']);
        let mut part = || parts.next().and_then(|part| part.parse::<u32>().ok());
        match (part(), part()) {
            (Some(major), _) if major < 4 => Self::TooOld,
            (Some(major), Some(minor)) if format!("{major}.{minor}") == TRIED => Self::Tried,
            // Services have names of their own for their versions.
            _ => Self::Untried,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for (told, version) in [
            ("4.3.0", Version::Tried),
            ("4.3.1-SNAPSHOT", Version::Tried),
            ("4.0.1", Version::Untried),
            ("4.30.0", Version::Untried),
            ("5.0.0", Version::Untried),
            ("17.1.x-scala2.13", Version::Untried),
            ("", Version::Untried),
            ("3.5.6", Version::TooOld),
            ("2.4.8", Version::TooOld),
        ] {
            assert_eq!(Version::of(told), version, "{told}");
        }
    }
}
