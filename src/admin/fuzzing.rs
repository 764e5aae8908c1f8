//! See [`crate::fuzzing`].

use std::{cell::RefCell, sync::atomic::AtomicUsize};

use serde_json::json;

use super::{
    AskError, Command, Reply,
    ask::{Answer, read_answer},
    listen::reply,
};

/// Checks the control socket with a line and, behind its newline, the words of a handler: the line gets one line for each
/// item and one for the result, and the command line reads the handler's words from those.
pub fn control(data: &[u8]) {
    let (line, said) = data.split_at(data.iter().position(|byte| *byte == b'\n').map_or(data.len(), |at| at + 1));
    let said = String::from_utf8_lossy(said);
    let called = RefCell::new(None);
    for fails in [false, true] {
        called.replace(None);
        let handler = |command: Command, reply: &mut Reply<'_>| {
            assert!(called.replace(Some(command)).is_none(), "once at most");
            reply.send([&said])?;
            if fails { Err(said.clone().into_owned()) } else { Ok(json!({ "said": said })) }
        };
        let (mut answer, streams) = (Vec::new(), AtomicUsize::new(0));
        reply(line, &handler, Reply::new(&mut answer, &streams)).expect("it is in memory");
        assert_eq!(streams.into_inner(), 0);
        let answer = String::from_utf8(answer).expect("text");
        let expected = Command::parse(line).ok();
        assert_eq!(called.take(), expected, "nothing but a command is one");
        if let Some(command) = &expected {
            assert_eq!(Command::parse(command.line().as_bytes()).as_ref(), Ok(command));
        }
        let lines: Vec<&str> = answer.split_inclusive('\n').collect();
        let (result, items) = lines.split_last().expect("a line");
        assert!(answer.ends_with('\n') && items.len() == usize::from(expected.is_some()), "{answer:?}");
        for item in items {
            assert_eq!(read_answer(item).ok(), Some(Answer::Item(json!(said))));
        }
        match (read_answer(result), expected, fails) {
            (Ok(answer), Some(_), false) => assert_eq!(answer, Answer::End(json!({ "said": said }))),
            (Err(AskError::Refused(why) | AskError::Unknown(why)), Some(_), true) => assert_eq!(why, said),
            (Err(AskError::Unknown(_)), None, _) => {}
            (other, ..) => panic!("{other:?}"),
        }
    }
    // whatever else answers does no harm
    let _ = read_answer(&said);
}
