//! What packages need of the command line: its definition in, a man page or shell
//! completions out.

use std::io;

use clap::{Command, ValueEnum};
use clap_complete::Shell;

use super::help;

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Paper {
    /// The man page, roff
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// Completions for elvish
    Elvish,
}

/// Writes it.
///
/// # Errors
/// Those of `out`.
pub fn write(paper: Paper, out: &mut dyn io::Write) -> io::Result<()> {
    let mut command = super::command();
    let shell = match paper {
        Paper::Man => return man(command, out),
        Paper::Bash => Shell::Bash,
        Paper::Zsh => Shell::Zsh,
        Paper::Fish => Shell::Fish,
        Paper::Elvish => Shell::Elvish,
    };
    let name = command.get_name().to_owned();
    command.set_bin_name(name);
    command.build();
    clap_complete::Generator::try_generate(&shell, &command, out)
}

/// The page as the generator makes it, with sections of our own for what stands below the
/// options: it would run their lines together.
fn man(mut command: Command, out: &mut dyn io::Write) -> io::Result<()> {
    command.build();
    let tasks: Vec<Command> = command.get_subcommands().cloned().collect();
    let page = clap_mangen::Man::new(command);
    page.render_title(out)?;
    page.render_name_section(out)?;
    page.render_synopsis_section(out)?;
    page.render_description_section(out)?;
    page.render_options_section(out)?;
    for task in tasks {
        man_of_task(task, out)?;
    }
    out.write_all(help::roff().as_bytes())?;
    page.render_version_section(out)
}

/// What a subcommand does and takes, as a section of the same page.
fn man_of_task(task: Command, out: &mut dyn io::Write) -> io::Result<()> {
    let heading = format!("TRACER {}", task.get_name().to_uppercase());
    let page = clap_mangen::Man::new(task);
    let mut text = Vec::new();
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    let text = String::from_utf8_lossy(&text)
        .replace(".SH DESCRIPTION", &format!(".SH \"{heading}\""))
        .replace(".SH OPTIONS", ".SS OPTIONS");
    out.write_all(text.as_bytes())
}
