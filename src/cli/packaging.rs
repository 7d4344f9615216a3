//! Files for packagers, generated from the definitions of `--help`.

use std::io::{self, Write};

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// The man page in roff: one page for all commands, so that a reader finds an option without knowing its command.
///
/// # Errors
/// Only those of writing to memory, which does not fail.
pub fn man(mut command: Command) -> io::Result<Vec<u8>> {
    command.build();
    let page = Man::new(command.clone()).manual("User Commands");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    sections(&mut text, &command, &command)?;
    if let Some(examples) = command.get_after_long_help().or(command.get_after_help()) {
        let mut section = Roff::new();
        section.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in examples.to_string().lines() {
            section.text([roman(line)]);
        }
        section.control("fi", []).to_writer(&mut text)?;
    }
    page.render_version_section(&mut text)?;
    Ok(text)
}

/// Writes a section for each command below `above`, with the options that mcflush itself does not have.
fn sections(text: &mut Vec<u8>, mcflush: &Command, above: &Command) -> io::Result<()> {
    for command in above.get_subcommands().filter(|command| !command.is_hide_set()) {
        let known: Vec<_> = mcflush.get_arguments().map(|argument| argument.get_id().clone()).collect();
        let own = command.clone().mut_args(|argument| {
            let hide = argument.is_hide_set() || known.contains(argument.get_id());
            argument.hide(hide)
        });
        let page = Man::new(own);
        let mut below = Vec::new();
        page.render_synopsis_section(&mut below)?;
        page.render_description_section(&mut below)?;
        page.render_options_section(&mut below)?;
        let below = String::from_utf8_lossy(&below).replace("\n.SH ", "\n.SS ").replacen(".SH ", ".SS ", 1);

        let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_uppercase();
        Roff::new().control("SH", [name.as_str()]).to_writer(text)?;
        text.write_all(below.as_bytes())?;
        sections(text, mcflush, command)?;
    }
    Ok(())
}
