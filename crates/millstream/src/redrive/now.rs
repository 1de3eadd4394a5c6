//! The pipeline file as it stands now, beside the one that runs.

use std::path::Path;
use std::sync::Arc;

use millstream_core::config::{Config, Outside};

use super::RedriveError;
use crate::environment::variable;
use crate::profile::views::syntax_problem;

/// The pipeline file as it stands now, with the rules of `lines` in place of those of the same names.
///
/// # Errors
/// It has mistakes, or settings were changed with which only a start can begin.
pub(super) fn rules(running: &Config, lines: Option<&str>) -> Result<Arc<Config>, RedriveError> {
    let refused = |text: String| RedriveError::Refused(text);
    let text = std::fs::read_to_string(&running.file)
        .map_err(|error| refused(format!("cannot read the pipeline file `{}`: {error}", running.file.display())))?;
    // Who may log in decides whether a start is refused; this is none.
    let outside = Outside { view_problem: &syntax_problem, has_users: &|_| true };
    let config = Config::parse_with(&text, &running.file, &variable, &outside);
    let config = config.map_err(|errors| refused(errors.to_string()))?;
    if let Some(section) = changed(running, &config) {
        return Err(refused(format!(
            "`{}` has other settings in `{section}` than those that the pipeline runs with: only rules, columns, filter and derived columns may \
             have changed; put the rest back, or start the pipeline anew",
            running.file.display()
        )));
    }
    let Some(lines) = lines else { return Ok(Arc::new(config)) };
    let config = config.with_rules(&text, lines, &variable).map_err(|errors| refused(errors.to_string()))?;
    Ok(Arc::new(config))
}

/// Refuses a pipeline file that is not the one that runs.
pub(super) fn check_file(running: &Config, wanted: Option<&str>) -> Result<(), RedriveError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let full = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if full(Path::new(wanted)) == full(&running.file) {
        return Ok(());
    }
    Err(RedriveError::Refused(format!(
        "the pipeline runs with `{}`, and its rules are taken from there: change them there, and name that file",
        running.file.display()
    )))
}

/// A section whose settings a redrive cannot take up.
fn changed(running: &Config, now: &Config) -> Option<&'static str> {
    let same = [
        ("pipeline", format!("{:?}", running.pipeline) == format!("{:?}", now.pipeline)),
        ("source", format!("{:?}", running.source) == format!("{:?}", now.source)),
        ("clean.dedup", running.clean.dedup == now.clean.dedup),
        ("stream", format!("{:?}", running.stream) == format!("{:?}", now.stream)),
        ("archive", format!("{:?}", running.archive) == format!("{:?}", now.archive)),
        ("limits", format!("{:?}", running.limits) == format!("{:?}", now.limits)),
    ];
    same.into_iter().find(|(_, same)| !same).map(|(section, _)| section)
}
