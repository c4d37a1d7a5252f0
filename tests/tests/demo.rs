//! `acip-gateway demo`, as a person uses it: every printed line is pasted into a shell.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

/// A running demo; ends with its handle.
struct Demo {
    child: Child,
    lines: Vec<String>,
}

impl Demo {
    fn start() -> Self {
        let mut child = Command::new(acip_tests::gateway_binary())
            .arg("demo")
            .env_clear()
            .envs([("GATEWAY_HOST", "127.0.0.1"), ("GATEWAY_PORT", "0"), ("RATE_LIMIT_MAX_REQUESTS", "20")])
            // As where somebody has set up a gateway before: the demo is one of its own.
            .envs([("ADMIN_TOKEN", acip_tests::ADMIN), ("REDIS_URL", "redis://127.0.0.1:9")])
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the demo starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = Vec::new();
        for line in output.lines() {
            let line = line.expect("text");
            let last = line.starts_with("Ctrl-C");
            lines.push(line);
            if last {
                break;
            }
        }
        Self { child, lines }
    }

    /// The commands below a heading, up to the next blank line.
    fn commands(&self, heading: &str) -> String {
        let from = self.lines.iter().position(|line| line.starts_with('#') && line.contains(heading));
        let from = from.unwrap_or_else(|| panic!("no heading with `{heading}` in {:#?}", self.lines));
        let rest = self.lines[from + 1..].iter();
        rest.take_while(|line| !line.is_empty()).cloned().collect::<Vec<_>>().join("\n")
    }

    fn paste(&self, commands: &str) -> String {
        let output = Command::new("bash").arg("-c").arg(commands).output().expect("bash starts");
        assert!(output.status.success(), "`{commands}` failed: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pastes until the output holds `wanted`; what a worker does takes a moment.
fn until(demo: &Demo, commands: &str, wanted: &str) -> String {
    let mut last = String::new();
    acip_tests::wait_until(wanted, || {
        last = demo.paste(commands);
        last.contains(wanted)
    });
    last
}

#[test]
fn every_printed_line_does_what_it_says() {
    let demo = Demo::start();

    let refused = demo.paste(&demo.commands("without a key"));
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");

    let submit = demo.commands("submit a job");
    let answer = demo.paste(&submit);
    assert!(answer.contains("\"job_id\""), "{answer}");
    let job = answer.lines().next().expect("the job's id").to_owned();
    let read_back = submit.lines().last().expect("a second line").replace("$JOB", &job);
    until(&demo, &read_back, "\"status\":\"completed\"");

    let stream = demo.paste(&demo.commands("one by one").replace("$JOB", &job));
    assert!(stream.matches("data: {").count() > 20 && stream.contains("[DONE]"), "{stream}");

    let stats = demo.paste(&demo.commands("cache HIT")).to_ascii_lowercase();
    assert!(stats.contains("x-gateway-cache: hit"), "{stats}");

    let workers = until(&demo, &demo.commands("GPU workers"), "\"total\":2");
    assert!(workers.contains("NVIDIA L40S") && workers.contains("\"status\":\"online\""), "{workers}");

    let over = demo.paste(&demo.commands("past the limit")).to_ascii_lowercase();
    assert!(over.contains("http/1.1 429") && over.contains("retry-after:"), "{over}");

    let own = demo.paste(&demo.commands("health and metrics"));
    assert!(own.contains("\"status\":\"healthy\"") && own.contains("gateway_requests_total{"), "{own}");
}
