//! A body, line by line, and never more of it in memory than one line may have.
//!
//! Reads only. Used by `reader`; generic over the body for the sake of tests.

use aimass_crds::signals::LINE;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Bytes;

use super::broken::Broken;

/// The lines of a body.
pub(super) struct Lines<B> {
    body: B,
    /// What came and was not taken yet, and how much of it is known to hold no end of a line.
    held: Vec<u8>,
    searched: usize,
    /// How much of `held` was taken.
    taken: usize,
}

impl<B> Lines<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            held: Vec::new(),
            searched: 0,
            taken: 0,
        }
    }

    /// The next line, without its end; `None`: the body has ended with a whole line.
    ///
    /// Dropped while it waits, it loses nothing.
    ///
    /// # Errors
    /// The line is too long, or the body ended within it.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, Broken> {
        self.held.drain(..self.taken);
        self.taken = 0;
        self.searched = 0;
        loop {
            let rest = self.held.get(self.searched..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let end = self.searched.saturating_add(end);
                if end > LINE {
                    return Err(Broken::TooLong);
                }
                self.taken = end.saturating_add(1);
                return Ok(self.held.get(..end));
            }
            self.searched = self.held.len();
            if self.searched > LINE {
                return Err(Broken::TooLong);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    // Trailers say nothing.
                    if let Ok(data) = frame.into_data() {
                        self.held.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(Broken::Talk(error)),
                None if self.held.is_empty() => return Ok(None),
                None => return Err(Broken::Ended),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    /// The lines of a body that comes in these pieces, and how it ends.
    async fn read(pieces: Vec<Vec<u8>>) -> (Vec<usize>, Option<&'static str>) {
        let frames = pieces
            .into_iter()
            .map(|piece| Ok::<_, hyper::Error>(Frame::data(Bytes::from(piece))));
        let mut lines = Lines::new(StreamBody::new(stream::iter(frames)));
        let mut found = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => found.push(line.len()),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error.reason())),
            }
        }
    }

    #[tokio::test]
    async fn lines_are_found_however_they_are_cut() {
        let text = b"one\n\nthree\n".to_vec();
        assert_eq!(read(vec![text.clone()]).await, (vec![3, 0, 5], None));
        let bytes = text.iter().map(|byte| vec![*byte]).collect();
        assert_eq!(read(bytes).await, (vec![3, 0, 5], None));
    }

    #[tokio::test]
    async fn half_a_line_is_none() {
        let text = vec![b"one\ntw".to_vec()];
        assert_eq!(read(text).await, (vec![3], Some("Ended")));
    }

    #[tokio::test]
    async fn an_endless_line_ends_the_connection() {
        let mut longest = vec![b'a'; LINE];
        longest.push(b'\n');
        assert_eq!(read(vec![longest.clone()]).await, (vec![LINE], None));
        longest.insert(0, b'a');
        assert_eq!(read(vec![longest]).await, (vec![], Some("TooLong")));
        let pieces = vec![vec![b'a'; 1024]; 1024];
        assert_eq!(read(pieces).await, (vec![], Some("TooLong")));
    }
}
