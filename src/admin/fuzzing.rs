//! See [`crate::fuzzing`].

use std::cell::Cell;

use serde_json::json;

use super::{AskError, Command, ask::read_answer, listen::reply};

/// Checks the control socket with a line and, behind its newline, the words of a handler: the line gets one line as its
/// answer, and the command line reads the handler's words from that.
pub fn control(data: &[u8]) {
    let (line, said) = data.split_at(data.iter().position(|byte| *byte == b'\n').map_or(data.len(), |at| at + 1));
    let said = String::from_utf8_lossy(said);
    let called = Cell::new(None);
    for fails in [false, true] {
        called.set(None);
        let answer = reply(line, &|command| {
            assert!(called.replace(Some(command)).is_none(), "once at most");
            if fails { Err(said.clone().into_owned()) } else { Ok(json!({ "said": said })) }
        });
        assert!(answer.ends_with('\n') && answer.lines().count() == 1, "{answer:?}");
        let word = String::from_utf8_lossy(line).trim_end().to_owned();
        let expected =
            [Command::Clear, Command::Stats, Command::Ping].into_iter().find(|command| command.as_str() == word);
        assert_eq!(called.get(), expected, "nothing but its word is a command");
        match (read_answer(&answer), expected, fails) {
            (Ok(answer), Some(_), false) => assert_eq!(answer, json!({ "said": said })),
            (Err(AskError::Refused(why)), Some(_), true) => assert_eq!(why, said),
            (Err(AskError::Refused(why)), None, _) => assert!(why.starts_with("no such command")),
            (other, ..) => panic!("{other:?}"),
        }
    }
    // whatever else answers does no harm
    let _ = read_answer(&said);
}
