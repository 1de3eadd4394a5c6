use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use millstream_core::config::Config;
use tempfile::TempDir;

use super::{Attempt, Caller, Login, Way, same_bytes};
use crate::users::{self, Role, Users, UsersError};

const PASSWORD: &str = "correct horse battery";

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn users(&self) -> PathBuf {
        self.folder.path().join("millstream-data/users.json")
    }

    fn change<T>(&self, change: impl FnOnce(&mut Users) -> Result<T, UsersError>) -> T {
        users::change(&self.users(), change).unwrap()
    }

    fn add(&self, name: &str, role: Role) {
        self.change(|users| users.add(name, role, PASSWORD, String::new()));
    }

    fn login(&self, more: &str) -> Login {
        let text = format!("[pipeline]\nname = \"t\"\n[source]\npath = \"*\"\n[server]\n{more}");
        let config = Config::parse(&text, &self.folder.path().join("pipeline.toml"), &|_| None).unwrap();
        Login::new(&config, config.server.http.ip()).unwrap()
    }
}

fn with(name: header::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

fn bearer(token: &str) -> HeaderMap {
    with(header::AUTHORIZATION, &format!("Bearer {token}"))
}

async fn log_in(login: &Login, name: &str, password: &str) -> Attempt {
    login.log_in("10.0.0.1".parse().unwrap(), name.to_owned(), password.to_owned(), false).await.unwrap()
}

/// The headers of a session.
async fn session(login: &Login, name: &str) -> HeaderMap {
    match log_in(login, name, PASSWORD).await {
        Attempt::In(_, cookie) => with(header::COOKIE, cookie.split(';').next().unwrap()),
        Attempt::Wrong | Attempt::Later(_) => panic!("`{name}` is not let in"),
    }
}

fn caller(login: &Login, headers: &HeaderMap) -> Option<(Option<String>, Role, Way)> {
    login.caller(headers).unwrap().map(|Caller { name, role, by }| (name, role, by))
}

fn ada(role: Role, by: Way) -> (Option<String>, Role, Way) {
    (Some("ada".to_owned()), role, by)
}

#[test]
fn without_users_and_token_this_machine_may_do_everything() {
    let login = Place::new().login("");
    assert_eq!(caller(&login, &HeaderMap::new()), Some((None, Role::Operator, Way::None)));
    assert!(login.lets_somebody_in());
    assert!(!Place::new().login("http = \"0.0.0.0:80\"").lets_somebody_in());
}

#[test]
fn tokens_of_the_run_and_of_the_pipeline_file_are_an_operators() {
    let place = Place::new();
    let login = place.login("token = \"open-sesame\"");
    assert_eq!(caller(&login, &HeaderMap::new()), None);
    for token in ["open-sesame", login.run_token()] {
        assert_eq!(caller(&login, &bearer(token)), Some((None, Role::Operator, Way::Token)));
    }
    assert_ne!(login.run_token(), place.login("").run_token());
    // With users, the commands of this machine go on.
    place.add("ada", Role::Viewer);
    assert_eq!(caller(&login, &bearer(login.run_token())), Some((None, Role::Operator, Way::Token)));
    assert_eq!(caller(&login, &bearer("open")), None);
}

#[tokio::test]
async fn a_session_is_what_its_user_is_now() {
    let place = Place::new();
    let login = place.login("");
    place.add("ada", Role::Viewer);
    assert_eq!(caller(&login, &HeaderMap::new()), None, "the first user shuts the door of a process that runs");
    let mine = session(&login, "ada").await;
    assert_eq!(caller(&login, &mine), Some(ada(Role::Viewer, Way::Password)));
    place.change(|users| users.set_role("ada", Role::Operator));
    assert_eq!(caller(&login, &mine), Some(ada(Role::Operator, Way::Password)));
    assert_eq!(caller(&place.login(""), &mine), Some(ada(Role::Operator, Way::Password)), "a restart keeps sessions");
    place.change(|users| users.set_password("ada", "another long password"));
    assert_eq!(caller(&login, &mine), None);
}

#[tokio::test]
async fn who_is_taken_out_is_out_and_nobody_comes_in_for_them() {
    let place = Place::new();
    place.add("ada", Role::Operator);
    let token = place.change(|users| users.add_token("ada", "x", String::new()));
    let login = place.login("");
    let mine = session(&login, "ada").await;
    assert_eq!(caller(&login, &bearer(&token)), Some(ada(Role::Operator, Way::Token)));
    place.change(|users| users.remove("ada"));
    for headers in [&mine, &bearer(&token), &HeaderMap::new()] {
        assert_eq!(caller(&login, headers), None);
    }
    std::fs::remove_file(place.users()).unwrap();
    assert_eq!(caller(&login, &HeaderMap::new()), None, "the door does not open when the file is gone");
    // Another one of that name is not who had the session.
    place.add("ada", Role::Operator);
    assert_eq!(caller(&login, &mine), None);
}

#[test]
fn a_file_that_cannot_be_read_shuts_the_door() {
    let place = Place::new();
    let login = place.login("");
    place.add("ada", Role::Operator);
    assert_eq!(caller(&login, &HeaderMap::new()), None);
    std::fs::write(place.users(), "{").unwrap();
    assert!(login.caller(&HeaderMap::new()).is_err());
    assert!(login.caller(&bearer(login.run_token())).is_ok(), "commands of this machine can still look");
}

#[tokio::test]
async fn wrong_logins_have_to_wait_whether_there_is_such_a_user_or_not() {
    for name in ["ada", "nobody"] {
        let place = Place::new();
        place.add("ada", Role::Viewer);
        let login = place.login("");
        for _ in 0..5 {
            assert!(matches!(log_in(&login, name, "wrong").await, Attempt::Wrong), "{name}");
        }
        assert!(matches!(log_in(&login, name, PASSWORD).await, Attempt::Later(_)), "{name}");
    }
}

#[tokio::test]
async fn no_more_logins_wait_than_there_are_places() {
    let place = Place::new();
    place.add("ada", Role::Viewer);
    let login = Arc::new(place.login(""));
    let turns = Arc::clone(&login.checks).acquire_many_owned(2).await.unwrap();
    let waiting = (1..=super::LOGINS_AT_ONCE).map(|number| {
        let login = Arc::clone(&login);
        let address = format!("10.0.{number}.1").parse().unwrap();
        async move { login.log_in(address, format!("user{number}"), "wrong".to_owned(), false).await.is_ok() }
    });
    let mut waiting = Box::pin(futures::future::join_all(waiting));
    assert!(futures::poll!(&mut waiting).is_pending());
    let refused = login.log_in("10.9.9.9".parse().unwrap(), "ada".to_owned(), PASSWORD.to_owned(), false).await;
    assert!(refused.is_err());
    drop(turns);
    assert!(waiting.await.iter().all(|&answered| answered));
    assert!(matches!(log_in(&login, "ada", PASSWORD).await, Attempt::In(..)));
}

#[test]
fn bytes_are_the_same_only_when_all_are() {
    assert!(same_bytes("", ""));
    assert!(same_bytes("token", "token"));
    for other in ["", "toke", "tokens", "Token"] {
        assert!(!same_bytes("token", other));
    }
}
