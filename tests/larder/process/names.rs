//! The origin's name, as a hosts file has it that changes while Larder runs.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use larder::clock;
use socket2::{Domain, Socket, Type};

use crate::support::{Origin, RecordedRequest, Spawned, Step, dns::NameServer, proxy::larder, request, respond, until};

const NAME: &str = "origin.larder.test";

/// A Larder whose look-ups are answered by a file of its own, or by a name server of the test's, and by nothing else.
struct Resolved {
    larder: Spawned,
    hosts: PathBuf,
    folder: tempfile::TempDir,
}

/// `None`, and a word about it, where mounting is not permitted.
fn resolved(port: u16, addresses: &[&str]) -> Option<Resolved> {
    let permitted = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !permitted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: unshare -m is not permitted here");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    write(&hosts, addresses);
    Some(Resolved { larder: started(folder.path(), port, None, &[]), hosts, folder })
}

/// Starts it with the hosts file in the folder, or with a name server.
fn started(folder: &Path, port: u16, server: Option<&NameServer>, flags: &[&str]) -> Spawned {
    let source = if server.is_some() { "dns" } else { "files" };
    fs::write(folder.join("nsswitch.conf"), format!("hosts: {source}\n")).unwrap();
    let server = server.map(|server| format!("nameserver {}\n", server.at)).unwrap_or_default();
    fs::write(folder.join("resolv.conf"), server).unwrap();
    let mounts: String = ["hosts", "nsswitch.conf", "resolv.conf"]
        .iter()
        .map(|file| format!("mount --bind {} /etc/{file} && ", folder.join(file).display()))
        .collect();
    let (origin, cache) = (format!("http://{NAME}:{port}"), folder.join("cache"));
    let program = larder(&["--origin", &origin, "--port", "0", "--cache-dir", cache.to_str().unwrap()]);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("{mounts} exec \"$0\" \"$@\"")]).arg(program.get_program());
    command.args(program.get_args()).args(flags);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    let larder = Spawned::from(&mut command);
    // the last of the start-up lines: the store is open
    larder
}

/// The test's name server; `None`, and a word about it, where this user may not be one.
fn name_server(address: Option<Ipv4Addr>) -> Option<NameServer> {
    NameServer::start(address).inspect_err(|error| eprintln!("skipped: no name server on port 53: {error}")).ok()
}

/// In place, since the file itself is what was mounted.
fn write(hosts: &Path, addresses: &[&str]) {
    let lines: String = addresses.iter().map(|address| format!("{address} {NAME}\n")).collect();
    fs::write(hosts, lines).unwrap();
}

/// An origin at another address of this machine, on the same port.
fn origin_at(address: &str, answering: impl Fn(&RecordedRequest) -> Vec<Step> + Send + Sync + 'static) -> Origin {
    Origin::on(TcpListener::bind(address).unwrap(), answering)
}

fn says(word: &'static str) -> impl Fn(&RecordedRequest) -> Vec<Step> + Send + Sync + 'static {
    move |_| respond(200, &["Cache-Control: no-store"], word)
}

#[test]
fn f12_an_origin_that_moves_to_another_address_is_found_there() {
    let first = Origin::answering(says("first"));
    let port = first.address.port();
    let second = origin_at(&format!("127.0.0.2:{port}"), says("second"));
    let Some(resolved) = resolved(port, &["127.0.0.1"]) else { return };
    assert_eq!(resolved.larder.get("/").text(), "first");
    write(&resolved.hosts, &["127.0.0.2"]);
    drop(first);
    // held, so that nobody else of this machine answers there
    let held = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    held.set_reuse_address(true).unwrap();
    held.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
    // nothing is learnt from a failure: the very next request goes there
    assert_eq!(resolved.larder.get("/").text(), "second");
    assert_eq!(second.request_count(), 1);
}

#[test]
fn f12_a_name_that_is_gone_is_told_once_its_address_fails_and_what_is_stored_stands_in_until_it_is_back() {
    let answering = |request: &RecordedRequest| match request.target.as_str() {
        "/stored" => respond(200, &["Cache-Control: max-age=0, stale-if-error=600"], "stored"),
        _ => [respond(200, &["Cache-Control: no-store", "Connection: close"], "there"), vec![Step::Close]].concat(),
    };
    let origin = Origin::answering(answering);
    let address = origin.address;
    let Some(resolved) = resolved(address.port(), &["127.0.0.1"]) else { return };
    let get = |target: &str| resolved.larder.get(target);
    assert_eq!((get("/stored").status, get("/").text().as_str()), (200, "there"));
    write(&resolved.hosts, &[]);
    for _ in 0..3 {
        assert_eq!(get("/").text(), "there", "the address that was found before is used as long as somebody is there");
    }
    drop(origin);
    let failed = get("/");
    assert_eq!((failed.status, failed.field("Proxy-Status")), (502, Some("larder; error=dns_error")));
    let stale = get("/stored");
    assert_eq!((stale.status, stale.text().as_str(), stale.x_cache()), (200, "stored", "HIT"), "{stale:?}");
    resolved.larder.await_line(NAME);
    write(&resolved.hosts, &["127.0.0.1"]);
    let _back = origin_at(&address.to_string(), answering);
    until("the origin to be found again", || get("/").text() == "there");
}

#[test]
fn f12_a_dead_ipv6_address_beside_a_live_one_does_not_keep_the_origin_from_being_reached() {
    let origin = Origin::answering(says("there"));
    let port = origin.address.port();
    let Some(resolved) = resolved(port, &["::1"]) else { return };
    assert_eq!(resolved.larder.get("/").status, 502, "nobody is there");
    write(&resolved.hosts, &["::1", "127.0.0.1"]);
    for n in 0..5 {
        let answer = resolved.larder.client().ask("GET", &format!("/{n}"), &["Connection: close"]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "there"));
    }
}

#[test]
fn f14_a_link_local_address_of_the_origins_name_is_never_connected_to() {
    let origin = Origin::answering(says("there"));
    let port = origin.address.port();
    let forms = ["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.1.1"];
    let Some(resolved) = resolved(port, &forms) else { return };
    let refused = resolved.larder.get("/");
    assert_eq!((refused.status, refused.field("Proxy-Status")), (502, Some("larder; error=destination_ip_prohibited")));
    assert!(!refused.text().contains("169.254"), "{}", refused.text());
    resolved.larder.await_line("--allow-link-local-origin");
    write(&resolved.hosts, &[&forms[..], &["127.0.0.1"]].concat());
    until("the address that is left to be used", || resolved.larder.get("/").text() == "there");
}

#[test]
fn w06_a_name_server_that_says_nothing_holds_up_no_hit_from_the_disk() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=600"], &request.target));
    let port = origin.address.port();
    let Some(Resolved { larder, folder, .. }) = resolved(port, &["127.0.0.1"]) else { return };
    let Some(silent) = name_server(None) else { return };
    let stored: Vec<String> = (0..10).map(|n| format!("/stored{n}")).collect();
    for target in &stored {
        until("it to be stored", || larder.get(target).x_cache() == "HIT");
    }
    larder.stop();
    // as many misses as there are threads for what blocks, and more
    let larder = started(folder.path(), port, Some(&silent), &["--workers", "1"]);
    let _waiting: Vec<_> = (0..300)
        .map(|n| {
            let mut client = larder.client();
            client.send(request("GET", &format!("/{n}"), &[]));
            client
        })
        .collect();
    let began = clock::instant();
    for target in &stored {
        let hit = larder.get(target);
        assert_eq!((hit.text(), hit.x_cache()), (target.clone(), "HIT"));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn w06_a_name_is_looked_up_once_for_all_who_wait_and_its_address_is_remembered() {
    let origin = Origin::answering(says("there"));
    let port = origin.address.port();
    let Some(Resolved { folder, larder, .. }) = resolved(port, &[]) else { return };
    drop(larder);
    let Some(server) = name_server(Some(Ipv4Addr::LOCALHOST)) else { return };
    let larder = started(folder.path(), port, Some(&server), &["--workers", "2", "--origin-keep-alive", "0s"]);
    let clients: Vec<_> = (0..50)
        .map(|n| {
            let mut client = larder.client();
            client.send(request("GET", &format!("/{n}"), &[]));
            client
        })
        .collect();
    for mut client in clients {
        assert_eq!(client.response("GET").text(), "there");
    }
    // one for IPv4, one for IPv6
    assert_eq!(server.questions(), 2);
    server.answers(None);
    assert_eq!(larder.get("/again").text(), "there");
    assert_eq!((server.questions(), origin.connection_count()), (2, 51));
}
