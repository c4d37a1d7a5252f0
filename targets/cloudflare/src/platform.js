// What is done on the platform's side of the border in one call, since each call across it costs more than most of what is done there.
// Texts are lines; no field has a line end in it (RFC 9110 §5.5).

import { connect } from "cloudflare:sockets";

const lines = (headers) => {
  let text = "";
  headers.forEach((value, name) => {
    text += `${name}\n${value}\n`;
  });
  return text;
};

const fields = (text) => {
  const headers = new Headers();
  const parts = text.split("\n");
  for (let at = 0; at + 1 < parts.length; at += 2) headers.append(parts[at], parts[at + 1]);
  return headers;
};

const word = (value) => (typeof value === "string" ? value : "");

/** A request's method, URL, country, data centre and peer (empty where they are not told), then its fields. */
export const requestHead = ({ method, url, cf, headers }) =>
  `${method}\n${url}\n${word(cf?.country)}\n${word(cf?.colo)}\n${word(cf?.clientIp)}\n${lines(headers)}`;

/** A response's fields. */
export const responseFields = ({ headers }) => lines(headers);

/** Sends a request; gives the promise of its response. Bytes pass as the server encoded them. */
export const send = (url, method, text, body, signal) =>
  fetch(url, { method, headers: fields(text), body, signal, redirect: "manual", encodeResponseBody: "manual" });

/** A response with a body, or with one end of a WebSocket. Bytes pass as they are encoded already. */
export const respond = (status, text, body, webSocket) =>
  new Response(body, { status, headers: fields(text), webSocket, encodeBody: "manual" });

/** A stream that is written here and read by the platform, which announces its length, if it has one, and keeps to it. */
export const pipe = (length) =>
  length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);

/** Writes the last piece. What goes wrong, the end tells. */
export const finish = (writer, piece) => {
  writer.write(piece).catch(() => {});
  return writer.close();
};

/** Stops reading. Nobody is there to hear how that went. */
export const quit = (reader) => {
  reader.cancel().catch(() => {});
};

/** Opens a connection and writes to it at once. What goes wrong, the reader is told. */
export const converse = (hostname, port, secureTransport, bytes) => {
  const socket = connect({ hostname, port }, { secureTransport, allowHalfOpen: false });
  socket.writable.getWriter().write(bytes).catch(() => {});
  return socket;
};

/** Closes a connection. */
export const hangUp = (socket) => {
  socket.close().catch(() => {});
};
