//! Passwords and tokens: what is kept of them, and whether one that is shown is the one that was meant.

use std::fmt::Write as _;

use argon2::password_hash::rand_core::{OsRng, RngCore};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

/// Letters that a password has at least.
pub(crate) const MIN_PASSWORD_LETTERS: usize = 12;
/// Bytes that a password has at most, so that nobody has us hash a book.
pub(crate) const MAX_PASSWORD_BYTES: usize = 1024;

/// What OWASP advises for argon2id: 19 MiB, two passes, one lane.
const FOR_PASSWORDS: Params = params(19 * 1024, 2);
/// The least that there is. A token is 256 bits of chance, which nobody guesses however fast they are, and it is shown with each request.
const FOR_TOKENS: Params = params(Params::MIN_M_COST, Params::MIN_T_COST);

/// A hash with the parameters of passwords that no password is known for. Whoever has no name here is compared with it, for as long as
/// it takes with one.
const OF_NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$bm9ib2R5bm9ib2R5bm9ib2R5bm9ib2R5bm9ib2R5AAA";

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// Too short a password.
    #[error("the password is too short; it takes {MIN_PASSWORD_LETTERS} letters at least")]
    Short,
    /// Too long a password.
    #[error("the password is too long; it takes {MAX_PASSWORD_BYTES} bytes at most")]
    Long,
    /// The library refused.
    #[error("hashing failed: {0}")]
    Failed(argon2::password_hash::Error),
}

const fn params(memory_kib: u32, passes: u32) -> Params {
    match Params::new(memory_kib, passes, 1, None) {
        Ok(params) => params,
        // Only ever while it is compiled.
        Err(_) => Params::DEFAULT,
    }
}

/// So many bytes of the system's chance, as text.
pub(crate) fn random_hex<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    OsRng.fill_bytes(&mut bytes);
    bytes.iter().fold(String::with_capacity(2 * BYTES), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is kept of a password. Takes its time: never on a thread that serves.
pub(crate) fn hash_password(password: &str) -> Result<String, HashError> {
    if password.chars().count() < MIN_PASSWORD_LETTERS {
        return Err(HashError::Short);
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(HashError::Long);
    }
    hash(FOR_PASSWORDS, password)
}

/// What is kept of a token.
pub(crate) fn hash_token(token: &str) -> Result<String, HashError> {
    hash(FOR_TOKENS, token)
}

/// Whether `kept` is the hash of `shown`.
pub(crate) fn is_of(kept: &str, shown: &str) -> bool {
    let Ok(kept) = PasswordHash::new(kept) else { return false };
    // The parameters are those of the hash.
    Argon2::default().verify_password(shown.as_bytes(), &kept).is_ok()
}

/// Whether `shown` is the password that `kept` is the hash of; no without one, after the same time. Takes its time: never on a thread
/// that serves.
pub(crate) fn is_password(kept: Option<&str>, shown: &str) -> bool {
    let is_right = is_of(kept.unwrap_or(OF_NOBODY), shown);
    kept.is_some() && is_right
}

fn hash(params: Params, secret: &str) -> Result<String, HashError> {
    let salt = SaltString::generate(&mut OsRng);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password(secret.as_bytes(), &salt).map(|hash| hash.to_string()).map_err(HashError::Failed)
}

#[cfg(test)]
mod tests {
    use super::{OF_NOBODY, hash_password, hash_token, is_of, is_password, random_hex};
    use argon2::password_hash::PasswordHash;
    use argon2::{Argon2, PasswordVerifier};

    #[test]
    fn only_the_password_itself_is_that_of_its_hash() {
        let kept = hash_password("correct horse battery").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(is_password(Some(&kept), "correct horse battery"));
        for wrong in ["", "correct horse batter", "correct horse battery ", "Correct horse battery"] {
            assert!(!is_password(Some(&kept), wrong), "{wrong}");
        }
        assert_ne!(kept, hash_password("correct horse battery").unwrap());
        assert!(!is_password(Some("no hash"), "correct horse battery"));
    }

    #[test]
    fn nobody_has_a_password_but_is_compared_like_everybody() {
        assert!(!is_password(None, "correct horse battery"));
        let nobody = PasswordHash::new(OF_NOBODY).unwrap();
        let real = hash_password("correct horse battery").unwrap();
        let real = PasswordHash::new(&real).unwrap();
        assert_eq!((nobody.algorithm, nobody.version, &nobody.params), (real.algorithm, real.version, &real.params));
        assert_eq!(nobody.hash.map(|hash| hash.len()), real.hash.map(|hash| hash.len()));
        let compared = Argon2::default().verify_password(b"x", &nobody);
        assert_eq!(compared, Err(argon2::password_hash::Error::Password), "it is computed, not refused by its form");
    }

    #[test]
    fn a_password_has_its_bounds() {
        assert!(hash_password("elevenchars").unwrap_err().to_string().contains("12 letters"));
        assert!(hash_password(&"x".repeat(1025)).unwrap_err().to_string().contains("1024 bytes"));
        assert!(hash_password("zwölf Zeiche").is_ok());
    }

    #[test]
    fn tokens_are_kept_as_hashes_that_are_cheap() {
        let kept = hash_token("mill_1_2").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{kept}");
        assert!(is_of(&kept, "mill_1_2") && !is_of(&kept, "mill_1_3"));
    }

    #[test]
    fn chance_has_the_length_that_was_asked_for_and_comes_once() {
        let (one, other) = (random_hex::<16>(), random_hex::<16>());
        assert_eq!((one.len(), other.len()), (32, 32));
        assert_ne!(one, other);
    }
}
