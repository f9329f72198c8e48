//! Reads a pipe, a terminal or a device on a thread, so that a request to stop ends a wait for input.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::interrupt;

/// Interval of the checks for a request.
const PATIENCE: Duration = Duration::from_millis(50);

/// Size of a piece in bytes, as large as a pipe's buffer on Linux.
const PIECE: usize = 64 << 10;

/// Pieces that are read ahead.
const AHEAD: usize = 4;

type Piece = io::Result<Vec<u8>>;

/// A stream that fails after a request to stop, also while no data arrives.
pub struct Patient {
    pieces: Receiver<Piece>,
    piece: Vec<u8>,
    used: usize,
}

impl Patient {
    /// Opens and reads a stream on a thread; opening a pipe may wait too. The thread ends with the stream or with the
    /// process.
    pub fn new<R: Read>(open: impl FnOnce() -> io::Result<R> + Send + 'static) -> Self {
        let (sender, pieces) = sync_channel(AHEAD);
        let fault = sender.clone();
        let reader = move || {
            if let Err(error) = open().and_then(|stream| send(stream, &sender)) {
                // The receiver may have ended.
                let _ = sender.send(Err(error));
            }
        };
        if let Err(error) = thread::Builder::new().spawn(reader) {
            let _ = fault.send(Err(error));
        }
        Self { pieces, piece: Vec::new(), used: 0 }
    }
}

/// Sends the stream in pieces until it ends or the receiver does.
fn send(mut stream: impl Read, sender: &SyncSender<Piece>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                if sender.send(Ok(buffer[..count].to_vec())).is_err() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.piece.len() {
            if interrupt::asked() {
                return Err(io::Error::other("interrupted"));
            }
            match self.pieces.recv_timeout(PATIENCE) {
                Ok(piece) => (self.piece, self.used) = (piece?, 0),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.used);
        buffer[..count].copy_from_slice(&self.piece[self.used..][..count]);
        self.used += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_arrives_whole_and_its_failure_at_the_end() {
        let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        let sent = bytes.clone();
        let mut read = Vec::new();
        Patient::new(move || Ok(io::Cursor::new(sent))).read_to_end(&mut read).unwrap();
        assert_eq!(read, bytes);

        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut read = Vec::new();
        let stream = || Ok((&b"abc"[..]).chain(Failing));
        let error = Patient::new(stream).read_to_end(&mut read).unwrap_err();
        assert_eq!((error.to_string().as_str(), read.as_slice()), ("broken", &b"abc"[..]));
        let error = Patient::new(|| Err::<io::Empty, _>(io::Error::other("absent")));
        assert_eq!({ error }.read(&mut [0]).unwrap_err().to_string(), "absent");
    }
}
