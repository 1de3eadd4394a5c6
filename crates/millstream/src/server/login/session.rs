//! Sessions: a signed cookie that says who logged in and when. The server keeps none of them, only the key.
//!
//! The key is a file of the data folder, so that sessions outlive a restart; without that file there are none. Cookies are not told apart
//! by port: each key has a name of its own, so that two pipelines of one machine do not take each other's cookie away.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use cookie::{Cookie, CookieJar, Key, SameSite};
use serde::{Deserialize, Serialize};

use super::watched::{Unreadable, Watched};
use crate::chain::chain;
use crate::data_dir::files::{read_if_there, write_atomically};
use crate::users::UsersError;
use crate::users::secrets::random_hex;

/// Name of the file in the data folder.
const FILE: &str = "session.key";
const KEY_BYTES: usize = 64;
/// How long a session lasts.
const LIFETIME: Duration = Duration::from_hours(12);

/// The key of sessions, made when it is first needed.
pub(super) struct Keys {
    path: PathBuf,
    key: Watched<Option<NamedKey>>,
    making: Mutex<()>,
}

struct NamedKey {
    /// Of the cookie.
    name: String,
    key: Key,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    id: String,
    key: String,
}

/// Who logged in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// As whom.
    pub(super) name: String,
    /// By which of their passwords.
    pub(super) generation: String,
}

impl Keys {
    /// Of a data folder.
    pub(super) fn new(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        Self { key: Watched::new(&path, read), path, making: Mutex::new(()) }
    }

    /// What a request says of a session; none without one, or with one that is too old or not ours.
    pub(super) fn session(&self, headers: &HeaderMap, now_micros: i64) -> Result<Option<Session>, Unreadable> {
        let mut sent = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).peekable();
        if sent.peek().is_none() {
            return Ok(None);
        }
        let key = self.key.current()?;
        let Some(NamedKey { name, key }) = &*key else { return Ok(None) };
        let cookies = sent.flat_map(|sent| Cookie::split_parse(sent.to_owned())).filter_map(Result::ok);
        let mut jar = CookieJar::new();
        cookies.filter(|cookie| cookie.name() == name).for_each(|cookie| jar.add_original(cookie));
        let signed = jar.signed(key).get(name);
        Ok(signed.and_then(|cookie| parse(cookie.value(), now_micros)))
    }

    /// The cookie of a new session.
    pub(super) fn cookie(
        &self,
        name: &str,
        generation: &str,
        is_secure: bool,
        now_micros: i64,
    ) -> Result<String, Unreadable> {
        let key = self.key()?;
        let Some(NamedKey { name: cookie_name, key }) = &*key else { return Err(Unreadable) };
        let value = format!("{}:{generation}:{name}", now_micros / 1_000_000);
        let mut jar = CookieJar::new();
        jar.signed_mut(key).add(Cookie::new(cookie_name.clone(), value));
        let signed = jar.get(cookie_name).map(|cookie| cookie.value().to_owned()).unwrap_or_default();
        let lifetime = cookie::time::Duration::try_from(LIFETIME).map_err(|_| Unreadable)?;
        Ok(attributes(cookie_name.clone(), signed, is_secure).max_age(lifetime).to_string())
    }

    /// A cookie that takes the place of a session's and is gone at once; none where there can be no session.
    pub(super) fn no_cookie(&self, is_secure: bool) -> Result<Option<String>, Unreadable> {
        let key = self.key.current()?;
        let gone =
            |key: &NamedKey| attributes(key.name.clone(), String::new(), is_secure).removal().build().to_string();
        Ok((*key).as_ref().map(gone))
    }

    /// The key, which is made when there is none.
    fn key(&self) -> Result<std::sync::Arc<Option<NamedKey>>, Unreadable> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let key = self.key.current()?;
        if key.is_some() {
            return Ok(key);
        }
        let kept = Kept { id: random_hex::<4>(), key: random_hex::<KEY_BYTES>() };
        let written = serde_json::to_string(&kept)
            .map_err(|error| error.to_string())
            .and_then(|text| write_atomically(&self.path, &(text + "\n")).map_err(|error| chain(&error)));
        written.map_err(|error| {
            tracing::error!(error, "nobody can log in: the key of sessions cannot be kept");
            Unreadable
        })?;
        self.key.current()
    }
}

fn attributes(name: String, value: String, is_secure: bool) -> cookie::CookieBuilder<'static> {
    Cookie::build((name, value)).http_only(true).same_site(SameSite::Strict).path("/").secure(is_secure)
}

fn read(path: &Path) -> Result<Option<NamedKey>, UsersError> {
    let Some(text) = read_if_there(path)? else { return Ok(None) };
    let damaged = |reason: &str| UsersError::Key { path: path.to_owned(), reason: reason.to_owned() };
    let Kept { id, key } = serde_json::from_str(&text).map_err(|error| damaged(&error.to_string()))?;
    let bytes = from_hex(&key).filter(|bytes| bytes.len() == KEY_BYTES);
    let is_name = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match bytes.and_then(|bytes| Key::try_from(bytes.as_slice()).ok()).filter(|_| is_name) {
        Some(key) => Ok(Some(NamedKey { name: format!("millstream-{id}"), key })),
        None => Err(damaged("it holds no key of 64 bytes")),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    digits.map(|pair| u8::from_str_radix(pair.filter(|pair| pair.len() == 2)?, 16).ok()).collect()
}

/// A value that was signed here: when it was made, in seconds, the generation and the name.
fn parse(value: &str, now_micros: i64) -> Option<Session> {
    let mut parts = value.splitn(3, ':');
    let (made, generation, name) = (parts.next()?, parts.next()?, parts.next()?);
    let age = (now_micros / 1_000_000).checked_sub(made.parse().ok()?)?;
    let lasts = i64::try_from(LIFETIME.as_secs()).ok()?;
    (age < lasts).then(|| Session { name: name.to_owned(), generation: generation.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use axum::http::{HeaderMap, HeaderValue, header};
    use tempfile::TempDir;

    use super::{FILE, Keys, Session};

    const NOON: i64 = 1_800_000_000_000_000;
    const HOUR: i64 = 3600 * 1_000_000;

    fn sent(cookies: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookies).unwrap())])
    }

    fn pair(set_cookie: &str) -> &str {
        set_cookie.split(';').next().unwrap()
    }

    fn of_ada() -> Session {
        Session { name: "ada@example.org".to_owned(), generation: "a1b2".to_owned() }
    }

    fn logged_in(keys: &Keys) -> String {
        keys.cookie("ada@example.org", "a1b2", false, NOON).unwrap()
    }

    #[test]
    fn a_session_is_known_again_until_it_is_too_old() {
        let folder = TempDir::new().unwrap();
        let keys = Keys::new(folder.path());
        assert_eq!(keys.session(&sent("a=b"), NOON), Ok(None));
        assert!(!folder.path().join(FILE).exists(), "a key is made when somebody logs in");
        let cookie = logged_in(&keys);
        let headers = sent(&format!("other=1; {}; more=2", pair(&cookie)));
        assert_eq!(keys.session(&headers, NOON + HOUR), Ok(Some(of_ada())));
        assert_eq!(keys.session(&headers, NOON + 12 * HOUR - 1), Ok(Some(of_ada())));
        assert_eq!(keys.session(&headers, NOON + 12 * HOUR), Ok(None));
        // A restart, and two cookies in two headers, as HTTP/2 may have it.
        let mut headers = sent("other=1");
        headers.append(header::COOKIE, HeaderValue::from_str(pair(&cookie)).unwrap());
        assert_eq!(Keys::new(folder.path()).session(&headers, NOON), Ok(Some(of_ada())));
        let mode = folder.path().join(FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_and_other_sites() {
        let folder = TempDir::new().unwrap();
        let keys = Keys::new(folder.path());
        let plain = logged_in(&keys);
        for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
            assert!(plain.split("; ").any(|found| found == attribute), "{attribute}: {plain}");
        }
        assert!(!plain.contains("Secure"), "{plain}");
        assert!(keys.cookie("ada", "a1", true, NOON).unwrap().contains("; Secure"));
        let gone = keys.no_cookie(false).unwrap().unwrap();
        assert!(gone.starts_with(plain.split('=').next().unwrap()) && gone.contains("Max-Age=0"), "{gone}");
    }

    #[test]
    fn what_was_not_signed_by_this_key_is_no_session() {
        let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (keys, others) = (Keys::new(folder.path()), Keys::new(other.path()));
        let cookie = logged_in(&keys);
        let (name, value) = pair(&cookie).split_once('=').unwrap();
        let foreign = logged_in(&others);
        let foreign_value = pair(&foreign).split_once('=').unwrap().1;
        let forged = value.replace("ada@", "bob@");
        assert_ne!(forged, value);
        for wrong in ["", "x", &value[1..], &forged, foreign_value, &value[44..]] {
            assert_eq!(keys.session(&sent(&format!("{name}={wrong}")), NOON), Ok(None), "{wrong}");
        }
        assert_eq!(keys.session(&sent(pair(&foreign)), NOON), Ok(None));
    }

    #[test]
    fn without_the_key_there_are_no_sessions() {
        let folder = TempDir::new().unwrap();
        let keys = Keys::new(folder.path());
        let cookie = logged_in(&keys);
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        assert_eq!(keys.session(&sent(pair(&cookie)), NOON), Ok(None));
        assert_ne!(pair(&logged_in(&keys)), pair(&cookie));
        assert_eq!(keys.session(&sent(pair(&cookie)), NOON), Ok(None));
        std::fs::write(folder.path().join(FILE), "{\"id\":\"a\",\"key\":\"00\"}").unwrap();
        assert!(keys.session(&sent(pair(&cookie)), NOON).is_err());
    }
}
