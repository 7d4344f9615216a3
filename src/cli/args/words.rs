//! Finds commands among the servers: mcflush would read one as a host name, and a command that only looks could empty a
//! host.

use std::ffi::OsString;

use mcflush::address::without_password;

use super::{Args, help};
use crate::cli::text::one_line;

/// The word with which a user may ask for help.
const HELP: &str = "help";

/// Refuses a command's name, or one near it, among the servers.
///
/// # Errors
/// There is one. The error has the command line that was probably meant.
pub fn no_command_among(servers: &[String], args: &Args) -> Result<(), String> {
    let names: Vec<&str> = help::commands().chain([HELP]).collect();
    let Some((word, command)) = servers.iter().find_map(|word| Some((word, meant(word, &names)?))) else {
        return Ok(());
    };
    let mut line = match command {
        HELP => vec!["--help".to_owned()],
        "config" => vec!["config".into(), "check".into()],
        command => vec![command.to_owned()],
    };
    if command == "keys" {
        let options = [
            ("--prefix", &args.prefix),
            ("--match", &args.globs),
            ("--keep", &args.keep),
            ("--keep-match", &args.keep_match),
        ];
        let texts = options.into_iter().flat_map(|(option, texts)| texts.iter().map(move |text| (option, text)));
        line.extend(texts.flat_map(|(option, text)| [option.to_owned(), quoted(text)]));
    }
    if !matches!(command, HELP | "completions" | "man") {
        line.extend(servers.iter().filter(|server| *server != word).map(|server| without_password(server)));
    }
    let (word, line) = (one_line(word), one_line(&line.join(" ")));
    Err(format!(
        "\"{word}\" stands among the servers: the command goes first: mcflush {line}; a host of that name is written {word}:11211"
    ))
}

/// The command that a word among the servers was probably meant to be. A name with a digit or a dot is a host's.
fn meant<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let is_near = |name: &&&str| {
        // Short words are similar to too many others.
        word == **name
            || (name.len() >= 4
                && word.bytes().all(|byte| byte.is_ascii_alphabetic())
                && strsim::damerau_levenshtein(&word, name) == 1)
    };
    names.iter().find(is_near).copied()
}

/// Quotes a text for the shell.
fn quoted(text: &OsString) -> String {
    let text = text.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@%+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_near_a_command() {
        let names = ["stats", "keys", "namespaces", "config", "man", HELP];
        for (word, command) in [
            ("stats", Some("stats")),
            ("Stats", Some("stats")),
            ("stat", Some("stats")),
            ("satts", Some("stats")),
            ("key", Some("keys")),
            ("namespace", Some("namespaces")),
            ("man", Some("man")),
            ("help", Some("help")),
            ("mac", None),
            ("stats1", None),
            ("keys.example.org", None),
            ("stats:11211", None),
            ("cache", None),
            ("localhost", None),
            ("memcached", None),
        ] {
            assert_eq!(meant(word, &names), command, "{word}");
        }
    }

    #[test]
    fn quotes_where_a_shell_needs_them() {
        for (text, shown) in [("shop:", "shop:"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''"), ("s*", "'s*'")]
        {
            assert_eq!(quoted(&text.into()), shown);
        }
    }
}
