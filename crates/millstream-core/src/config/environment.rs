//! `${NAME}` in a text of the pipeline file.

/// Why a text cannot be completed from the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EnvironmentError {
    /// The variable is not set.
    #[error("the environment has no `{name}`; set it, or write `$${{{name}}}` for the text itself")]
    Missing {
        /// Its name.
        name: String,
    },
    /// What stands between the braces is no name, or the brace is not closed.
    #[error("`${{` without the name of a variable and `}}` behind it; write `$${{` for the text itself")]
    Form,
}

/// The text with each `${NAME}` replaced by its value and each `$${` by `${`. Values are not looked into again.
pub(super) fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, EnvironmentError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            expanded.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let (name, after) = after.split_once('}').ok_or(EnvironmentError::Form)?;
            if !is_name(name) {
                return Err(EnvironmentError::Form);
            }
            let value = environment(name).ok_or_else(|| EnvironmentError::Missing { name: name.to_owned() })?;
            expanded.push_str(&value);
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn is_name(name: &str) -> bool {
    let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    name.chars().all(letters) && name.starts_with(|first: char| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, EnvironmentError> {
        expand(text, &|name| match name {
            "USER" => Some("ada".to_owned()),
            "NESTED" => Some("${USER}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn names_take_their_values_and_other_dollars_stay() {
        let cases = [
            ("plain", "plain"),
            ("/home/${USER}/x", "/home/ada/x"),
            ("${USER}${USER}", "adaada"),
            ("[${EMPTY}]", "[]"),
            ("${NESTED}", "${USER}"),
            ("$${USER}", "${USER}"),
            ("$$${USER}", "$${USER}"),
            ("a$", "a$"),
            ("^x$|$y", "^x$|$y"),
            ("é${USER}é", "éadaé"),
        ];
        for (text, value) in cases {
            assert_eq!(expanded(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn a_missing_or_malformed_name_is_an_error() {
        assert_eq!(expanded("${HOME_DIR}"), Err(EnvironmentError::Missing { name: "HOME_DIR".to_owned() }));
        for text in ["${", "${}", "${a b}", "${1}", "x{2} ${"] {
            assert_eq!(expanded(text), Err(EnvironmentError::Form), "{text}");
        }
    }
}
