use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    sync::{Mutex, mpsc},
    thread,
    time::Duration,
};

use super::*;

fn counting(command: Command, _: &mut Reply<'_>) -> Result<Value, String> {
    match command {
        Command::Clear => Err("the disk is on fire".to_owned()),
        Command::Ping => Ok(identity()),
        Command::Stats => Ok(json!({ "responses": 7 })),
        Command::Reload => Ok("nothing has changed".into()),
        other => Err(format!("{other:?} is not for this test")),
    }
}

#[test]
fn the_running_one_answers_what_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let _listening = listen(folder.path(), counting).unwrap();
    assert_eq!(ask(folder.path(), &Command::Stats).unwrap(), json!({ "responses": 7 }));
    assert_eq!(ask(folder.path(), &Command::Ping).unwrap()["pid"], std::process::id());
    let refused = ask(folder.path(), &Command::Clear).unwrap_err();
    assert!(matches!(&refused, AskError::Refused(why) if why == "the disk is on fire"), "{refused}");
}

#[test]
fn the_socket_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let _listening = listen(folder.path(), counting).unwrap();
    let mode = fs::metadata(folder.path().join(SOCKET)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn without_a_listener_the_answer_is_not_running() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(ask(folder.path(), &Command::Ping), Err(AskError::NotRunning)));
    assert!(matches!(ask(&folder.path().join("missing"), &Command::Ping), Err(AskError::NotRunning)));
    // the socket file of a process that has died
    drop(UnixListener::bind(folder.path().join(SOCKET)).unwrap());
    assert!(matches!(ask(folder.path(), &Command::Ping), Err(AskError::NotRunning)));
}

#[test]
fn a_socket_that_cannot_be_reached_is_not_said_to_be_a_running_larders() {
    let folder = tempfile::tempdir().unwrap();
    let error = ask(&folder.path().join("f".repeat(300)), &Command::Stats).unwrap_err().to_string();
    assert!(error.starts_with("cannot reach the control socket /") && !error.contains("running"), "{error}");
    let _listening = listen(folder.path(), |_, _| panic!("no answer")).unwrap();
    let error = ask(folder.path(), &Command::Stats).unwrap_err().to_string();
    assert!(error.starts_with("the running Larder does not answer: "), "{error}");
}

#[test]
fn a_dead_socket_file_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(folder.path().join(SOCKET)).unwrap());
    let listening = listen(folder.path(), counting).unwrap();
    let second = listen(folder.path(), counting).err().unwrap();
    assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    assert!(ask(folder.path(), &Command::Ping).is_ok());
    drop(listening);
    assert!(!folder.path().join(SOCKET).exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(SOCKET), "mine").unwrap();
    assert_eq!(listen(folder.path(), counting).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(folder.path().join(SOCKET)).unwrap(), b"mine");
}

#[test]
fn a_folder_whose_path_is_too_long_for_a_socket_address_works_too() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    assert!(matches!(ask(&deep, &Command::Ping), Err(AskError::NotRunning)));
    let listening = listen(&deep, counting).unwrap();
    assert_eq!(ask(&deep, &Command::Stats).unwrap(), json!({ "responses": 7 }));
    drop(listening);
    assert!(!deep.join(SOCKET).exists());
}

#[test]
fn nonsense_gets_an_answer_in_words_and_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let _listening = listen(folder.path(), counting).unwrap();
    let lines = [&b"drop tables\n"[..], b"\n", &[b'x'; 5000], b"clear", b"\xffstats\n", b""];
    for line in lines {
        let mut stream = UnixStream::connect(folder.path().join(SOCKET)).unwrap();
        stream.write_all(line).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // if the other side left bytes unread, the connection ends with a reset
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.starts_with(b"{\"error\":"), "{line:?}: {answer:?}");
    }
    assert!(ask(folder.path(), &Command::Ping).is_ok());
}

#[test]
fn a_command_that_does_not_come_to_its_end_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (begin, begun) = mpsc::channel();
    let (_hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let handler = move |_, _: &mut Reply<'_>| {
        begin.send(()).unwrap();
        let _ = held.lock().unwrap().recv();
        Ok(json!({}))
    };
    let listening = listen(folder.path(), handler).unwrap();
    UnixStream::connect(folder.path().join(SOCKET)).unwrap().write_all(b"clear\n").unwrap();
    begun.recv().unwrap();
    let (end, ended) = mpsc::channel();
    thread::spawn(move || {
        drop(listening);
        end.send(()).unwrap();
    });
    assert_eq!(ended.recv_timeout(Duration::from_secs(20)), Ok(()));
}

#[test]
fn neither_a_command_that_takes_long_nor_a_client_that_says_nothing_holds_up_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let (begin, begun) = mpsc::channel();
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let handler = move |command, _: &mut Reply<'_>| match command {
        Command::Clear => {
            begin.send(()).unwrap();
            held.lock().unwrap().recv().unwrap();
            Ok(json!({ "responses": 1 }))
        }
        _ => Ok(json!({ "responses": 2 })),
    };
    let _listening = listen(folder.path(), handler).unwrap();
    let _silent = UnixStream::connect(folder.path().join(SOCKET)).unwrap();
    let clearing = thread::spawn({
        let folder = folder.path().to_owned();
        move || ask(&folder, &Command::Clear).unwrap()
    });
    begun.recv().unwrap();
    assert_eq!(ask(folder.path(), &Command::Stats).unwrap(), json!({ "responses": 2 }));
    assert!(!clearing.is_finished());
    hold.send(()).unwrap();
    assert_eq!(clearing.join().unwrap(), json!({ "responses": 1 }));
}

#[test]
fn items_come_before_the_result_and_the_command_line_gets_each_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let handler = |_, reply: &mut Reply<'_>| {
        reply.send([1, 2])?;
        reply.send(["three"])?;
        Ok(json!("done"))
    };
    let _listening = listen(folder.path(), handler).unwrap();
    let mut items = Vec::new();
    let result = ask_each(folder.path(), &Command::Stats, |item| items.push(item));
    assert_eq!((result.unwrap(), items), (json!("done"), vec![json!(1), json!(2), json!("three")]));
}

#[test]
fn of_many_that_read_items_slowly_the_next_one_is_refused_and_other_commands_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (begin, begun) = mpsc::channel();
    let handler = move |command, reply: &mut Reply<'_>| {
        if command == Command::Ping {
            return Ok(identity());
        }
        reply.send([0])?;
        begin.send(()).unwrap();
        let _ = held.lock().unwrap().recv();
        Ok(json!(()))
    };
    let _listening = listen(folder.path(), handler).unwrap();
    let slow: Vec<UnixStream> = (0..STREAMS)
        .map(|_| {
            let mut stream = UnixStream::connect(folder.path().join(SOCKET)).unwrap();
            stream.write_all(b"stats\n").unwrap();
            begun.recv().unwrap();
            stream
        })
        .collect();
    let refused = ask_each(folder.path(), &Command::Stats, |_| {}).unwrap_err().to_string();
    assert!(refused.ends_with("8 others read lists of this Larder now; try again when one has ended"), "{refused}");
    assert!(ask(folder.path(), &Command::Ping).is_ok());
    drop(hold);
    drop(slow);
    let place = || ask_each(folder.path(), &Command::Stats, |_| {}).is_ok();
    while !place() {
        thread::yield_now();
    }
}

#[test]
fn a_command_of_another_version_is_told_that_this_is_the_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let _listening = listen(folder.path(), counting).unwrap();
    for line in ["teleport\n", "{\"teleport\":{\"to\":\"mars\"}}\n"] {
        let mut stream = UnixStream::connect(folder.path().join(SOCKET)).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let error = ask::read_answer(&answer).unwrap_err().to_string();
        assert!(error.starts_with("the running Larder is of another version than this command (0."), "{error}");
        assert!(error.contains("no such command: unknown variant `teleport`, expected one of `clear`,"), "{error}");
    }
    // an earlier version
    let error = ask::read_answer(r#"{"error":"no such command; the commands are clear, stats and ping"}"#).unwrap_err();
    assert!(error.to_string().contains("of another version"), "{error}");
}

#[test]
fn a_line_that_is_too_long_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let _listening = listen(folder.path(), counting).unwrap();
    let mut stream = UnixStream::connect(folder.path().join(SOCKET)).unwrap();
    let _ = stream.write_all(&vec![b'x'; LONGEST_LINE + 1]);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert_eq!(answer, "{\"error\":\"a command has 1048576 bytes at most\"}\n");
}
