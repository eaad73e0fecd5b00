//! As much of an HTTP client as tests need.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use super::patience;

/// An answer.
pub struct Answer {
    pub code: u16,
    pub head: String,
    pub body: String,
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
        set(&stream, Some(patience())).expect("a time above zero");
    }
    stream
}

/// Gets a page; `more` are header fields, each with its line end.
pub fn get(address: SocketAddr, path: &str, more: &str) -> Answer {
    let mut stream = connect(address);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    answer(&mut stream).expect("it answers")
}

/// Reads an answer to its end.
pub fn answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other(format!("no answer: {text:?}")))?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer {
        code: code.ok_or_else(|| io::Error::other("no status"))?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// A text as part of a query.
pub fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}
