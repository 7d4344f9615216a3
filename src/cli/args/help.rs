//! Arranges `--help`: the commands stand in groups by purpose.

use clap::Command;

/// The purposes, each with its commands.
const PURPOSES: [(&str, &[&str]); 2] = [
    ("Commands to look around", &["stats", "keys", "namespaces", "hot"]),
    ("Set up", &["config", "completions", "man"]),
];

/// The name of each command.
pub fn commands() -> impl Iterator<Item = &'static str> {
    PURPOSES.iter().flat_map(|(_, names)| *names).copied()
}

/// The command with its subcommands under headings before the options; only for printing help.
pub fn arranged(command: Command) -> Command {
    let (heading, literal) = (*command.get_styles().get_header(), *command.get_styles().get_literal());
    let mut template = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (purpose, names) in PURPOSES {
        template.push_str(&format!("\n{heading}{purpose}:{heading:#}\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            template.push_str(&format!("  {literal}{name:<13}{literal:#}{about}\n"));
        }
    }
    template.push_str("\n{all-args}{after-help}");
    let mut command = command.help_template(template);
    for name in commands() {
        command = command.mut_subcommand(name, |below| below.hide(true));
    }
    command
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_has_a_purpose() {
        let command = crate::cli::args::Args::command();
        let mut known: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        let mut shown: Vec<_> = commands().collect();
        known.sort_unstable();
        shown.sort_unstable();
        assert_eq!(known, shown);
    }
}
