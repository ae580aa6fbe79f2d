//! A load generator for a datagram server: a fixed number of questions under way, each answer
//! followed by the next question.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use super::samples::Samples;

/// After which questions without an answer count as lost, and are replaced.
const LOST: Duration = Duration::from_millis(200);
/// Longest answer.
const MAX_ANSWER: usize = 4096;

/// How much is asked.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Clients, each with its socket.
    pub clients: usize,
    /// Questions under way per client.
    pub window: u16,
    /// For how long.
    pub time: Duration,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Answers per second.
    pub rate: f64,
    /// All answers.
    pub answers: u64,
    /// Questions that had none in time.
    pub lost: u64,
    /// From question to answer, of a sample of them.
    pub times: Samples,
}

/// Asks a server; questions are taken in turn, their first two bytes replaced by a number.
///
/// # Errors
/// If a socket fails.
pub fn run(server: SocketAddr, questions: &[Vec<u8>], load: Load) -> io::Result<Outcome> {
    let start = Instant::now();
    let parts = thread::scope(|scope| {
        let clients: Vec<_> = (0..load.clients)
            .map(|i| {
                // Each client begins elsewhere, so that they do not all ask for the same.
                let first = i * questions.len() / load.clients;
                scope.spawn(move || Client::new(server, questions, first)?.run(load))
            })
            .collect();
        clients
            .into_iter()
            .map(|client| {
                client
                    .join()
                    .map_err(|_| io::Error::other("client failed"))?
            })
            .collect::<io::Result<Vec<_>>>()
    })?;
    let mut whole = Outcome::default();
    for part in parts {
        whole.answers += part.answers;
        whole.lost += part.lost;
        whole.times.extend(part.times);
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let answers = whole.answers as f64;
    whole.rate = answers / start.elapsed().as_secs_f64();
    Ok(whole)
}

struct Client<'a> {
    socket: UdpSocket,
    questions: &'a [Vec<u8>],
    next: usize,
    sent: Vec<Instant>,
    number: u16,
}

impl<'a> Client<'a> {
    fn new(server: SocketAddr, questions: &'a [Vec<u8>], first: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind((server.ip(), 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(LOST))?;
        Ok(Self {
            socket,
            questions,
            next: first,
            sent: vec![Instant::now(); usize::from(u16::MAX) + 1],
            number: 0,
        })
    }

    fn ask(&mut self, question: &mut Vec<u8>) -> io::Result<()> {
        question.clear();
        question.extend(&self.questions[self.next % self.questions.len()]);
        question[..2].copy_from_slice(&self.number.to_be_bytes());
        self.sent[usize::from(self.number)] = Instant::now();
        self.number = self.number.wrapping_add(1);
        self.next += 1;
        self.socket.send(question).map(drop)
    }

    fn run(mut self, load: Load) -> io::Result<Outcome> {
        let end = Instant::now() + load.time;
        let mut outcome = Outcome::default();
        let mut question = Vec::with_capacity(MAX_ANSWER);
        let mut answer = [0; MAX_ANSWER];
        for _ in 0..load.window {
            self.ask(&mut question)?;
        }
        while Instant::now() < end {
            match self.socket.recv(&mut answer) {
                Ok(length) if length >= 2 => {
                    let number = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
                    outcome.answers += 1;
                    // One in sixteen is enough for percentiles, and costs less.
                    if outcome.answers.is_multiple_of(16) {
                        outcome.times.push(self.sent[number].elapsed());
                    }
                    self.ask(&mut question)?;
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outcome.lost += u64::from(load.window);
                    for _ in 0..load.window {
                        self.ask(&mut question)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_counted() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, client)) = server.recv_from(&mut buffer) {
                server.send_to(&buffer[..length], client).ok();
            }
        });
        let load = Load {
            clients: 2,
            window: 4,
            time: Duration::from_millis(50),
        };
        let outcome = run(address, &[vec![0, 0, 1], vec![0, 0, 2]], load).unwrap();
        assert!(outcome.answers > 16, "{outcome:?}");
        assert_eq!(outcome.lost, 0);
        assert!(outcome.times.count() > 0);
    }
}
