//! Redis by its own protocol, over a socket that lives as long as one question: the platform lends no socket to another request.
//! What logs in and what asks go out in one write.

use std::time::Duration;

use acip_core::{
    config::StoreSettings,
    store::{Batch, Cell as StoreCell, Decoder, Reply, StoreError, resp},
};
use acip_shell::store::{self, Caller, Form, within};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use worker::{Delay, SecureTransport, Socket, Url};

/// One server.
pub(crate) struct Server {
    host: String,
    port: u16,
    tls: bool,
    /// `AUTH` and `SELECT`, as far as they are needed, already written.
    login: Vec<u8>,
    /// Answers to those.
    logins: usize,
    timeout_ms: u64,
    caller: Caller,
}

impl store::Server for Server {
    fn open(url: &str, settings: &StoreSettings) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("the store's url does not parse: {error}"))?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            other => {
                return Err(format!(
                    "no store client for `{other}://`; use `redis://`, `rediss://` or `https://`"
                ));
            }
        };
        let host = url.host_str().ok_or("the store's url names no host")?.to_owned();
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let password = url.password().map(decoded);
        let password =
            password.or_else(|| settings.password.as_ref().map(|it| it.expose_secret().to_owned()));
        let path = url.path().trim_matches('/');
        let db = if path.is_empty() {
            settings.db
        } else {
            path.parse().map_err(|_| "the store's database is no number")?
        };
        let mut login = Vec::new();
        let mut logins = 0;
        if let Some(password) = password {
            let user = decoded(url.username());
            let words =
                if user.is_empty() { vec!["AUTH", &password] } else { vec!["AUTH", &user, &password] };
            resp::encode(&words, &mut login);
            logins += 1;
        }
        if db != 0 {
            resp::encode(&["SELECT", &db.to_string()], &mut login);
            logins += 1;
        }
        Ok(Self {
            host,
            port: url.port().unwrap_or(6379),
            tls,
            login,
            logins,
            timeout_ms: settings.timeout_ms.max(1),
            caller: Caller::new(),
        })
    }
}

impl store::Store for Server {
    fn mode(&self) -> &'static str {
        "tcp"
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<StoreCell>, StoreError> {
        self.caller
            .ask(batch, async |script, form| {
                let mut out = self.login.clone();
                match form {
                    Form::Name => script.encode_evalsha(batch, &mut out),
                    Form::Whole => script.encode_eval(batch, &mut out),
                }
                let limit = Delay::from(Duration::from_millis(self.timeout_ms));
                within(limit, self.exchange(&out)).await
            })
            .await
    }

    fn round_trips(&self) -> u64 {
        self.caller.round_trips()
    }
}

impl Server {
    async fn exchange(&self, out: &[u8]) -> Result<Reply, StoreError> {
        let down = |error: &dyn std::fmt::Display| StoreError::Down(error.to_string());
        let transport = if self.tls { SecureTransport::On } else { SecureTransport::Off };
        let mut socket = Socket::builder()
            .secure_transport(transport)
            .connect(self.host.clone(), self.port)
            .map_err(|error| down(&error))?;
        socket.write_all(out).await.map_err(|error| down(&error))?;
        socket.flush().await.map_err(|error| down(&error))?;
        let mut decoder = Decoder::default();
        let mut left = self.logins;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            while let Some(reply) = decoder.next() {
                match reply? {
                    Reply::Push(_) => {}
                    Reply::Error(line) if left > 0 => return Err(StoreError::from_server(&line)),
                    _ if left > 0 => left -= 1,
                    reply => {
                        let _ = socket.close().await;
                        return Ok(reply);
                    }
                }
            }
            match socket.read(&mut buffer).await.map_err(|error| down(&error))? {
                0 => return Err(StoreError::Down("closed by the server".into())),
                read => decoder.feed(buffer.get(..read).unwrap_or_default()),
            }
        }
    }
}

const READ_BYTES: usize = 16 << 10;
