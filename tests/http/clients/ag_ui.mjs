// A conversation by AG-UI's own client: node ag_ui.mjs URL TOKEN THREAD
// Prints what it has seen as JSON.
import { HttpAgent } from "@ag-ui/client";

const [url, token, threadId] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };

function newAgent() {
  return new HttpAgent({ url, threadId, headers });
}

function user(id, content) {
  return { id, role: "user", content };
}

function said(agent) {
  return agent.messages.map(({ role, content, toolCalls, toolCallId }) => ({
    role,
    content,
    calls: (toolCalls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
    answers: toolCallId,
  }));
}

// The agent goes on once it reads this in the metadata of its thread.
async function say(thread, what) {
  const address = new URL(`/v1/threads/${thread}/metadata`, url);
  const options = { method: "PATCH", body: JSON.stringify({ seen: what }) };
  const answer = await fetch(address, { ...options, headers: { ...headers, "content-type": "application/json" } });
  if (!answer.ok) throw new Error(await answer.text());
}

const seen = {};
const agent = newAgent();

async function run(name, message, parameters = {}) {
  const types = [];
  let deltas = 0;
  let text = "";
  if (message) agent.addMessage(message);
  await agent.runAgent(parameters, {
    onEvent: async ({ event }) => {
      types.push(event.type);
      if (event.type !== "TEXT_MESSAGE_CONTENT") return;
      deltas += 1;
      text += event.delta;
      if (name === "tokens") await say(threadId, text);
    },
  });
  seen[name] = { types: [...new Set(types)], deltas, state: agent.state };
}

await run("tokens", user("m1", "tokens"));
await run("weather", user("m2", "weather"));
agent.setState({ theme: "dark" });
await run("count", user("m3", "count"));
const tools = [{ name: "pick", description: "pick a color", parameters: { type: "object" } }];
await run("color", user("m4", "color"), { tools });
const [call] = agent.messages.at(-1).toolCalls;
agent.addMessage({ id: "m5", role: "tool", toolCallId: call.id, content: "red" });
await run("picked", null, { tools });
await run("refund", user("m6", "refund"));
seen.interrupts = structuredClone(agent.pendingInterrupts);
const resume = [{ interruptId: "may-1", status: "resolved", payload: { approved: true } }];
await run("refunded", null, { resume });
seen.left = agent.pendingInterrupts;
seen.said = said(agent);

// a page that was loaded again: it has no messages, and gets them with its next run
const other = newAgent();
other.addMessage(user("m7", "hello"));
await other.runAgent();
seen.other = said(other);

// a state that changes while it is shown
const recounting = new HttpAgent({ url, threadId: `${threadId}-state`, headers });
recounting.addMessage(user("m9", "recount to a reader"));
const stateEvents = [];
await recounting.runAgent({}, {
  onEvent: async ({ event }) => {
    if (!event.type.startsWith("STATE")) return;
    stateEvents.push(event.type);
    await say(`${threadId}-state`, "a state");
  },
});
seen.recounted = { events: stateEvents, state: recounting.state };

// a client that goes away; the run goes on
const leaving = newAgent();
leaving.setMessages(structuredClone(other.messages));
leaving.addMessage(user("m8", "slow"));
await leaving
  .runAgent({}, { onRunStartedEvent: () => leaving.abortRun() })
  .catch((error) => (seen.aborted = String(error)));

console.log(JSON.stringify(seen));
