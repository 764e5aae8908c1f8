//! Flags behind a command that takes all of them.

use std::ffi::OsString;

use clap::{Arg, CommandFactory};

use super::{
    arguments::{Arguments, takes_all_flags},
    errors::looks_like_origin,
    negative::needs_value,
};

/// Moves each flag behind such a command in front of it, where clap expects it: `check --disk 1G` becomes `--disk 1G check`.
/// The command's own flags stay. Unknown ones move, too: clap then knows all flags that may be meant.
pub(super) fn moved(words: Vec<OsString>) -> Vec<OsString> {
    let Some(at) = command(&words) else { return words };
    let definition = Arguments::command();
    let name = words[at].to_string_lossy();
    let of_command = definition.get_subcommands().find(|command| *command.get_name() == *name);
    let own: Vec<&Arg> = of_command.into_iter().flat_map(clap::Command::get_arguments).collect();
    let is_own = |word: &OsString| {
        let is_help = [Some("-h"), Some("--help")].contains(&word.to_str());
        is_help || own.iter().any(|arg| arg.get_long().is_some_and(|long| *word == *format!("--{long}")))
    };
    let (mut front, mut behind) = (words[..at].to_vec(), vec![words[at].clone()]);
    let mut rest = words[at + 1..].iter().cloned();
    while let Some(word) = rest.next() {
        if word == "--" {
            behind.push(word);
            behind.extend(rest);
            break;
        }
        if !word.as_encoded_bytes().starts_with(b"-") || is_own(&word) {
            behind.push(word);
            continue;
        }
        let misses_value = needs_value(&word) && rest.len() == 0;
        let value = if needs_value(&word) { rest.next() } else { None };
        front.push(word);
        front.extend(value);
        if misses_value {
            // the command would be taken for the value
            return front;
        }
    }
    front.into_iter().chain(behind).collect()
}

/// Returns the place of such a command: the first word that is neither a flag, nor its value, nor an origin.
fn command(words: &[OsString]) -> Option<usize> {
    let mut is_value = false;
    let mut others = words.iter().enumerate().skip(1).filter(|(_, word)| {
        if std::mem::take(&mut is_value) {
            return false;
        }
        is_value = needs_value(word);
        !word.as_encoded_bytes().starts_with(b"-")
    });
    let (at, _) = others.find(|(_, word)| word.to_str().is_none_or(|word| !looks_like_origin(word)))?;
    words[at].to_str().is_some_and(takes_all_flags).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_move_in_front_of_a_command_that_takes_them_all_and_what_is_the_commands_own_stays() {
        for (typed, expected) in [
            ("check --disk 1G f.toml", "--disk 1G check f.toml"),
            ("check f.toml --strict --connect -v", "--strict -v check f.toml --connect"),
            ("check --disk=1G --port=-1", "--disk=1G --port=-1 check"),
            ("http://a check --dsk 1G", "http://a --dsk check 1G"),
            ("--config check config --port 1 show", "--config check --port 1 config show"),
            ("check --help --disk 1G", "--disk 1G check --help"),
            ("check --disk", "--disk"),
            ("check -- --disk", "check -- --disk"),
            ("run http://a --disk 1G -v", "--disk 1G -v run http://a"),
            ("run --origin http://a --strict", "--origin http://a --strict run"),
            ("stats --disk 1G", "stats --disk 1G"),
            ("stats check --disk 1G", "stats check --disk 1G"),
            ("--disk check", "--disk check"),
            ("--strict", "--strict"),
        ] {
            let words = format!("larder {typed}").split(' ').map(OsString::from).collect();
            let moved: Vec<_> = moved(words).into_iter().map(|word| word.into_string().unwrap()).collect();
            assert_eq!(moved[1..].join(" "), expected, "{typed}");
        }
    }
}
