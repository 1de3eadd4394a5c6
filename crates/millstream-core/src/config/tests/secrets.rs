use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::config::{Secret, SecretSource};

#[test]
fn a_token_is_masked_in_its_own_message() {
    assert_snapshot!(errors_after_least("[server]\ntoken = \"has spaces in it\"\n"), @r#"
    pipeline.toml:6:9: server.token: the token is empty or has letters that a header cannot carry; allowed: printable ASCII without spaces
      |
    6 | token = ***
      |         ^^^
    "#);
    assert_snapshot!(errors_after_least("[server]\ntoken = \"${EMPTY}\"\n"), @r#"
    pipeline.toml:6:9: server.token: the token is empty or has letters that a header cannot carry; allowed: printable ASCII without spaces
      |
    6 | token = ***
      |         ^^^
    "#);
    assert_snapshot!(errors_after_least("[server]\ntoken = [\"hunter2\"]\n"), @r#"
    pipeline.toml:6:9: server.token: this is a list; allowed: a text in quotes
      |
    6 | token = [***]
      |         ^^^^^
    "#);
}

#[test]
fn a_token_is_masked_in_messages_about_its_neighbours() {
    let text = "[clean.rules.x]\n[server]\nhttp = \"a\" # no token here\n";
    assert!(errors_after_least(text).contains("no token here"));
    assert_snapshot!(errors_of("server = { token = \"hunter2\", htp = 1, http = \"x\" }\n"), @r#"
    pipeline.toml:1:1: pipeline.name: missing, and needed; allowed: letters, digits, `_` and `-`
    pipeline.toml:1:1: source.path: missing, and needed; allowed: a file, glob or directory, or a list of them
    pipeline.toml:1:31: server.htp: unknown key; did you mean `http`? allowed: http, token, users
      |
    1 | server = { token = ***, htp = 1, http = "x" }
      |                         ^^^

    pipeline.toml:1:47: server.http: `x` is not an address; allowed: an IP address and a port, such as "127.0.0.1:8080" or "[::1]:0"
      |
    1 | server = { token = ***, htp = 1, http = "x" }
      |                                         ^^^
    "#);
}

#[test]
fn a_token_is_masked_in_a_comment_beside_a_mistake() {
    let errors = errors_after_least("[server]\nhttp = 1 # token = \"hunter2\"\n");
    assert!(errors.contains("http = 1 # token =***\n"), "{errors}");
}

#[test]
fn a_misspelt_or_misplaced_token_is_masked() {
    assert_snapshot!(errors_after_least("[server]\ntokn = \"hunter2\"\n[limits]\ntoken = \"hunter2\"\n"), @r#"
    pipeline.toml:6:1: server.tokn: unknown key; did you mean `token`? allowed: http, token, users
      |
    6 | tokn = ***
      | ^^^^

    pipeline.toml:8:1: limits.token: unknown key; allowed: memory, query_timeout, query_rows, file_footer, file_columns, file_row_groups, file_depth, file_unpacked, file_expansion, isolated_memory, isolated_time
      |
    8 | token = ***
      | ^^^^^
    "#);
}

#[test]
fn a_token_is_masked_in_text_that_is_not_toml() {
    assert_snapshot!(errors_after_least("[server]\ntoken = \"hunter2\n"), @r#"
    pipeline.toml:6:17: invalid basic string, expected `"`
      |
    6 | token =***
      |           ^
    "#);
    assert_snapshot!(errors_after_least("[server]\ntoken = hunter2\n"), @r#"
    pipeline.toml:6:9: string values must be quoted, expected literal string
      |
    6 | token =***
      |        ^^^
    "#);
}

#[test]
fn a_configuration_prints_no_token() {
    let config = parse(&format!("{LEAST}[server]\ntoken = \"${{PAGE_TOKEN}}\"\n"));
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(
        config.server.token.map(|token| token.reveal().to_owned()).as_deref(),
        Some("hunter2-from-the-environment")
    );
}

#[test]
fn passwords_are_masked_and_their_neighbours_are_shown() {
    let text = "[stream.kafka.sasl]\nmechanism = \"PLAIN\"\nusername = 1\npassword = [\"hunter2\"]\n[stream.kafka.tls]\nkey_password = 2\n";
    assert_snapshot!(errors_after_brokers(text), @r"
    pipeline.toml:9:12: stream.kafka.sasl.username: this is a whole number; allowed: a text in quotes
      |
    9 | username = 1
      |            ^

    pipeline.toml:10:12: stream.kafka.sasl.password: this is a list; allowed: a text in quotes
       |
    10 | password = [***]
       |            ^^^^^

    pipeline.toml:12:16: stream.kafka.tls.key_password: this is a whole number; allowed: a text in quotes
       |
    12 | key_password = ***
       |                ^^^

    pipeline.toml:12:16: stream.kafka.tls.key_password: there is no `stream.kafka.tls.key` for this password to open; name the key, or leave the password out
       |
    12 | key_password = ***
       |                ^^^
    ");
}

#[test]
fn secrets_in_a_wrong_place_are_masked() {
    let login = "[stream.kafka.sasl]\nmechanism = \"PLAIN\"\nusername = \"ada\"\n";
    for text in [
        "[stream.kafka]\nbrokers = \"ada:hunter2@host:9092\"\n",
        "[stream.kafka]\nbrokers = [\"ada:hunter2@host:9092\"]\n",
        "[stream.kafka]\n\"bootstrap.servers\" = \"ada:hunter2@host:9092\"\n",
        "[stream]\nkafka = \"ada:hunter2@host:9092\"\n",
        "[stream]\nkafka = { brokers = \"a:1\", sasl = \"ada:hunter2\" }\n",
        "[stream]\nkafka = { brokers = \"a:1\", sasl = [\"PLAIN\", \"ada\", \"hunter2\"] }\n",
        "[stream.kafka]\n\"sasl.jaas.config\" = \"x hunter2;\"\n",
        "[stream.kafka.tls]\nkey_passphrase = \"hunter2\"\n",
        "[stream.kafka.tls]\nkey = \"-----BEGIN PRIVATE KEY-----hunter2\"\n",
        "[stream.kafka.tls]\nkey = \"\"\"-----BEGIN PRIVATE KEY-----\nhunter2\n\"\"\"\n",
        "[stream.kafka.tls]\nkey = \"\"\"-----BEGIN PRIVATE KEY-----\nhunter2",
        &format!("{login}pasword = \"hunter2\"\n"),
        &format!("{login}password_file = {{ a = \"hunter2\" }}\n"),
        &format!("{login}\"sasl.password\" = \"hunter2\"\n"),
        &format!("{login}passwort = \"hunter2\n"),
    ] {
        let errors = errors_after_least(text);
        assert!(errors.contains("***") && !errors.contains("hunter2"), "{errors}");
    }
}

#[test]
fn a_configuration_prints_no_password() {
    let text = "[stream.kafka]\nbrokers = \"a:1\"\n[stream.kafka.tls]\ncertificate = \"a\"\nkey = \"b\"\nkey_password = \"hunter2\"\n\
                [stream.kafka.sasl]\nmechanism = \"PLAIN\"\nusername = \"ada\"\npassword = \"${PAGE_TOKEN}\"\n";
    let kafka = parse(&format!("{LEAST}{text}")).stream.kafka.unwrap();
    let shown = format!("{kafka:?}");
    assert!(shown.contains("\"ada\"") && shown.contains("Value(***)") && !shown.contains("hunter2"), "{shown}");
    assert_eq!(kafka.tls.unwrap().key_password, Some(SecretSource::Value(Secret::new("hunter2".to_owned()))));
}

#[test]
fn the_text_that_is_kept_has_no_secret_and_no_comment_and_says_the_same() {
    let text = r##"
[server] # token = "hunter2"
token = "hunter2"
[clean]
null_tokens = ["#", # password: hunter2
'#']
[clean.columns]
"password#" = { type = "int64" }
[clean.rules."r\"#"]
column = "password#" # it's hunter2
action = "warn"
[clean.rules."r\"#".check.range] # "hunter2
min = 1
[clean.spark]
connect = "sc://a:1/;token=hunter2"
[stream.kafka]
brokers = "localhost:1"
tls = { certificate = "a", key = "b", key_password = "hunter2" }
sasl.mechanism = "PLAIN"
sasl.username = "ada"
sasl.password = """
hunter2""" # hunter2"##;
    let config = parse(&format!("{LEAST}{text}"));
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_snapshot!(config.text, @r##"
    [pipeline]
    name = "taxi"
    [source]
    path = "data/*.parquet"

    [server]
    token = "***"
    [clean]
    null_tokens = ["#",
    '#']
    [clean.columns]
    "password#" = { type = "int64" }
    [clean.rules."r\"#"]
    column = "password#"
    action = "warn"
    [clean.rules."r\"#".check.range]
    min = 1
    [clean.spark]
    connect = "sc://***"
    [stream.kafka]
    brokers = "localhost:1"
    tls = { certificate = "a", key = "b", key_password = "***" }
    sasl.mechanism = "PLAIN"
    sasl.username = "ada"
    sasl.password = "***"
    "##);
    let again = parse(&config.text);
    assert_eq!((again.text, again.clean), (config.text, config.clean));
}

/// Sections with a secret in the middle.
const SECTIONS: [&str; 4] = [
    "[server]\nhttp = \"127.0.0.1:0\"\ntoken = \"hunter2\"\nx = 1\n",
    "server = { http = \"127.0.0.1:0\", token = \"hunter2\", x = 1 }\n",
    "[stream.kafka.sasl]\nmechanism = \"PLAIN\"\nusername = 1\npassword = \"hunter2\"\nx = 1\n",
    "stream.kafka = { brokers = \"a:1\", tls = { ca = 1, key_password = \"hunter2\", x = 1 } }\n",
];

proptest! {
    /// The token stands in the middle of a file of which any part is then damaged; it shows in no message.
    #[test]
    fn no_damage_to_a_file_brings_its_token_out(
        cut in 0usize..90,
        insert in "[\\[\\]{}=\"'#\n,a1 ]{0,6}",
        whole in prop::sample::select(&SECTIONS[..]),
    ) {
        let secret = whole.find("hunter2").unwrap();
        let name = whole[..secret].rfind(['\n', ',', '{']).unwrap() + 1;
        let name = name + (whole.len() - name - whole[name..].trim_start().len());
        let mut text = whole.to_owned();
        let cut = cut.min(text.len());
        // Inside the name or the secret itself, damage would make another text of it than the one that is looked for.
        let cut = if (name..secret + 8).contains(&cut) { name } else { cut };
        text.insert_str(cut, &insert);
        if let Err(errors) = Config::parse(&text, Path::new("pipeline.toml"), &environment) {
            prop_assert!(!errors.to_string().contains("hunter2"), "{}", errors);
            let debug = format!("{errors:?}");
            prop_assert!(!debug.contains("hunter2"), "{}", debug);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "([a-z]{1,3}|\\[|\\]|\\{|\\}|=|\"|'|\n|\\.|,|[0-9]|é| |source|path|clean|rules|view){0,40}") {
        let _ = Config::parse(&text, Path::new("pipeline.toml"), &environment).map_err(|errors| errors.to_string());
    }
}
