// A conversation by the AI SDK's chat, on which useChat stands: node ai_sdk.mjs URL TOKEN CHAT
// Prints what it has seen as JSON.
import {
  AbstractChat,
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithApprovalResponses,
} from "ai";

const [api, token, id] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };

// The agent goes on once it reads this in the metadata of its thread.
async function tell(what) {
  const address = new URL(`/v1/threads/${id}/metadata`, api);
  const options = { method: "PATCH", body: JSON.stringify({ seen: what }) };
  const answer = await fetch(address, { ...options, headers: { ...headers, "content-type": "application/json" } });
  if (!answer.ok) throw new Error(await answer.text());
}

// What @ai-sdk/react keeps in React's state.
class State {
  constructor(messages, onText) {
    this.onText = onText;
    this.messages = messages;
    this.status = "ready";
    this.error = undefined;
  }
  pushMessage(message) {
    this.messages = [...this.messages, message];
  }
  popMessage() {
    this.messages = this.messages.slice(0, -1);
  }
  replaceMessage(index, message) {
    this.messages = this.messages.with(index, structuredClone(message));
    const text = message.parts.findLast((part) => part.type === "text")?.text;
    if (text) this.onText(text);
  }
  snapshot(thing) {
    return structuredClone(thing);
  }
}

class Chat extends AbstractChat {
  constructor(messages = [], options = {}) {
    const { onText = () => {}, onResponse = () => {}, ...others } = options;
    const answered = async (...request) => {
      const response = await fetch(...request);
      onResponse(response);
      return response;
    };
    const transport = new DefaultChatTransport({ api, headers, fetch: answered });
    super({ id, transport, state: new State(messages, onText), ...others });
  }
}

const seen = { data: [] };
const texts = new Set();
let told = Promise.resolve();
let onAllText = () => {};
const chat = new Chat([], {
  onText: (text) => {
    if (chat.lastMessage.role !== "assistant" || texts.has(text)) return;
    texts.add(text);
    told = told.then(() => tell(text));
    if (text === "Hello there") onAllText();
  },
  onData: (part) => seen.data.push([part.type, part.data]),
  onError: (error) => (seen.error = String(error)),
});

function parts(message) {
  return message.parts.map(({ type, text, state, input, output, approval }) => ({
    type,
    text,
    state,
    input,
    output,
    approval,
  }));
}

async function say(name, text) {
  await chat.sendMessage({ text });
  seen[name] = parts(chat.lastMessage);
}

await say("tokens", "tokens");
await told;
await say("weather", "weather");
await say("count", "count");
await say("color", "color");
await chat.addToolOutput({ tool: "pick", toolCallId: "pick-1", output: "red" });
await chat.sendMessage();
seen.picked = parts(chat.lastMessage);
await say("refund", "refund");
await chat.addToolApprovalResponse({ id: "may-1", approved: true });
seen.complete = lastAssistantMessageIsCompleteWithApprovalResponses({ messages: chat.messages });
await chat.sendMessage();
seen.refunded = parts(chat.lastMessage);
seen.roles = chat.messages.map((message) => message.role);
await chat.regenerate();
seen.again = parts(chat.lastMessage);

// a page that is loaded again while the agent writes
texts.clear();
const allText = new Promise((resolve) => (onAllText = resolve));
const sending = chat.sendMessage({ text: "reload" });
await allText;
await told;
const reads = (response) => response.status === 200 && (told = tell("reloaded"));
const users = chat.messages.filter((each) => each.role === "user");
const other = new Chat(structuredClone(users), { onResponse: reads });
await other.resumeStream();
seen.resumed = parts(other.lastMessage);
await sending;
await other.resumeStream();
seen.status = [chat.status, other.status];
await say("fail", "fail");

console.log(JSON.stringify(seen));
