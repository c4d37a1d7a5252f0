//! One server.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use acip_core::store::{Decoder, Reply, ServerError, StoreError};
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::servers::{PLAIN, Server, client, get, on_one_thread, read, wait_for, write};

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

#[test]
fn a_batch_is_one_evalsha_and_nothing_else_is_sent() {
    on_one_thread(async {
        let server = Server::start(PLAIN).await;
        let client = client(&url(&server), 2000).await;
        write(&client, "a", "1").await;
        // The script was missing once: the first call went twice.
        assert_eq!((server.calls("eval"), server.calls("evalsha"), client.round_trips()), (1, 1, 2));
        let batch = get("a");
        for row in join_all((0..1000).map(|_| client.ask(&batch))).await {
            assert_eq!(row.unwrap(), [acip_core::store::Cell::Bytes("1".into())]);
        }
        assert_eq!((server.calls("eval"), server.calls("evalsha"), client.round_trips()), (1, 1001, 1002));
        for other in ["ping", "hello", "client", "client|setinfo", "script|load", "auth", "select"] {
            assert_eq!(server.calls(other), 0, "{other}");
        }
        assert!(client.status().latency_us.is_some() && client.status().mode == "tcp");
        // A server that forgets the script is told again.
        server.cli(&["SCRIPT", "FLUSH"]);
        assert_eq!(read(&client, "a").await, Ok(Some("1".into())));
    });
}

#[test]
fn many_commands_are_one_call_with_a_reply_each() {
    on_one_thread(async {
        let server = Server::start(PLAIN).await;
        let client = client(&url(&server), 1000).await;
        let hundred: Vec<_> = (0..100).map(|_| ["INCR", "n"]).collect();
        let [first, single, second] =
            [client.commands(&hundred), client.commands(&hundred[..1]), client.commands(&hundred)];
        let (first, single, second) = tokio::join!(first, single, second);
        let expected = |range: std::ops::RangeInclusive<i64>| Ok(range.map(Reply::Int).collect::<Vec<_>>());
        assert_eq!((first, single, second), (expected(1..=100), expected(101..=101), expected(102..=201)));
        assert_eq!(client.commands::<&str>(&[] as &[[&str; 0]]).await, Ok(vec![]));
        let wrong = client.commands(&[vec!["INCR"], vec!["GET", "n"]]).await.unwrap();
        assert!(
            matches!(&wrong[0], Reply::Error(line) if line.starts_with(b"ERR wrong number")),
            "{wrong:?}"
        );
        assert_eq!(wrong[1], Reply::Bulk("201".into()));
        // The caller gives up between two replies; those that come late are taken out of the way.
        let late = client.commands(&[vec!["PING"], vec!["BLPOP", "none", "2"], vec!["ECHO", "late"]]).await;
        assert_eq!(late, Err(StoreError::Timeout));
        wait_for("the connection is free", || async { client.command(&["PING"]).await.is_ok() }).await;
        assert_eq!(client.command(&["ECHO", "next"]).await, Ok(Reply::Bulk("next".into())));
    });
}

#[test]
fn calls_of_one_tick_leave_in_one_write_and_late_replies_are_nobodys() {
    on_one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client(&url, 300), listener.accept());
        let mut peer = accepted.unwrap().0;
        let commands = async |peer: &mut TcpStream, wanted: usize| {
            let (mut decoder, mut reads, mut seen) = (Decoder::default(), 0, 0);
            while seen < wanted {
                decoder.buffer_mut().reserve(65536);
                assert!(peer.read_buf(decoder.buffer_mut()).await.unwrap() > 0);
                reads += 1;
                seen += std::iter::from_fn(|| decoder.next()).count();
            }
            reads
        };
        let ten = join_all((0..10).map(|_| client.command(&["X"])));
        let answer = async {
            let reads = commands(&mut peer, 10).await;
            let mut out = Vec::new();
            (0..10).for_each(|at| out.extend_from_slice(format!("+{at}\r\n").as_bytes()));
            peer.write_all(&out).await.unwrap();
            reads
        };
        let (replies, reads) = tokio::join!(ten, answer);
        assert_eq!(reads, 1);
        let texts: Vec<_> = replies.into_iter().map(|reply| reply.unwrap().text().unwrap()).collect();
        assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);

        // The first of two is answered, so the connection is alive; the second comes too late.
        let peer_part = async {
            commands(&mut peer, 2).await;
            peer.write_all(b"+first\r\n").await.unwrap();
        };
        let (first, second, ()) = tokio::join!(client.command(&["X"]), client.command(&["Y"]), peer_part);
        assert_eq!(first.unwrap().text().as_deref(), Some("first"));
        assert_eq!(second, Err(StoreError::Timeout));
        let peer_part = async {
            commands(&mut peer, 1).await;
            peer.write_all(b"+second, late\r\n+third\r\n").await.unwrap();
        };
        let (third, ()) = tokio::join!(client.command(&["Z"]), peer_part);
        assert_eq!(third.unwrap().text().as_deref(), Some("third"));

        // Calls that nobody answers are bounded, and a silent connection is closed.
        let calls = join_all((0..9000).map(|_| client.command(&["W"]))).await;
        let full =
            |call: &&Result<_, _>| matches!(call, Err(StoreError::Down(why)) if why.starts_with("too many"));
        let turned_away = calls.iter().filter(full).count();
        assert_eq!(turned_away, 9000 - 8192);
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.unwrap();
        assert!(listener.accept().await.is_ok(), "it connects anew");
    });
}

#[test]
fn a_log_in_is_said_once_and_a_wrong_one_is_named() {
    on_one_thread(async {
        let server = Server::start(PLAIN).await;
        server.cli(&["ACL", "SETUSER", "gate", "on", ">p@ss/word", "~*", "+@all", "-evalsha", "-script"]);
        server.cli(&["CONFIG", "SET", "requirepass", "secret"]);
        let with = |login: &str, db: &str| format!("redis://{login}127.0.0.1:{}{db}", server.port);
        // This user may not EVALSHA: the script then always goes whole.
        let limited = client(&with("gate:p%40ss%2Fword@", "/3"), 2000).await;
        write(&limited, "a", "1").await;
        assert_eq!(read(&limited, "a").await, Ok(Some("1".into())));
        assert_eq!(limited.round_trips(), 3);
        let usual = client(&with(":secret@", "/3"), 2000).await;
        assert_eq!(read(&usual, "a").await, Ok(Some("1".into())));
        let elsewhere = client(&with(":secret@", ""), 2000).await;
        assert_eq!(read(&elsewhere, "a").await, Ok(None));
        let wrong = client(&with("gate:other@", ""), 2000).await;
        assert!(
            matches!(read(&wrong, "a").await, Err(StoreError::Down(why)) if why.starts_with("WRONGPASS"))
        );
        assert!(!wrong.status().up);
        let none = client(&with("", ""), 2000).await;
        let refused = read(&none, "a").await.unwrap_err();
        assert!(matches!(refused, StoreError::Server { class: ServerError::NoAuth, .. }), "{refused}");
    });
}

#[test]
fn a_socket_serves_as_well() {
    on_one_thread(async {
        let args = [PLAIN, &["--unixsocket", "{folder}/s"]].concat();
        let server = Server::start(&args).await;
        let client = client(&format!("redis+unix://{}/s", server.folder.path().display()), 2000).await;
        write(&client, "a", "1").await;
        assert_eq!(read(&client, "a").await, Ok(Some("1".into())));
    });
}

#[test]
fn a_killed_server_fails_calls_at_once_and_comes_back() {
    on_one_thread(async {
        let mut server = Server::start(PLAIN).await;
        let client = client(&url(&server), 500).await;
        write(&client, "a", "1").await;
        server.kill();
        wait_for("the client sees it", || async { !client.status().up }).await;
        let begun = Instant::now();
        for _ in 0..100 {
            assert!(matches!(read(&client, "a").await, Err(StoreError::Down(_))));
        }
        assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
        server.restart().await;
        let begun = Instant::now();
        wait_for("the client is back", || async { client.status().up }).await;
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        assert_eq!(read(&client, "a").await, Ok(None));
    });
}

#[test]
fn a_paused_server_costs_no_more_than_the_time_allowed() {
    on_one_thread(async {
        let server = Server::start(PLAIN).await;
        let client = client(&url(&server), 50).await;
        wait_for("the script is there", || async { read(&client, "a").await.is_ok() }).await;
        server.cli(&["CLIENT", "PAUSE", "1000", "ALL"]);
        let begun = Instant::now();
        let calls = join_all((0..50).map(|_| client.command(&["GET", "a"]))).await;
        // The first to run out of time also close the silent connection, which ends the others at that moment.
        let given_up =
            |call: &Result<Reply, StoreError>| matches!(call, Err(StoreError::Timeout | StoreError::Down(_)));
        assert!(calls.first() == Some(&Err(StoreError::Timeout)) && calls.iter().all(given_up), "{calls:?}");
        assert!(
            (50..1000).contains(&begun.elapsed().as_millis()),
            "none waited for the server: {:?}",
            begun.elapsed()
        );
        wait_for("it answers again", || async { client.command(&["GET", "a"]).await == Ok(Reply::Nil) })
            .await;
    });
}

#[test]
fn tls_trusts_the_authority_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |args: &str| {
        let output =
            Command::new("openssl").args(args.split(' ')).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    std::fs::write(folder.path().join("ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
    openssl("req -newkey rsa:2048 -nodes -keyout key.pem -out csr.pem -subj /CN=localhost");
    openssl(
        "x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem",
    );
    // Whom to trust comes from the environment, which only a process of its own may set.
    let inner = |authority: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "single::within_tls", "--ignored"])
            .env("SSL_CERT_FILE", folder.path().join(authority))
            .env("TLS_FOLDER", folder.path())
            .env("TLS_TRUSTED", (authority == "ca.pem").to_string())
            .output()
            .unwrap()
    };
    for authority in ["ca.pem", "cert.pem"] {
        let output = inner(authority);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{authority}: {said}");
    }
}

#[test]
#[ignore = "runs in a process of its own, started by the test above"]
fn within_tls() {
    let folder = std::env::var("TLS_FOLDER").unwrap();
    on_one_thread(async {
        let file = |name: &str| format!("{folder}/{name}");
        let (cert, key, ca) = (file("cert.pem"), file("key.pem"), file("ca.pem"));
        let mut args = vec!["--port", "0", "--tls-port", "{port}", "--save", "", "--tls-auth-clients", "no"];
        args.extend(["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca]);
        let server = Server::start(&args).await;
        let client = client(&format!("rediss://localhost:{}", server.port), 2000).await;
        if std::env::var("TLS_TRUSTED").unwrap() == "true" {
            write(&client, "a", "1").await;
            assert_eq!(read(&client, "a").await, Ok(Some("1".into())));
        } else {
            let refused = read(&client, "a").await.unwrap_err().to_string();
            assert!(refused.contains("certificate"), "{refused}");
        }
    });
}

#[test]
fn a_peer_that_speaks_something_else_is_no_store() {
    on_one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client(&url, 2000), listener.accept());
        let mut peer = accepted.unwrap().0;
        let web = async {
            peer.read_u8().await.unwrap();
            peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        };
        let (answer, ()) = tokio::join!(read(&client, "a"), web);
        assert!(matches!(answer, Err(StoreError::Down(why)) if why.contains("type byte")));
    });
}
