//! JSON-RPC 1.0 over a byte stream (RFC 7047 §4): concatenated JSON objects, no delimiter. Pure.
mod parse;

use serde_json::Value;

use parse::Parts;

use crate::value::{write_array, write_string, write_value};

/// No message is longer, in bytes: room for tens of thousands of ports in one transaction.
pub const MAX_MESSAGE: usize = 32 << 20;
/// No message nests deeper.
pub const MAX_DEPTH: usize = 100;

/// How much room for a message is kept, in bytes, when there is none.
const KEEP: usize = 256 << 10;

/// What makes a stream unusable from here on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Something else than an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// An object that is no JSON.
    #[error("malformed JSON: {0}")]
    Malformed(String),
    /// A message over [`MAX_MESSAGE`].
    #[error("a message of more than {MAX_MESSAGE} bytes")]
    TooLong,
    /// A message nested deeper than [`MAX_DEPTH`].
    #[error("a message nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// An object that is neither request, notification nor reply.
    #[error("neither a request nor a reply")]
    NotAMessage,
}

/// A message, in either direction.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Wants a reply.
    Request {
        /// What is to be done.
        method: String,
        /// With what.
        params: Vec<Value>,
        /// Returned in the reply; never null.
        id: Value,
    },
    /// Wants no reply.
    Notification {
        /// What has happened.
        method: String,
        /// To what.
        params: Vec<Value>,
    },
    /// Answers a request.
    Reply {
        /// The request's.
        id: Value,
        /// Null if the request failed.
        result: Value,
        /// Null if the request succeeded.
        error: Value,
    },
}

impl Message {
    /// Tells what kind of message an object is.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_json(json: Value) -> Result<Self, StreamError> {
        let Value::Object(object) = json else {
            return Err(StreamError::NotAnObject);
        };
        let mut parts = Parts::default();
        for (name, value) in object {
            *parts.member(&name) = value;
        }
        Self::from_parts(parts)
    }

    fn from_parts(parts: Parts) -> Result<Self, StreamError> {
        let is_answer = !parts.result.is_null() || !parts.error.is_null();
        if parts.has_other {
            return Err(StreamError::NotAMessage);
        }
        match (parts.id, parts.method, parts.params) {
            (Value::Null, Value::String(method), Value::Array(params)) if !is_answer => {
                Ok(Self::Notification { method, params })
            }
            (id, Value::String(method), Value::Array(params)) if !is_answer => {
                Ok(Self::Request { method, params, id })
            }
            (id, Value::Null, Value::Null) if !id.is_null() && is_answer => Ok(Self::Reply {
                id,
                result: parts.result,
                error: parts.error,
            }),
            _ => Err(StreamError::NotAMessage),
        }
    }

    /// The message as text.
    pub fn to_text(&self) -> String {
        let mut text = String::with_capacity(128);
        match self {
            Self::Request { method, params, id } => write_call(method, params, id, &mut text),
            Self::Notification { method, params } => {
                write_call(method, params, &Value::Null, &mut text);
            }
            Self::Reply { id, result, error } => {
                text.push_str("{\"id\":");
                write_value(id, &mut text);
                if error.is_null() {
                    text.push_str(",\"result\":");
                    write_value(result, &mut text);
                }
                text.push_str(",\"error\":");
                write_value(error, &mut text);
                text.push('}');
            }
        }
        text
    }
}

/// Whether a string holds a NUL, which JSON allows and OVSDB doesn't.
fn has_nul(json: &Value) -> bool {
    match json {
        Value::String(text) => text.contains('\0'),
        Value::Array(elements) => elements.iter().any(has_nul),
        Value::Object(object) => object.iter().any(|(k, v)| k.contains('\0') || has_nul(v)),
        _ => false,
    }
}

fn write_call(method: &str, params: &[Value], id: &Value, out: &mut String) {
    out.push_str("{\"method\":");
    write_string(method, out);
    out.push_str(",\"params\":");
    write_array(params, out);
    out.push_str(",\"id\":");
    write_value(id, out);
    out.push('}');
}

/// Finds the objects in a stream.
#[derive(Debug, Clone, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Everything before this has been looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Framer {
    /// Takes more bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How much there is of messages under way, in bytes.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether no message is under way.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next message that is complete.
    ///
    /// # Errors
    /// If the stream can't be understood; no later call makes sense then.
    pub fn next_message(&mut self) -> Result<Option<Message>, StreamError> {
        let Some(end) = self.scan()? else {
            return Ok(None);
        };
        let parts = serde_json::from_slice::<Parts>(&self.buffer[..end]);
        let may_have_nul = self.buffer[..end].windows(6).any(|w| w == b"\\u0000");
        self.buffer.drain(..end);
        if self.buffer.is_empty() && self.buffer.capacity() > KEEP {
            self.buffer = Vec::new();
        }
        self.scanned = 0;
        let parts = parts.map_err(|e| StreamError::Malformed(e.to_string()))?;
        if may_have_nul && parts.all().into_iter().any(has_nul) {
            return Err(StreamError::Malformed("a string with a NUL".to_owned()));
        }
        Message::from_parts(parts).map(Some)
    }

    /// Offset behind the first complete object.
    fn scan(&mut self) -> Result<Option<usize>, StreamError> {
        if self.depth == 0 {
            let blank = self
                .buffer
                .iter()
                .take_while(|b| b.is_ascii_whitespace())
                .count();
            self.buffer.drain(..blank);
            self.scanned = 0;
        }
        loop {
            self.skip_text();
            let byte = self.buffer.get(self.scanned);
            self.scanned += usize::from(byte.is_some());
            if self.scanned > MAX_MESSAGE {
                return Err(StreamError::TooLong);
            }
            let Some(byte) = byte else {
                return Ok(None);
            };
            if self.in_string {
                self.in_string = self.escaped || *byte != b'"';
                self.escaped = !self.escaped && *byte == b'\\';
                continue;
            }
            match byte {
                b'"' if self.depth > 0 => self.in_string = true,
                b'{' | b'[' if self.depth > 0 || *byte == b'{' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => self.depth -= 1,
                _ if self.depth == 0 => return Err(StreamError::NotAnObject),
                _ => {}
            }
            if self.depth > MAX_DEPTH {
                return Err(StreamError::TooDeep);
            }
            if self.depth == 0 {
                return Ok(Some(self.scanned));
            }
        }
    }

    /// Passes over what can't end a string.
    fn skip_text(&mut self) {
        if self.in_string && !self.escaped {
            let rest = self.buffer.get(self.scanned..).unwrap_or_default();
            self.scanned += memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], step: usize) -> Result<Vec<Message>, StreamError> {
        let (mut framer, mut messages) = (Framer::default(), Vec::new());
        for chunk in bytes.chunks(step) {
            framer.push(chunk);
            while let Some(message) = framer.next_message()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    #[test]
    fn messages_are_found_however_the_stream_is_cut() {
        let stream = br#"{"method":"echo","params":["}\"{\\"],"id":1}
            {"id":null,"method":"update","params":[]}{"id":"x","result":{},"error":null}"#;
        let whole = all(stream, stream.len()).unwrap();
        assert_eq!(whole.len(), 3);
        assert!(matches!(&whole[0], Message::Request { params, .. } if params[0] == "}\"{\\"));
        assert!(matches!(&whole[1], Message::Notification { method, .. } if method == "update"));
        assert!(matches!(&whole[2], Message::Reply { id, .. } if id == "x"));
        for step in 1..stream.len() {
            assert_eq!(all(stream, step).unwrap(), whole);
        }
    }

    #[test]
    fn messages_survive_text() {
        for text in [
            r#"{"method":"echo","params":[1],"id":7}"#,
            r#"{"method":"update","params":[],"id":null}"#,
            r#"{"id":7,"result":[1],"error":null}"#,
            r#"{"id":7,"error":"unknown method"}"#,
        ] {
            assert_eq!(all(text.as_bytes(), 1000).unwrap()[0].to_text(), text);
        }
    }

    #[test]
    fn what_is_no_message_ends_the_stream() {
        assert_eq!(all(b"[]", 9), Err(StreamError::NotAnObject));
        assert_eq!(all(b"GET / HTTP/1.1", 99), Err(StreamError::NotAnObject));
        assert!(matches!(all(b"{]", 9), Err(StreamError::Malformed(_))));
        assert!(matches!(
            all(b"{\"a\":\"\xff\"}", 99),
            Err(StreamError::Malformed(_))
        ));
        assert_eq!(
            all(br#"{"method":"echo","id":1}"#, 99),
            Err(StreamError::NotAMessage)
        );
        let echo = br#"{"method":"echo","params":null,"id":1}"#;
        assert_eq!(all(echo, 99), Err(StreamError::NotAMessage));
        let deep = "{\"a\":".to_owned() + &"[".repeat(MAX_DEPTH);
        assert_eq!(all(deep.as_bytes(), 999), Err(StreamError::TooDeep));
        let long = "{\"".to_owned() + &"a".repeat(MAX_MESSAGE);
        assert_eq!(all(long.as_bytes(), long.len()), Err(StreamError::TooLong));
    }
}
