// What the platform calls. A panic gives up the instance of the gateway's code in which it happens; whatever is under way there
// would wait for ever, so it is ended here. The next request finds a fresh instance.

import Gateway from "./build/index.js";

/** Requests under way, with what ends them: `end`, and the writer of a `stream` that the gateway names here while it lasts. */
const underWay = new Map();
globalThis.gatewayUnderWay = underWay;
globalThis.gatewayPanicked = () => {
  for (const { end } of underWay.values()) end();
  underWay.clear();
};

const failed = () =>
  Response.json(
    { error: { code: "INTERNAL_ERROR", message: "the gateway failed; try again", requestId: crypto.randomUUID() } },
    { status: 500, headers: { "cache-control": "no-store" } },
  );

export default {
  fetch(request, env, context) {
    const state = { stream: null, end: null };
    const ended = new Promise((resolve) => (state.end = resolve));
    underWay.set(request, state);
    // What belongs to a request has to be done by itself, not by the one that panics: after a promise of its own.
    const broken = ended.then(() => {
      state.stream?.abort(new Error("the gateway failed")).catch(() => {});
      return failed();
    });
    const answered = new Gateway(context, env).fetch(request).then(
      (response) => {
        if (state.stream === null) underWay.delete(request);
        return response;
      },
      // It fails by a panic alone.
      failed,
    );
    return Promise.race([answered, broken]);
  },
};
