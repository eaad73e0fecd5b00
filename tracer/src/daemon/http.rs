//! The least of HTTP that scraping takes: one request a connection, answered from the board.
//!
//! A connection may take a bounded time and a bounded piece of memory, and there is a bounded
//! number of them: when one more comes, the one that has been there longest is cut off. One that
//! behaves is served in milliseconds, so that is one that does not.

use std::{
    collections::VecDeque,
    io,
    net::TcpListener,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    board::{Board, Page},
    request::{self, Refusal, Request},
};

/// Connections at once.
const MOST: usize = 64;
/// From the connection to the end of the request's head.
const ASKING: Duration = Duration::from_secs(5);
/// For the answer to be taken.
const ANSWERING: Duration = Duration::from_secs(20);
/// What a client sends after its request is read for so long, and so many bytes of it: to close a
/// connection before is to break it, and the answer with it.
const LINGER: (Duration, u64) = (Duration::from_secs(1), 64 << 10);
/// After a connection could not be taken, for want of files perhaps.
const PAUSE: Duration = Duration::from_millis(100);

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

const INDEX: &str = "<!DOCTYPE html>
<html lang=\"en\"><head><title>tracer</title></head><body><h1>tracer</h1><ul>
<li><a href=\"metrics\">metrics</a> for Prometheus</li>
<li><a href=\"audit\">audit</a>: processes, judged, in JSON</li>
<li><a href=\"status\">status</a>: probes, loss, own cost, settings, in JSON</li>
<li><a href=\"healthz\">healthz</a>, <a href=\"readyz\">readyz</a></li>
</ul></body></html>
";

/// Answers on a thread of its own, which first does `begin`; ends with the process.
///
/// # Errors
/// The thread cannot be made, or what it needs.
pub fn start(
    listener: TcpListener,
    board: Arc<Board>,
    begin: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    listener
        .set_nonblocking(true)
        .context("cannot use the socket")?;
    thread::Builder::new()
        .name("tracer-http".to_owned())
        .spawn(move || {
            begin()?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start the asynchronous runtime")?;
            runtime.block_on(accept(listener, board))
        })
        .context("cannot start a thread")
}

async fn accept(listener: TcpListener, board: Arc<Board>) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("cannot use the socket")?;
    let mut connections: VecDeque<AbortHandle> = VecDeque::with_capacity(MOST);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= MOST
            && let Some(eldest) = connections.pop_front()
        {
            eldest.abort();
            board.refused();
        }
        let task = tokio::spawn(converse(stream, Arc::clone(&board)));
        connections.push_back(task.abort_handle());
        board.has_open(connections.len());
    }
}

async fn converse(mut stream: TcpStream, board: Arc<Board>) {
    let Ok(request) = timeout(ASKING, read(&mut stream)).await else {
        board.timed_out();
        return;
    };
    // Who left without a word gets no answer.
    let Ok(request) = request else { return };
    let answer = Answer::to(request, &board);
    board.answered(answer.code);
    match timeout(ANSWERING, answer.write(&mut stream)).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return,
        Err(_) => {
            board.timed_out();
            return;
        }
    }
    let (time, most) = LINGER;
    let mut rest = stream.take(most);
    let _ = timeout(time, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}

/// Reads a head.
async fn read(stream: &mut TcpStream) -> io::Result<Result<Request, Refusal>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let seen = bytes.len();
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return if bytes.is_empty() {
                Err(io::ErrorKind::UnexpectedEof.into())
            } else {
                Ok(Err(Refusal::Malformed))
            };
        }
        bytes.extend_from_slice(&piece[..count]);
        if request::is_whole(&bytes, seen) {
            return Ok(request::parse(&bytes));
        }
        if bytes.len() > request::LONGEST {
            return Ok(Err(Refusal::TooLong));
        }
    }
}

/// An answer.
struct Answer {
    code: u16,
    content_type: &'static str,
    /// A header field more.
    more: &'static str,
    body: Arc<str>,
    head_only: bool,
}

impl Answer {
    fn new(code: u16, content_type: &'static str, body: impl Into<Arc<str>>) -> Self {
        Self {
            code,
            content_type,
            more: "",
            body: body.into(),
            head_only: false,
        }
    }

    fn to(request: Result<Request, Refusal>, board: &Board) -> Self {
        match request {
            Ok(request) => {
                let mut answer = Self::page(&request, board);
                answer.head_only = request.head_only;
                answer
            }
            Err(Refusal::Malformed) => Self::new(400, PLAIN, "this is no HTTP request\n"),
            Err(Refusal::TooLong) => Self::new(431, PLAIN, "the head is too long\n"),
            Err(Refusal::Method) => {
                let mut answer = Self::new(405, PLAIN, "only GET and HEAD are answered\n");
                answer.more = "Allow: GET, HEAD\r\n";
                answer
            }
        }
    }

    fn page(request: &Request, board: &Board) -> Self {
        let exposition = request.exposition;
        let (page, content_type) = match &*request.path {
            "/" => return Self::new(200, HTML, INDEX),
            "/healthz" => return Self::health(board),
            "/readyz" => match board.edition() {
                Some(_) => return Self::new(200, PLAIN, "ready\n"),
                None => return Self::too_early(),
            },
            "/metrics" => (Page::Metrics(exposition), exposition.content_type()),
            "/audit" => (Page::Audit, JSON),
            "/status" => (Page::Status, JSON),
            _ => return Self::new(404, PLAIN, "there is no such page; / lists them\n"),
        };
        match board.edition() {
            Some(edition) => Self::new(200, content_type, edition.page(page)),
            None => Self::too_early(),
        }
    }

    fn health(board: &Board) -> Self {
        match board.stuck() {
            None => Self::new(200, PLAIN, "alive\n"),
            Some(since) => {
                let text = format!("the audit has stood still for {} s\n", since.as_secs());
                Self::new(503, PLAIN, text)
            }
        }
    }

    fn too_early() -> Self {
        let mut answer = Self::new(503, PLAIN, "not ready: nothing was published yet\n");
        answer.more = "Retry-After: 1\r\n";
        answer
    }

    async fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
            self.code,
            phrase(self.code),
            self.content_type,
            self.body.len(),
            self.more,
        );
        stream.write_all(head.as_bytes()).await?;
        if !self.head_only {
            stream.write_all(self.body.as_bytes()).await?;
        }
        stream.shutdown().await
    }
}

const fn phrase(code: u16) -> &'static str {
    match code {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    }
}

#[cfg(test)]
mod tests;
