//! Somebody who subscribes in Redis.

use std::process::Command;

use crate::{Redis, process::Process, wait_until};

/// Hears what is published on one channel.
pub struct Subscriber {
    process: Process,
    channel: String,
}

impl Subscriber {
    /// Subscribes, and waits until the server has said so.
    pub fn open(redis: &Redis, channel: &str) -> Self {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &redis.port().to_string(), "--raw", "SUBSCRIBE", channel]);
        let process = Process::start("redis-cli", &mut command);
        wait_until("a subscription", || process.output().contains("subscribe\n"));
        Self { process, channel: channel.to_owned() }
    }

    /// All messages until now, in order.
    pub fn messages(&self) -> Vec<String> {
        let output = self.process.output();
        let lines: Vec<&str> = output.lines().collect();
        let messages = lines.windows(3).filter(|three| three[0] == "message" && three[1] == self.channel);
        messages.map(|three| three[2].to_owned()).collect()
    }
}
