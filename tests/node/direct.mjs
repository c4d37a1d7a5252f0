// Redis without the bridge: enough of its protocol to run the same commands and scripts directly.
import { once } from "node:events";
import { connect } from "node:net";

export class Direct {
  static async open(port) {
    const direct = new Direct();
    direct.socket = connect({ host: "127.0.0.1", port });
    direct.socket.on("data", (data) => direct.arrived(data));
    await once(direct.socket, "connect");
    return direct;
  }

  buffer = Buffer.alloc(0);
  waiting = [];

  close() {
    this.socket.destroy();
  }

  command(...words) {
    const parts = words.map((word) => Buffer.from(String(word)));
    const chunks = parts.flatMap((part) => [Buffer.from(`$${part.length}\r\n`), part, Buffer.from("\r\n")]);
    this.socket.write(Buffer.concat([Buffer.from(`*${parts.length}\r\n`), ...chunks]));
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  // The two calls that the limiter makes of its client. Redis does not know Upstash's own flag.
  eval(script, keys, args) {
    return this.command("EVAL", script.replace(" flags=allow-key-locking", ""), keys.length, ...keys, ...args);
  }

  evalsha(hash, keys, args) {
    return this.command("EVALSHA", hash, keys.length, ...keys, ...args);
  }

  arrived(data) {
    this.buffer = Buffer.concat([this.buffer, data]);
    for (;;) {
      const read = reply(this.buffer, 0);
      if (!read) return;
      this.buffer = this.buffer.subarray(read.end);
      const caller = this.waiting.shift();
      read.error ? caller.reject(new Error(read.error)) : caller.resolve(read.value);
    }
  }
}

/** The reply at `start`; nothing where it is not whole yet. */
function reply(buffer, start) {
  const line = buffer.indexOf("\r\n", start);
  if (line < 0) return;
  const text = buffer.toString("utf8", start + 1, line);
  const end = line + 2;
  switch (String.fromCharCode(buffer[start])) {
    case "+":
      return { value: text, end };
    case "-":
      return { error: text, end };
    case ":":
      return { value: Number(text), end };
    case "$": {
      const length = Number(text);
      if (length < 0) return { value: null, end };
      if (buffer.length < end + length + 2) return;
      return { value: buffer.toString("utf8", end, end + length), end: end + length + 2 };
    }
    case "*": {
      const items = [];
      let at = end;
      for (let missing = Number(text); missing > 0; missing--) {
        const item = reply(buffer, at);
        if (!item) return;
        items.push(item.value);
        at = item.end;
      }
      return { value: Number(text) < 0 ? null : items, end: at };
    }
    default:
      throw new Error(`no RESP: ${buffer.toString("latin1", start, line)}`);
  }
}
