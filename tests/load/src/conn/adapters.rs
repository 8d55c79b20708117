//! tokio's sockets as rustls wants them.

use std::io;
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use super::read;

/// Reads of a task, for rustls.
pub(super) struct Reading<'a, 'c> {
    pub(super) tcp: &'a mut TcpStream,
    pub(super) cx: &'a mut Context<'c>,
}

impl io::Read for Reading<'_, '_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match read(self.tcp, self.cx, to) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Poll::Ready(done) => done,
        }
    }
}

/// Writes that never wait, for rustls.
pub(super) struct Socket<'a>(pub(super) &'a TcpStream);

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
