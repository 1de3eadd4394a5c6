//! The one place that reads the environment.

/// A variable of the environment; none when it is not set or not text.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
