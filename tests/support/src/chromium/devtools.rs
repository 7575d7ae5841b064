//! The `DevTools` protocol: JSON objects, each ended by a zero byte. Commands are answered by id; all
//! else is events, kept in order until a page takes them.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::SupportError;
use crate::wait::now;

/// How long a command may take to be answered.
const DEADLINE: Duration = Duration::from_mins(1);
/// Messages read ahead; the reader waits when nobody takes them.
const READ_AHEAD: usize = 1024;

/// An event of a session.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) method: String,
    pub(super) params: Value,
}

/// A connection to a browser.
#[derive(Debug)]
pub(super) struct DevTools {
    input: ChildStdin,
    messages: Receiver<Value>,
    events: Vec<Event>,
    last_id: u64,
}

impl DevTools {
    pub(super) fn new(input: ChildStdin, output: ChildStdout) -> Self {
        let (sender, messages) = sync_channel(READ_AHEAD);
        // Ends with the pipe or with the receiver; what it missed shows as an unanswered command.
        thread::spawn(move || {
            for message in BufReader::new(output).split(0).map_while(Result::ok) {
                if sender.send(serde_json::from_slice(&message).unwrap_or_default()).is_err() {
                    return;
                }
            }
        });
        Self { input, messages, events: Vec::new(), last_id: 0 }
    }

    /// Sends a command and gives its result. `session` is a page's, or `None` for the browser.
    pub(super) fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        params: &Value,
    ) -> Result<Value, SupportError> {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let mut bytes = command.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).map_err(SupportError::io("write to chromium"))?;
        let end = now() + DEADLINE;
        loop {
            let mut message = self.receive(end, method)?;
            if message["id"] != self.last_id {
                self.keep(message);
                continue;
            }
            if message["error"].is_object() {
                return Err(SupportError::Browser(format!("{method}: {}", message["error"])));
            }
            return Ok(message["result"].take());
        }
    }

    /// The events since the last call, oldest first.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        while let Ok(message) = self.messages.try_recv() {
            self.keep(message);
        }
        std::mem::take(&mut self.events)
    }

    fn receive(&self, end: Instant, method: &str) -> Result<Value, SupportError> {
        let left = end.saturating_duration_since(now());
        self.messages.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => SupportError::TimedOut {
                what: format!("chromium's answer to {method}"),
                deadline: DEADLINE,
            },
            RecvTimeoutError::Disconnected => {
                SupportError::Browser(format!("it ended before it answered {method}"))
            }
        })
    }

    fn keep(&mut self, mut message: Value) {
        if let Some(method) = message["method"].as_str() {
            let method = method.to_owned();
            self.events.push(Event { method, params: message["params"].take() });
        }
    }
}
