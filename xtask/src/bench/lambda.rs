//! `cargo xtask bench lambda`: the function alone, against a runtime API that does nothing else. From the start of its process to
//! the first byte of its first response (cold), and from an event to that byte in a process that has answered before (warm).

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    run::{Error, root},
    targets::{Act, Target},
};

/// Measures, and prints medians.
pub(super) fn measure(requests: usize, rounds: usize) -> Result<(), Error> {
    Target::Lambda.act(&Act::Build)?;
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for _ in 0..rounds.max(1) {
        let began = Instant::now();
        let mut api = Api::start()?;
        cold.push(api.ask()?.duration_since(began));
        for _ in 0..requests {
            let asked = Instant::now();
            warm.push(api.ask()?.duration_since(asked));
        }
    }
    let bytes = fs::metadata(root()?.join(PROGRAM)).map_err(|error| format!("{PROGRAM}: {error}"))?.len();
    println!("size, stripped: {:.1} MiB", bytes as f64 / f64::from(1 << 20));
    cold.sort();
    warm.sort();
    let at = |all: &[Duration], part: usize| all.get(all.len() * part / 100).copied().unwrap_or_default();
    println!("cold, {} starts: median {:?}, slowest {:?}", cold.len(), at(&cold, 50), at(&cold, 99));
    println!("warm, {} requests: median {:?}, p99 {:?}", warm.len(), at(&warm, 50), at(&warm, 99));
    Ok(())
}

/// A runtime API with one process of the function.
struct Api {
    function: Child,
    events: Sender<()>,
    first_bytes: Receiver<Instant>,
}

impl Api {
    fn start() -> Result<Self, Error> {
        let told = |error: std::io::Error| error.to_string();
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(told)?;
        let address = listener.local_addr().map_err(told)?;
        let (events, waiting) = mpsc::channel();
        let (seen, first_bytes) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (waiting, seen) = (Arc::clone(&waiting), seen.clone());
                // An error is the function's end.
                thread::spawn(move || serve(socket, &waiting, &seen));
            }
        });
        let function = Command::new(root()?.join(PROGRAM))
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "gateway")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("LOG_LEVEL", "error")
            .env("AUTH_API_KEYS", "bench:bench-key-0123456789")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(told)?;
        Ok(Self { function, events, first_bytes })
    }

    /// Sends an event; gives the instant of the response's first byte.
    fn ask(&mut self) -> Result<Instant, Error> {
        self.events.send(()).map_err(|_| "the runtime API has ended")?;
        self.first_bytes.recv_timeout(PATIENCE).map_err(|_| "the function does not answer".into())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.function.kill();
        let _ = self.function.wait();
    }
}

/// Serves one connection of the function.
fn serve(socket: TcpStream, waiting: &Mutex<Receiver<()>>, seen: &Sender<Instant>) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(socket.try_clone()?), socket);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        if head.starts_with("GET") {
            if waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().is_err() {
                return Ok(());
            }
            let length = EVENT.len();
            let fields = "lambda-runtime-aws-request-id: 1\r\nlambda-runtime-deadline-ms: 4102444800000\r\n\
                lambda-runtime-invoked-function-arn: arn";
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {length}\r\n\r\n{EVENT}");
            writer.write_all(text.as_bytes())?;
            continue;
        }
        body(&mut reader, seen)?;
        writer.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")?;
    }
}

/// Reads a chunked body to its end; tells of what follows the prelude.
fn body(reader: &mut BufReader<TcpStream>, seen: &Sender<Instant>) -> std::io::Result<()> {
    let mut number = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(());
        }
        number += 1;
        // The prelude, its end, then what the client sees first.
        if number == 3 {
            let _ = seen.send(Instant::now());
        }
    }
}

/// A request of a function URL that the gateway answers by itself.
const EVENT: &str = r#"{"version":"2.0","rawPath":"/gateway/livez","rawQueryString":"","headers":{"host":"a"},"requestContext":{"http":{"method":"GET","sourceIp":"192.0.2.1"},"stage":"$default"},"isBase64Encoded":false}"#;

/// The function as it is deployed.
const PROGRAM: &str = "target/function/bootstrap";

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(30);
