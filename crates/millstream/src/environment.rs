//! The one place that reads the environment.

/// The variables whose names begin so, those that are text.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn variables(prefix: &str) -> Vec<(String, String)> {
    let all =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    all.filter(|(name, _)| name.starts_with(prefix)).collect()
}

/// A variable of the environment; none when it is not set or not text.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
