use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

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
    pipeline.toml:1:31: server.htp: unknown key; did you mean `http`? allowed: http, token
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
    pipeline.toml:6:1: server.tokn: unknown key; did you mean `token`? allowed: http, token
      |
    6 | tokn = ***
      | ^^^^

    pipeline.toml:8:1: limits.token: unknown key; allowed: memory, query_timeout, query_rows
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

proptest! {
    /// The token stands in the middle of a file of which any part is then damaged; it shows in no message.
    #[test]
    fn no_damage_to_a_file_brings_its_token_out(
        cut in 0usize..60,
        insert in "[\\[\\]{}=\"'#\n,a1 ]{0,6}",
        inline: bool,
    ) {
        let server = if inline {
            "server = { http = \"127.0.0.1:0\", token = \"hunter2\", x = 1 }\n"
        } else {
            "[server]\nhttp = \"127.0.0.1:0\"\ntoken = \"hunter2\"\nx = 1\n"
        };
        let secret = server.find("hunter2").unwrap();
        let mut text = server.to_owned();
        let cut = cut.min(text.len());
        // Inside the name or the secret itself, damage would make another text of it than the one that is looked for.
        let cut = if (secret - 9..secret + 8).contains(&cut) { secret - 9 } else { cut };
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
