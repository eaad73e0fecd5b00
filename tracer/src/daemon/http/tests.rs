use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Instant,
};

use super::*;
use crate::{
    audit::{export::Digest, row::Audit},
    daemon::Edition,
    view::serve::Own,
};

/// An answering thread; it ends with the tests.
fn start_up() -> (SocketAddr, Arc<Board>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let board = Arc::new(Board::default());
    board.beat();
    start(listener, Arc::clone(&board), || Ok(())).expect("a thread");
    (address, board)
}

fn published() -> (SocketAddr, Arc<Board>) {
    let (address, board) = start_up();
    let audit = Audit {
        elapsed_ns: 1,
        processes: Vec::new(),
        totals: crate::audit::row::Totals::default(),
        coverage: crate::audit::row::Coverage::default(),
        counting: None,
        tracing: None,
        own_cost: None,
        notes: Vec::new(),
    };
    board.publish(Edition::new(Digest::default(), audit, Own::default()));
    (address, board)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a time");
    stream
}

fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address);
    // It may have answered and closed before the end of what is sent.
    let _ = stream.write_all(request.as_ref());
    rest(&mut stream)
}

fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

fn wait_until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60));
        thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn is(answer: &str, code: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
}

#[test]
fn pages_are_answered_once_there_is_something_to_tell() {
    let (address, _) = start_up();
    for page in ["/metrics", "/audit", "/status", "/readyz"] {
        is(&get(address, page), 503);
    }
    is(&get(address, "/healthz"), 200);
    let (address, board) = published();
    for page in [
        "/metrics?x",
        "/audit",
        "/status",
        "/readyz",
        "/healthz",
        "/",
    ] {
        is(&get(address, page), 200);
    }
    is(&get(address, "/etc/passwd"), 404);
    let answers = board.requests().answers;
    assert_eq!((answers[&200], answers[&404]), (6, 1));
    let head = ask(address, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4") && head.ends_with("\r\n\r\n"));
    let open = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n";
    let open = ask(address, open);
    assert!(
        open.contains("application/openmetrics-text; version=1.0.0") && open.ends_with("# EOF\n")
    );
}

#[test]
fn what_is_no_request_gets_a_refusal() {
    let (address, _) = published();
    is(&ask(address, "\x16\x03\x01 no http\r\n\r\n"), 400);
    is(&ask(address, "POST /metrics HTTP/1.1\r\n\r\n"), 405);
    let huge = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(40_000));
    is(&ask(address, huge), 431);
    // Of several at once the first is answered.
    let answer = ask(
        address,
        "GET /healthz HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    );
    is(&answer, 200);
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    // A half-closed connection is one that waits for its answer.
    let mut stream = connect(address);
    stream.write_all(b"GET / HTTP/1.1\r\n").expect("it reads");
    stream.shutdown(Shutdown::Write).expect("it is open");
    is(&rest(&mut stream), 400);
}

#[test]
fn those_who_say_nothing_do_not_keep_others_out() {
    let (address, board) = published();
    let silent: Vec<TcpStream> = (0..MOST * 2).map(|_| connect(address)).collect();
    is(&get(address, "/metrics"), 200);
    assert!(board.requests().refused > 0);
    assert!(board.requests().open <= MOST as u64);
    // The last of them are cut off in time.
    let mut last = silent.into_iter().next_back().expect("many");
    assert_eq!(rest(&mut last), "");
    wait_until(|| board.requests().timed_out > 0);
}
