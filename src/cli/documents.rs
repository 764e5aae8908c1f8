//! The texts that are made out of the definition of the command line: completions for shells, and the manual page.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Arguments, help};

/// Writes the completions for a shell.
pub(super) fn completions(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut help::with_help(Arguments::command()), "larder", &mut text);
    out.write_all(&text)
}

/// Writes the manual page: the program, and behind it each command with its flags.
pub(super) fn manual(out: &mut dyn Write) -> io::Result<()> {
    let definition = help::long().disable_help_subcommand(true);
    let program = Man::new(definition.clone());
    program.render_title(out)?;
    program.render_name_section(out)?;
    program.render_synopsis_section(out)?;
    program.render_options_section(out)?;
    for command in definition.get_subcommands() {
        of_command(command, "larder", out)?;
    }
    program.render_extra_section(out)?;
    program.render_version_section(out)
}

/// Writes the section of a command, and those of the commands below it.
fn of_command(command: &Command, before: &str, out: &mut dyn Write) -> io::Result<()> {
    let name = format!("{before} {}", command.get_name());
    let below: Vec<&Command> = command.get_subcommands().collect();
    if !below.is_empty() {
        return below.into_iter().try_for_each(|command| of_command(command, &name, out));
    }
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(out, ".SH \"{}\"\n{about}.", name.to_uppercase())?;
    Man::new(command.clone()).render_options_section(out)
}
