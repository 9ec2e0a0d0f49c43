// A worker in JavaScript, without packages: node worker.mjs http://127.0.0.1:8080 [TOKEN]
//
// It claims entries, answers each in the thread of its mailbox, and settles it in the same batch.
// The batch holds the claim: if the lease was lost meanwhile, nothing of it is written, and the
// worker that has the entry now does it instead. So kill this one at any moment.

const [url = "http://127.0.0.1:8080", token] = process.argv.slice(2);
const consumer = `node-${process.pid}`;
const leaseMs = Number(process.env.LEASE_MS ?? 30_000);
const workMs = Number(process.env.WORK_MS ?? 1_000);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function call(method, path, body) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const answer = await fetch(url + path, { method, headers, body: JSON.stringify(body) });
  const text = await answer.text();
  if (answer.ok) return text ? JSON.parse(text) : undefined;
  throw Object.assign(new Error(`${answer.status} ${text}`), { status: answer.status });
}

// What the agent says; here would be the call of a model.
async function think(payload) {
  await sleep(workMs);
  return `You said: ${payload.text}`;
}

async function work(entry) {
  const claim = { entry_id: entry.entry_id, claim_token: entry.claim_token };
  const path = `/v1/entries/${encodeURIComponent(entry.entry_id)}`;
  const renewal = setInterval(() => {
    const body = { claim_token: entry.claim_token, extension_ms: leaseMs };
    call("POST", `${path}/extend`, body).catch((error) => console.error(String(error)));
  }, leaseMs / 3);
  try {
    const message = { id: entry.entry_id, role: "assistant", content: await think(entry.payload) };
    await call("POST", "/v1/batch", {
      commands: [
        { command: "Hold", ...claim },
        { command: "AppendThread", thread_id: entry.mailbox_id, changes: { messages: [message] } },
        { command: "Ack", ...claim },
      ],
    });
    console.log(`done ${entry.entry_id}`);
  } catch (error) {
    if (error.status === 409) return console.log(`lost ${entry.entry_id}`); // another one has it
    console.error(String(error));
    const failure = { claim_token: entry.claim_token, error: String(error), keep_order: true };
    await call("POST", `${path}/nack`, failure).catch((error) => console.error(String(error)));
  } finally {
    clearInterval(renewal);
  }
}

console.log(`${consumer} works for ${url}`);
for (;;) {
  try {
    const request = { consumer, limit: 4, lease_ms: leaseMs, wait_ms: 30_000 };
    await Promise.all((await call("POST", "/v1/claims", request)).map(work));
  } catch (error) {
    console.error(String(error)); // the server is away: try again
    await sleep(1_000);
  }
}
