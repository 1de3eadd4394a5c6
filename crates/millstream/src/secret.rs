//! Secrets that stand in the pipeline file or in files of their own.

use millstream_core::config::SecretSource;

/// A file with a secret that cannot be read.
pub(crate) struct Unreadable {
    /// The file.
    pub(crate) path: String,
    /// Why.
    pub(crate) source: std::io::Error,
}

/// The secret itself, never to be printed; of a file without the end of its last line. Blocks.
pub(crate) fn reveal(secret: &SecretSource) -> Result<String, Unreadable> {
    match secret {
        SecretSource::Value(secret) => Ok(secret.reveal().to_owned()),
        SecretSource::File(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| Unreadable { path: path.display().to_string(), source })?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}
