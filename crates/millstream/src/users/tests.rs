use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Role, UsersError, any, change, read};

const PASSWORD: &str = "correct horse battery";

fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("data").join("users.json");
    (folder, path)
}

fn add(path: &std::path::Path, name: &str, role: Role) -> Result<(), UsersError> {
    change(path, |users| users.add(name, role, PASSWORD, "2026-01-01T00:00:00Z".to_owned()))
}

#[test]
fn users_are_kept_in_a_file_for_their_owner_without_their_passwords() {
    let (_folder, path) = place();
    assert!(!any(&path) && read(&path).unwrap().is_empty());
    add(&path, "ada", Role::Operator).unwrap();
    add(&path, "bob@example.org", Role::Viewer).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(PASSWORD) && text.contains("\"viewer\""), "{text}");
    let users = read(&path).unwrap();
    let names: Vec<(&str, Role)> = users.iter().map(|user| (user.name.as_str(), user.role)).collect();
    assert_eq!(names, [("ada", Role::Operator), ("bob@example.org", Role::Viewer)]);
    assert!(any(&path));
}

#[test]
fn what_cannot_be_done_leaves_the_file_as_it_was() {
    let (_folder, path) = place();
    add(&path, "ada", Role::Viewer).unwrap();
    let before = std::fs::read_to_string(&path).unwrap();
    let told = |result: Result<(), UsersError>| result.unwrap_err().to_string();
    assert!(told(add(&path, "ada", Role::Viewer)).contains("there is a user `ada`"));
    for name in ["", "a b", "a/b", "a;b", "é", &"x".repeat(65)] {
        assert!(told(add(&path, name, Role::Viewer)).contains("cannot be the name"), "{name}");
    }
    assert!(told(change(&path, |users| users.remove("bob"))).contains("no user `bob`; there are: `ada`"));
    assert!(told(change(&path, |users| users.set_password("ada", "short"))).contains("12 letters"));
    assert!(told(change(&path, |users| users.revoke("00").map(|_| ()))).contains("no user has a token `00`"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
}

#[test]
fn another_password_is_another_generation_and_another_role_is_not() {
    let (_folder, path) = place();
    add(&path, "ada", Role::Viewer).unwrap();
    let generation = || read(&path).unwrap().get("ada").unwrap().generation.clone();
    let first = generation();
    change(&path, |users| users.set_role("ada", Role::Operator)).unwrap();
    assert_eq!(generation(), first);
    change(&path, |users| users.set_password("ada", "another long password")).unwrap();
    assert_ne!(generation(), first);
    // Somebody else of that name is somebody else.
    let second = generation();
    change(&path, |users| users.remove("ada")).unwrap();
    add(&path, "ada", Role::Viewer).unwrap();
    assert_ne!(generation(), second);
}

#[test]
fn a_token_is_told_once_and_known_until_it_is_revoked() {
    let (_folder, path) = place();
    add(&path, "ada", Role::Viewer).unwrap();
    let token = change(&path, |users| users.add_token("ada", "reports", String::new())).unwrap();
    let other = change(&path, |users| users.add_token("ada", "other", String::new())).unwrap();
    assert!(!std::fs::read_to_string(&path).unwrap().contains(&token));
    let users = read(&path).unwrap();
    let (user, found) = users.of_token(&token).unwrap();
    assert_eq!((user.name.as_str(), found.label.as_str()), ("ada", "reports"));
    let (mine, its) = (token.rsplit_once('_').unwrap(), other.rsplit_once('_').unwrap());
    let mixed = format!("{}_{}", mine.0, its.1);
    for wrong in ["", "mill", "mill_", "mill__", &token[..token.len() - 1], &format!("{token}0"), &mixed] {
        assert!(users.of_token(wrong).is_none(), "{wrong}");
    }
    let id = found.id.clone();
    let revoked = change(&path, |users| users.revoke(&id)).unwrap();
    assert_eq!(revoked, ("ada".to_owned(), "reports".to_owned()));
    let users = read(&path).unwrap();
    assert!(users.of_token(&token).is_none() && users.of_token(&other).is_some());
}

#[test]
fn a_file_that_is_damaged_or_open_to_others_lets_nobody_in() {
    let (_folder, path) = place();
    add(&path, "ada", Role::Viewer).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let told = || read(&path).err().unwrap().to_string();
    std::fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    assert!(told().contains("its format is 2, and 1 is known"), "{}", told());
    std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    assert!(told().contains("no file of users"), "{}", told());
    assert!(any(&path), "nobody takes it for a file without users");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o620)).unwrap();
    assert!(told().contains("chmod 600"), "{}", told());
}

#[test]
fn changes_at_one_time_lose_none() {
    let (_folder, path) = place();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let path = &path;
            scope.spawn(move || add(path, name, Role::Viewer).unwrap());
        }
    });
    assert_eq!(read(&path).unwrap().iter().count(), 4);
}
