//! The head of a request in, what is asked for out. Any bytes are a request or a refusal.

use crate::view::serve::Exposition;

/// Bytes that a head has at most.
pub const LONGEST: usize = 8 << 10;
/// Header fields that it has at most.
const MOST_FIELDS: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The path, without a query.
    pub path: String,
    /// Whether only the head of the answer is wanted.
    pub head_only: bool,
    /// How metrics are wanted.
    pub exposition: Exposition,
}

/// Why a request is not answered: status codes of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is none.
    Malformed,
    /// It is too long.
    TooLong,
    /// It is neither GET nor HEAD.
    Method,
}

/// Where in `bytes` a head ends, of which all before `seen` was looked at before.
pub fn is_whole(bytes: &[u8], seen: usize) -> bool {
    let tail = &bytes[seen.saturating_sub(3).min(bytes.len())..];
    tail.windows(2).any(|two| two == b"\n\n") || tail.windows(3).any(|three| three == b"\n\r\n")
}

/// What is asked for by a whole head, and perhaps more behind it.
///
/// # Errors
/// It is not answered.
pub fn parse(bytes: &[u8]) -> Result<Request, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Refusal::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLong),
        Err(_) => return Err(Refusal::Malformed),
    }
    let head_only = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(Refusal::Method),
    };
    let target = request.path.unwrap_or_default();
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let accept = request
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("accept"))
        .filter_map(|field| std::str::from_utf8(field.value).ok());
    Ok(Request {
        path: path.to_owned(),
        head_only,
        exposition: exposition(accept),
    })
}

/// OpenMetrics for who names it and does not like plain text better.
fn exposition<'a>(accept: impl Iterator<Item = &'a str>) -> Exposition {
    let (mut open, mut text) = (0, 0);
    for range in accept.flat_map(|accept| accept.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .map_or(1000, permille);
        match &*media {
            "application/openmetrics-text" => open = open.max(weight),
            "text/plain" | "text/*" => text = text.max(weight),
            _ => {}
        }
    }
    if open > 0 && open >= text {
        Exposition::OpenMetrics
    } else {
        Exposition::Text
    }
}

/// A weight in thousandths; one that makes no sense counts as nothing.
fn permille(weight: &str) -> u16 {
    let (whole, decimals) = weight.trim().split_once('.').unwrap_or((weight.trim(), ""));
    let decimals: String = decimals.chars().chain("000".chars()).take(3).collect();
    match (whole, decimals.parse()) {
        ("0", Ok(permille)) => permille,
        ("1", Ok(0)) => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(accept: &str) -> Exposition {
        let head = format!("GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n");
        let request = parse(head.as_bytes()).expect("a request");
        assert_eq!(request.path, "/metrics");
        request.exposition
    }

    #[test]
    fn who_names_openmetrics_gets_it() {
        // Prometheus 2.42 and 3.
        let server = "application/openmetrics-text;version=1.0.0,\
                      application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(get(server), Exposition::OpenMetrics);
        for text in [
            "*/*",
            "",
            "text/plain",
            "text/html,*/*;q=0.8",
            "text/plain;version=0.0.4,application/openmetrics-text;q=0.5",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=nan",
        ] {
            assert_eq!(get(text), Exposition::Text, "{text}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (bytes, refusal) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00\n\n"[..], Refusal::Malformed),
            (b"GET /\r\n\r\n", Refusal::Malformed),
            (b"GET / HTTP/2.0\r\n\r\n", Refusal::Malformed),
            (b"POST /metrics HTTP/1.1\r\n\r\n", Refusal::Method),
            (b"GET / HTTP/1.1\r\nA: b", Refusal::Malformed),
        ] {
            assert_eq!(parse(bytes), Err(refusal), "{bytes:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert_eq!(parse(many.as_bytes()), Err(Refusal::TooLong));
        let head = parse(b"HEAD / HTTP/1.0\r\n\r\nmore").expect("a request");
        assert!(head.head_only);
    }

    proptest! {
        #[test]
        fn an_end_is_found_wherever_reading_paused(
            before in "[a-z\r\n:]{0,40}", end in prop_oneof!["\r\n\r\n", "\n\n"], cut in 0_usize..60
        ) {
            let whole = format!("{before}{end}");
            let cut = cut.min(whole.len());
            let found = is_whole(&whole.as_bytes()[..cut], 0) || is_whole(whole.as_bytes(), cut);
            prop_assert!(found);
        }

        #[test]
        fn any_bytes_are_a_request_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
