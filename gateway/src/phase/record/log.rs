//! The access log: one JSON line a request on stdout, written by a thread of its own.
//!
//! Requests never wait for it: 10,000 lines may wait, what comes then is dropped and counted. Apart from the process's own log,
//! which is bounded to far fewer lines and must not be pushed out by these.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Lines that may wait.
const QUEUE: usize = 10_000;
/// Lines are written together up to this size.
const BATCH_BYTES: usize = 64 << 10;
/// How often somebody who waits for the end looks whether there is room to say so.
const LOOK: Duration = Duration::from_millis(10);

enum Message {
    Line(String),
    /// Answer once everything before this is written.
    Flush(oneshot::Sender<()>),
}

/// Where lines go; clones share it.
#[derive(Clone)]
pub struct AccessLog(SyncSender<Message>);

/// Waits for lines at the end.
pub struct Writer(SyncSender<Message>);

impl AccessLog {
    /// Starts the thread; it writes to stdout and ends with the last [`AccessLog`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> std::io::Result<(Self, Writer)> {
        Self::to(|lines| {
            // Nobody is left to be told that stdout is closed.
            let _written = std::io::stdout().lock().write_all(lines.as_bytes());
        })
    }

    /// The same with another place to write to; it is given whole lines, one or more.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn to(write: impl FnMut(&str) + Send + 'static) -> std::io::Result<(Self, Writer)> {
        let (sender, receiver) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || run(&receiver, write))?;
        Ok((Self(sender.clone()), Writer(sender)))
    }

    /// Hands over a line, with its end; `false`: there was no room, and it is lost.
    #[must_use]
    pub fn write(&self, line: String) -> bool {
        self.0.try_send(Message::Line(line)).is_ok()
    }
}

impl Writer {
    /// Waits until what was handed over so far is written, for a while at most; says whether it is.
    pub async fn flush(&self, patience: Duration) -> bool {
        timeout(patience, self.flushed()).await.unwrap_or(false)
    }

    async fn flushed(&self) -> bool {
        let (done, written) = oneshot::channel();
        let mut flush = Message::Flush(done);
        loop {
            flush = match self.0.try_send(flush) {
                Ok(()) => return written.await.is_ok(),
                Err(TrySendError::Full(flush)) => flush,
                Err(TrySendError::Disconnected(_)) => return false,
            };
            sleep(LOOK).await;
        }
    }
}

fn run(messages: &Receiver<Message>, mut write: impl FnMut(&str)) {
    let mut lines = String::new();
    while let Ok(message) = messages.recv() {
        let mut next = Some(message);
        let mut flushed = Vec::new();
        while let Some(message) = next {
            match message {
                Message::Line(line) => lines.push_str(&line),
                Message::Flush(done) => flushed.push(done),
            }
            next = match lines.len() < BATCH_BYTES {
                true => messages.try_recv().ok(),
                false => None,
            };
        }
        if !lines.is_empty() {
            write(&lines);
            lines.clear();
        }
        for done in flushed {
            // Whoever asked may have lost patience.
            let _gone = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn lines_come_out_whole_and_in_order() {
        let written = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&written);
        let (log, writer) =
            AccessLog::to(move |lines| sink.lock().unwrap().push_str(lines)).unwrap();
        for number in 0..5000 {
            assert!(log.write(format!("{number}\n")));
        }
        assert!(writer.flush(PATIENCE).await);
        let written = written.lock().unwrap();
        let lines: Vec<String> = written.lines().map(str::to_owned).collect();
        let expect: Vec<String> = (0..5000).map(|number: u32| number.to_string()).collect();
        assert_eq!(lines, expect);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_reader_that_is_stuck() {
        let (go, wait) = sync_channel::<()>(0);
        let stuck = move |_: &str| {
            let _ended = wait.recv();
        };
        let (log, writer) = AccessLog::to(stuck).unwrap();
        let line = || format!("{}\n", "x".repeat(63));
        let lost = (0..3 * QUEUE).filter(|_| !log.write(line())).count();
        assert!(lost >= QUEUE, "{lost}");
        assert!(!writer.flush(Duration::from_millis(20)).await);
        drop(go);
        assert!(writer.flush(PATIENCE).await);
        assert!(log.write(line()));
    }
}
